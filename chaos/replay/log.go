package replay

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Decision is one line of a decision log.
type Decision struct {
	At time.Time `json:"at"`
	// What: "placed", "evicted", "kept" (room for work that does not fit), "refused" (by the node), "began" (the placer anew).
	What string `json:"what"`
	// Queue, Job, UID and Stage are whose slots; Slots is how many, Nodes where.
	Queue string   `json:"queue,omitempty"`
	Job   string   `json:"job,omitempty"`
	UID   uint64   `json:"uid,omitempty"`
	Stage string   `json:"stage,omitempty"`
	Slots int      `json:"slots,omitempty"`
	Nodes []string `json:"nodes,omitempty"`
	// For is who gets what is evicted, as queue/job.
	For string `json:"for,omitempty"`
	// Why says more in words.
	Why string `json:"why,omitempty"`
}

// Log makes a readable log of the entries of one segment, taken in order.
type Log struct {
	stages map[model.StageID]*wish
	nodes  map[string]string // by the address of their actors
}

// wish is what is known of a stage.
type wish struct {
	id       model.JobID
	name     string
	priority model.Priority
	target   uint64
	since    time.Time
}

// Take returns the decision that an entry tells of; nil if it tells of none.
func (l *Log) Take(e decisions.Entry) *Decision {
	d := &Decision{At: e.At}
	switch m := e.Message.(type) {
	case kit.Started, *msg.Rebuild:
		l.stages, l.nodes = map[model.StageID]*wish{}, map[string]string{}
		d.What, d.Why = "began", "the placer knows nothing, and asks nodes and queues"
		return d
	case *msg.Demand:
		l.wants(e.At, m)
	case *msg.NodeView:
		if m.NodeRef != nil && l.nodes != nil {
			l.nodes[m.NodeRef.GetId()] = string(m.Node)
		}
	case *msg.Reserve:
		l.of(d, m.Stage, m.ID)
		d.What, d.Slots, d.Nodes = "placed", len(m.Slots), []string{cmp.Or(l.nodes[e.To], e.To)}
		if w := l.stages[m.Stage]; w != nil {
			d.Why = fmt.Sprintf("%s/%d, %d wanted for %s", w.priority.Band, w.priority.Rank, w.target, e.At.Sub(w.since).Round(time.Millisecond))
		}
		return d
	case *msg.Evict:
		l.of(d, m.Stage, model.JobID{})
		d.What, d.Slots, d.Nodes, d.Why = "evicted", m.Count, []string{string(m.Node)}, strings.TrimSuffix(m.Rule+": "+m.Reason, ": ")
		if m.For != (model.JobID{}) {
			d.For = m.For.String()
		}
		return d
	case *msg.Kept:
		l.of(d, m.Stage, m.ID)
		d.What, d.Why = "kept", "nobody knows when there will be room"
		if m.From != 0 {
			d.Why = "there will be room at " + time.UnixMilli(m.From).UTC().Format("15:04:05")
		}
		for _, n := range m.Nodes {
			d.Nodes = append(d.Nodes, string(n))
		}
		return d
	case *msg.Reserved:
		if m.Refused > 0 {
			d.What, d.Slots, d.Nodes, d.Why = "refused", m.Refused, []string{string(m.Node)}, "the node has less than the placer thought"
			return d
		}
	}
	return nil
}

func (l *Log) wants(at time.Time, m *msg.Demand) {
	w := l.stages[m.Stage]
	switch {
	case m.Target == 0:
		return // its slots may still be told of
	case w == nil:
		w = &wish{since: at}
		if l.stages == nil {
			l.stages = map[model.StageID]*wish{}
		}
		l.stages[m.Stage] = w
	case m.Target > w.target:
		w.since = at
	}
	w.id, w.priority, w.target = m.ID, m.Priority, m.Target
	if m.Plan != nil {
		w.name = m.Plan.Name
	}
}

// of says whose slots a decision is about.
func (l *Log) of(d *Decision, stage model.StageID, id model.JobID) {
	d.UID, d.Stage = uint64(stage.Job), fmt.Sprint(stage.Stage)
	if w := l.stages[stage]; w != nil {
		id, d.Stage = w.id, w.name
	}
	d.Queue, d.Job = id.Queue, id.Name
}

// String is the decision as a line.
func (d *Decision) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-7s", d.At.UTC().Format("2006-01-02 15:04:05.000"), d.What)
	if d.Slots > 0 {
		fmt.Fprintf(&b, " %d", d.Slots)
	}
	if d.Job != "" {
		fmt.Fprintf(&b, " %s/%s/%s", d.Queue, d.Job, d.Stage)
	}
	if len(d.Nodes) > 0 {
		fmt.Fprintf(&b, " on %s", strings.Join(d.Nodes, ", "))
	}
	if d.For != "" {
		fmt.Fprintf(&b, " for %s", d.For)
	}
	if d.Why != "" {
		fmt.Fprintf(&b, " (%s)", d.Why)
	}
	return b.String()
}

// Text is an entry in words, for people who look at a difference.
func Text(e *decisions.Entry) string {
	if e == nil {
		return "nothing"
	}
	what := message(e.Message)
	switch {
	case e.Kind == decisions.Said:
		return "to " + e.To + ": " + what
	case e.Kind == decisions.Heard && e.From != "":
		return "from " + e.From + ": " + what
	}
	return what
}

func message(m any) string {
	switch m := m.(type) {
	case decisions.Named:
		return string(m)
	case *msg.Demand:
		name := ""
		if m.Plan != nil {
			name = "/" + m.Plan.Name
		}
		return fmt.Sprintf("Demand %s%s (%s) target %d, %s/%d", m.ID, name, m.Stage, m.Target, m.Priority.Band, m.Priority.Rank)
	case *msg.NodeView:
		slots := 0
		for _, h := range m.Held {
			slots += h.Count
		}
		return fmt.Sprintf("NodeView %s open %t gone %t, holds %d slots of %d stages, through %d", m.Node, m.Open, m.Gone, slots, len(m.Held), m.Through)
	case *msg.Reserve:
		return fmt.Sprintf("Reserve %d slots of %s (%s), serial %d, each %v", len(m.Slots), m.ID, m.Stage, m.Serial, m.Each)
	case *msg.Evict:
		return fmt.Sprintf("Evict %d of %s on %s for %s: %s, %s", m.Count, m.Stage, m.Node, m.For, m.Rule, m.Reason)
	case *msg.Freed:
		return fmt.Sprintf("Freed %d of %s on %s, unused %d, yielded %d", m.Count, m.Stage, m.Node, m.Unused, m.Yielded)
	case *kit.Busy:
		return "Busy, undelivered: " + message(m.Message)
	case *kit.Lost:
		return "Lost, undelivered: " + message(m.Message)
	case *msg.ExplainStages, *msg.CellFacts, *v1.ExplainReply, *v1.CellStatus:
		return fmt.Sprintf("%T", m)
	}
	return fmt.Sprintf("%T %+v", m, m)
}
