package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/chaos/audit"
	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/report"
)

// rowsMax bounds operations and attempts that a report lists one by one; the figures count all.
const rowsMax = 5_000

// report judges the evidence and tells what became of the run.
func (r *run) report() *report.Report {
	e, s := &r.evidence, r.o.Scenario
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	e.Moments, e.Seen = r.watch.moments, r.watch.seen
	for _, event := range r.watch.events {
		if event.Kind == "ended" && !event.Asked {
			e.Ends = append(e.Ends, event.Event)
		}
	}
	if r.start.IsZero() {
		r.start = time.Now()
	}
	made := &report.Report{
		Scenario: s.Name, About: s.About, Seed: r.o.Seed, Begun: r.begun, LengthMS: r.ms(time.Now()),
		Again: cmp.Or(r.o.Again, fmt.Sprintf("troupe chaos run %s --seed %d", s.Name, r.o.Seed)),
	}
	made.Sizes = r.sizes()
	r.growth(made.Sizes)
	if r.stopped != nil {
		made.Stopped = r.stopped.Error()
	} else {
		made.Checks = audit.Judge(e)
	}
	made.Passed = r.stopped == nil && !slices.ContainsFunc(made.Checks, func(c audit.Check) bool { return c.Broken > 0 })
	made.Faults = r.faults()
	made.Leaders = r.leaders()
	made.Parts = r.parts()
	r.calls(made)
	r.attempts(made)
	r.figures(made)
	return made
}

// ms is a time as the report has it.
func (r *run) ms(t time.Time) int64 { return t.Sub(r.start).Milliseconds() }

func (r *run) faults() []report.Fault {
	var all []report.Fault
	for _, x := range r.strikes {
		f := report.Fault{Kind: x.Fault.Fault, Parts: x.Parts, Skipped: x.Skipped, FromMS: x.Fault.At.Std().Milliseconds()}
		f.ToMS = f.FromMS
		if !x.Begun.IsZero() {
			f.FromMS, f.ToMS = r.ms(x.Begun), r.ms(x.Ended)
		}
		if x.Failed != nil {
			f.Failed = x.Failed.Error()
		}
		words := []string{x.Fault.Fault, x.Fault.How, string(x.Fault.Who)}
		if x.Fault.By != 0 {
			words = append(words, "by "+x.Fault.By.String())
		}
		if x.Fault.Times != 0 {
			words = append(words, fmt.Sprintf("%d times", x.Fault.Times))
		}
		if x.Fault.For != 0 {
			words = append(words, "for "+x.Fault.For.String())
		}
		f.Text = strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b report.Fault) int { return cmp.Compare(a.FromMS, b.FromMS) })
	return all
}

// leaders joins the answers of the cell into spans of the same.
func (r *run) leaders() []report.Span {
	var all []report.Span
	for _, s := range r.evidence.Seen {
		span := report.Span{Kind: "silent", Text: "no answer", FromMS: r.ms(s.At), ToMS: r.ms(s.At.Add(askEvery))}
		if s.Err == "" {
			span.Kind, span.Text = "leads", strings.TrimSpace(fmt.Sprintf("%s epoch %d", s.Master, s.Epoch))
			if s.State != "" && s.State != "normal" {
				span.Text += " " + s.State
			}
		}
		if n := len(all); n > 0 && all[n-1].Text == span.Text {
			all[n-1].ToMS = span.ToMS
			continue
		} else if n > 0 {
			all[n-1].ToMS = span.FromMS
		}
		all = append(all, span)
	}
	return all
}

// parts are the lives of all processes.
func (r *run) parts() []report.Part {
	byID := map[string]*report.Part{}
	var all []*report.Part
	end := r.ms(time.Now())
	for _, e := range r.watch.events {
		p := byID[e.ID]
		if p == nil {
			p = &report.Part{ID: e.ID}
			byID[e.ID] = p
			all = append(all, p)
		}
		if n := len(p.Spans); n > 0 {
			p.Spans[n-1].ToMS = r.ms(e.at)
		}
		span := report.Span{FromMS: r.ms(e.at), ToMS: end, Kind: map[string]string{"started": "starting", "up": "up", "ended": "down"}[e.Kind]}
		span.Text = fmt.Sprintf("%s, process %d", span.Kind, e.PID)
		if e.Kind == "ended" && !e.Asked {
			span.Text += ", by itself"
		}
		p.Spans = append(p.Spans, span)
	}
	slices.SortFunc(all, func(a, b *report.Part) int { return cmp.Compare(a.ID, b.ID) })
	var out []report.Part
	for _, p := range all {
		out = append(out, *p)
	}
	return out
}

func (r *run) calls(made *report.Report) {
	if r.load == nil {
		return
	}
	operations, _ := r.load.Operations()
	var took []int64
	for _, o := range operations {
		if o.Err == "" {
			took = append(took, o.Done.Sub(o.Begun).Milliseconds())
		}
		if len(made.Operations) < rowsMax {
			made.Operations = append(made.Operations, report.Operation{FromMS: r.ms(o.Begun), ToMS: r.ms(o.Done), Kind: o.Kind, Err: o.Err})
		}
	}
	slices.Sort(took)
	made.Figures.Operations = len(operations)
	if n := len(took); n > 0 {
		made.Figures.OpP50MS, made.Figures.OpP99MS, made.Figures.OpMaxMS = took[n/2], took[n*99/100], took[n-1]
	}
}

func (r *run) attempts(made *report.Report) {
	names := map[uint64]string{}
	if r.evidence.Journal != nil {
		for uid, s := range r.evidence.Journal.Submitted { //order: into a map
			names[uid] = s.Name
		}
	}
	seen := map[[2]uint64]bool{}
	for _, a := range r.evidence.Attempts {
		at := [2]uint64{a.UID, a.Index}
		if len(made.Attempts) < rowsMax {
			row := report.Attempt{
				Node: a.Node, FromMS: r.ms(a.Begun), Index: a.Index, Fence: a.Fence, Restart: seen[at],
				Job: cmp.Or(names[a.UID], fmt.Sprint("job ", a.UID)),
			}
			if !a.Ended.IsZero() {
				row.ToMS = r.ms(a.Ended)
			}
			made.Attempts = append(made.Attempts, row)
		}
		seen[at] = true
	}
}

func (r *run) figures(made *report.Report) {
	e, f := &r.evidence, &made.Figures
	f.Faults = len(made.Faults)
	for _, x := range made.Faults {
		if x.Skipped != "" {
			f.Skipped++
		}
	}
	if r.load != nil {
		acks, unanswered := r.load.Acks()
		f.Acknowledged, f.Unanswered = len(acks), len(unanswered)
	}
	for _, c := range made.Checks {
		if c.Name == "acknowledged" {
			f.Lost = c.Broken
		}
	}
	f.Attempts, f.Restarted = len(e.Attempts), audit.Restarts(e.Attempts)
	if e.Journal != nil {
		f.Epochs, f.Records = len(e.Journal.Epochs), e.Journal.Records
	}
	f.NoStartMS = r.noStart(e.Attempts)
	var silent time.Time
	for _, s := range e.Seen {
		switch {
		case s.Err != "" && silent.IsZero():
			silent = s.At
		case s.Err == "" && !silent.IsZero():
			f.SilentMS = max(f.SilentMS, s.At.Sub(silent).Milliseconds())
			silent = time.Time{}
		}
	}
}

// noStart is the longest time in which no attempt began, while work came.
func (r *run) noStart(attempts []load.Attempt) int64 {
	if r.o.Scenario.Load.Every == 0 {
		return 0
	}
	longest, last, end := time.Duration(0), r.start, r.start.Add(r.o.Scenario.Duration.Std())
	for _, a := range attempts {
		if a.Begun.After(r.start) && last.Before(end) {
			longest = max(longest, a.Begun.Sub(last))
			last = a.Begun
		}
	}
	return longest.Milliseconds()
}
