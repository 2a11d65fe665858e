package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/troupe-sched/troupe/chaos/history"
)

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func sortedPairs[V any](m map[[2]uint64]V) [][2]uint64 {
	return slices.SortedFunc(maps.Keys(m), func(a, b [2]uint64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
}

func capacity(e *Evidence, c *Check) {
	most := int64(0)
	for _, m := range e.Moments {
		held := map[string]int64{}
		for _, a := range m.Attempts {
			held[a.Node] += e.CPUMilli
		}
		for _, node := range sorted(held) {
			c.Checked++
			most = max(most, held[node])
			if held[node] > e.CapacityMilli {
				c.broke(fmt.Sprintf("at %s %d milli-cores run on %s, which has %d", m.At.Format("15:04:05.000"), held[node], node, e.CapacityMilli))
			}
		}
	}
	if c.Checked > 0 {
		c.Note = fmt.Sprintf("at most %d of %d milli-cores of a node were seen in use", most, e.CapacityMilli)
	}
}

func known(e *Evidence, c *Check) {
	c.Checked = len(e.Running)
	for _, fence := range e.Running {
		if !slices.Contains(e.Known, fence) {
			c.broke(fmt.Sprintf("fence %d runs, and the cell does not know of it", fence))
		}
	}
	for _, fence := range e.Known {
		if !slices.Contains(e.Running, fence) {
			c.broke(fmt.Sprintf("the cell says that fence %d runs, which it does not", fence))
		}
	}
}

func stopped(e *Evidence, c *Check) {
	if e.Processes > 0 {
		c.Checked = len(e.Attempts)
	}
	for _, a := range e.AfterStop {
		c.broke(fmt.Sprintf("fence %d of job %s still runs on %s as %v", a.Fence, a.Job, a.Node, a.PIDs))
	}
}

func finishes(e *Evidence, c *Check) {
	c.Checked = len(e.Acks)
	for _, text := range e.Late {
		c.broke(fmt.Sprintf("%s, %v after the last fault", text, e.Quiet))
	}
}

func noCrash(e *Evidence, c *Check) {
	c.Checked = e.Processes
	failed := 0
	for _, end := range e.Ends {
		if !end.Up && end.Code == 1 {
			failed++ // it said that it cannot start, and was started again
			continue
		}
		how := fmt.Sprintf("with exit code %d", end.Code)
		if end.Code < 0 {
			how = "by a signal"
		}
		c.broke(fmt.Sprintf("%s, process %d, ended %s, and no fault asked for it", end.ID, end.PID, how))
	}
	for _, line := range e.Panics {
		c.broke(line)
	}
	if failed > 0 {
		c.Note = fmt.Sprintf("%d starts failed with an error and were tried again", failed)
	}
}

func order(e *Evidence, c *Check) {
	c.Checked = e.Processes
	for _, text := range e.Disorder {
		c.broke(text)
	}
	if len(e.Left) > 0 {
		c.broke(fmt.Sprintf("processes %v of the cell are still there", e.Left))
	}
}

func ledgers(e *Evidence, c *Check) {
	for _, l := range e.Ledgers {
		c.Checked++
		switch {
		case l.Err != nil:
			c.broke(fmt.Sprintf("the ledger of %s cannot be read: %v", l.Node, l.Err))
		case l.Slots > 0:
			c.broke(fmt.Sprintf("the ledger of %s still holds %d slots with %d milli-cores", l.Node, l.Slots, l.HeldMilli))
		}
		if e.Journal != nil && len(e.Journal.Epochs) > 0 && l.Epoch > e.Journal.Epochs[len(e.Journal.Epochs)-1] {
			c.broke(fmt.Sprintf("%s has seen epoch %d, the last that began is %d", l.Node, l.Epoch, e.Journal.Epochs[len(e.Journal.Epochs)-1]))
		}
	}
}

func flat(e *Evidence, c *Check) {
	c.Checked = e.Rows
	if e.Rows == 0 {
		c.Note = "nobody looked long enough to tell"
	}
	for _, text := range e.Growth {
		c.broke(text)
	}
}

func linearizable(e *Evidence, c *Check) {
	c.Checked = len(e.History)
	if len(e.History) == 0 {
		return
	}
	r := history.Check(e.History, historyWithin)
	c.Note = fmt.Sprintf("%d names, %d operations of unknown outcome, %d names undecided", r.Jobs, r.Unknown, r.UndecidedJobs)
	for _, f := range r.Findings {
		text := f.Job + ": " + f.Problem
		for _, op := range f.Ops {
			text += "\n  " + op
		}
		c.broke(text)
	}
}
