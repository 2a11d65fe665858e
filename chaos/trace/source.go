package trace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Source is where a workload comes from.
type Source struct {
	// Format is plain, openb or swf.
	Format string
	// Nodes, Work and Order are files. Order is for openb alone.
	Nodes, Work, Order string
	// Processors of the machine of a swf log; 0 for what the log says.
	Processors int
	// NodesCount is how many machines of a usual size there are, if Nodes is empty; for plain alone.
	NodesCount int
	// Limit is the most jobs that are read; 0 for all.
	Limit int
	Seed  uint64
}

// Check says what is missing or too much.
func (s *Source) Check() error {
	formats := []string{"plain", "openb", "swf"}
	switch {
	case !slices.Contains(formats, s.Format):
		return fmt.Errorf("there is no format %s; right would be one of: %s", model.Quote(s.Format), strings.Join(formats, ", "))
	case s.Work == "":
		return errors.New("--work is missing: the file with the work")
	case s.Format == "swf" && s.Nodes != "":
		return errors.New("--nodes is too much: a log of the format swf has one machine, of --processors")
	case s.Format == "openb" && s.Nodes == "":
		return errors.New("--nodes is missing: the file with the machines")
	case s.Format == "plain" && (s.Nodes == "") == (s.NodesCount == 0):
		return errors.New("either --nodes, a file with the machines, or --nodes-count is right")
	case s.Order != "" && s.Format != "openb":
		return errors.New("--order is for the format openb")
	case s.Processors != 0 && s.Format != "swf":
		return errors.New("--processors is for the format swf")
	case s.NodesCount != 0 && s.Format != "plain":
		return errors.New("--nodes-count is for the format plain")
	case s.Limit < 0 || s.Processors < 0 || s.NodesCount < 0 || s.NodesCount > MaxNodes:
		return fmt.Errorf("--limit, --processors and --nodes-count must not be negative, and there are at most %d nodes", MaxNodes)
	}
	return nil
}

// Load reads the workload, and says how it is to be played under a policy.
func (s *Source) Load(p Policy) (*Workload, Options, error) {
	o := Options{Policy: p, Seed: s.Seed}
	var w *Workload
	var err error
	switch s.Format {
	case "openb":
		w, err = s.openb(&o)
	case "swf":
		w, err = s.swf()
	default:
		w, err = s.plain()
	}
	if err != nil {
		return nil, o, err
	}
	if s.Limit > 0 && len(w.Jobs) > s.Limit {
		w.Jobs = w.Jobs[:s.Limit]
	}
	return w, o, nil
}

func (s *Source) plain() (*Workload, error) {
	if s.Nodes != "" {
		return LoadPlain(s.Nodes, s.Work)
	}
	w := &Workload{}
	if err := readRows(strings.NewReader(fmt.Sprintf("node,count,cpu,memory\nnode,%d,32,128Gi\n", s.NodesCount)), nodeColumns, w.nodeRow); err != nil {
		return nil, err
	}
	return w, loadRows(s.Work, workColumns, w.jobRow)
}

// policies are what can be asked for by name.
var policies = map[string]Policy{
	"fcfs":          {Order: "fifo", Backfill: "none", Predict: "stated"},
	"easy":          {Order: "fifo", Backfill: "easy", Predict: "stated"},
	"easy-sjbf":     {Order: "fifo", Backfill: "shortest", Predict: "stated"},
	"easy++":        {Order: "fifo", Backfill: "shortest", Predict: "recent"},
	"learned":       {Order: "slowdown", Backfill: "easy", Predict: "learned"},
	"fair":          {Order: "fair"},
	"shortest":      {Order: "shortest"},
	"smallest":      {Order: "smallest"},
	"hybrid":        {Score: "hybrid"},
	"bestfit":       {Score: "bestfit"},
	"epvm":          {Score: "epvm"},
	"fragmentation": {Score: "fragmentation"},
	"packing":       {Score: "packing"},
}

// PolicyNames lists the policies.
func PolicyNames() []string { return slices.Sorted(maps.Keys(policies)) }

// ParsePolicy reads names of policies joined by commas.
func ParsePolicy(text string) (Policy, error) {
	var all Policy
	if text == "" {
		return all, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		p, known := policies[name]
		if !known {
			hint := "there are: " + strings.Join(PolicyNames(), ", ")
			if near := model.Nearest(name, PolicyNames()); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return Policy{}, fmt.Errorf("policy %s is not known; %s", model.Quote(name), hint)
		}
		if p.Score != "" && all.Score != "" || p.Order != "" && all.Order != "" {
			return Policy{}, fmt.Errorf("%q says twice how to decide the same", text)
		}
		if p.Score != "" {
			all.Score = p.Score
		} else {
			all.Order, all.Backfill, all.Predict = p.Order, p.Backfill, p.Predict
		}
	}
	return all, nil
}

// ParseQueue reads what a queue is promised: "name:cpu=8,memory=16Gi,gpu=4000". What is no resource of the cell is a unit of
// its own kind, counted whole, devices in thousandths. max_jobs and max_slots are limits. "name:" promises nothing.
func ParseQueue(text string) (*v1.QueueSpec, error) {
	name, rest, found := strings.Cut(text, ":")
	if !found {
		return nil, fmt.Errorf("it does not say what is promised; write %s:cpu=8, or %s: for nothing", name, name)
	}
	q := &v1.QueueSpec{Name: name, Quota: &v1.Quota{}}
	for pair := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok && pair != "" {
			return nil, fmt.Errorf("%s must be a resource and an amount, such as cpu=8", model.Quote(pair))
		}
		number, err := strconv.ParseInt(value, 10, 64)
		switch key {
		case "":
		case "cpu":
			q.Quota.Cpu = value
		case "memory":
			q.Quota.Memory = value
		case "disk":
			q.Quota.Disk = value
		case "net":
			q.Quota.Net = value
		case "max_jobs", "max_slots":
			if err != nil {
				return nil, fmt.Errorf("%s must be a whole number, not %s", key, model.Quote(value))
			}
			if key == "max_jobs" {
				q.MaxJobs = number
			} else {
				q.MaxSlots = number
			}
		default:
			if err != nil {
				return nil, fmt.Errorf("%s must be a whole number of units, not %s", key, model.Quote(value))
			}
			if q.Quota.Custom == nil {
				q.Quota.Custom = map[string]int64{}
			}
			q.Quota.Custom[key] = number
		}
	}
	if _, problems := model.CompileQueue(q); len(problems) > 0 {
		return nil, fmt.Errorf("%s %s; %s", problems[0].GetField(), problems[0].GetProblem(), problems[0].GetHint())
	}
	return q, nil
}
