package audit

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/load"
)

// historyWithin bounds the judgement of a history.
const historyWithin = 30 * time.Second

// promise is one check: its name, the numbers of the invariants of the house that it looks after, what it promises, and
// what breaks it.
type promise struct {
	name       string
	invariants []int
	text       string
	judge      func(*Evidence, *Check)
}

func promises() []promise {
	return []promise{
		{"acknowledged", []int{1}, "A submit that was acknowledged is there in the end, in the journal and in the answers", acknowledged},
		{"one job a key", []int{19}, "One idempotency key makes one job, however often it is tried", oneJobAKey},
		{"one result", []int{2, 18}, "An instance has one result, of one attempt that ran to its end", oneResult},
		{"fences", []int{2, 3}, "A fence runs once, and those of an instance grow", fences},
		{"nothing restarts", []int{26}, "No attempt begins anew because a master, an agent or a link failed", restarts},
		{"terminal", []int{6}, "A job ends once, an instance is done once, and what the journal says the cell says too", terminal},
		{"epochs", []int{3}, "Epochs only grow, in the journal and in what the cell answers", epochs},
		{"journal", []int{4, 8, 9, 10}, "The journal has no gap, no double, no damage, and makes the same state again", chain},
		{"capacity", []int{5}, "What runs on a node is never more than the node has", capacity},
		{"known", []int{7}, "When all is quiet, what runs is what the cell says runs", known},
		{"stopped", []int{21}, "When a job has ended, nothing of it runs any more", stopped},
		{"finishes", []int{22}, "When the faults stop, every job that can finish does", finishes},
		{"no crash", []int{23}, "No process dies but by the hand of a fault", noCrash},
		{"order", nil, "What is asked to end ends in order, and leaves no process behind", order},
		{"ledgers", []int{3, 7}, "An agent's ledger holds nothing in the end, and no epoch that never was", ledgers},
		{"flat", []int{24}, "Processes do not grow over time: not in memory, not in goroutines, not in files that are open", flat},
		{"linearizable", []int{20}, "Clients are told what one cell without any fault could have told them", linearizable},
	}
}

// Judge makes every check.
func Judge(e *Evidence) []Check {
	var all []Check
	for _, p := range promises() {
		c := Check{Name: p.name, Invariants: p.invariants, Promise: p.text}
		p.judge(e, &c)
		all = append(all, c)
	}
	return all
}

func acknowledged(e *Evidence, c *Check) {
	for _, ack := range e.Acks {
		c.Checked++
		switch status := e.Jobs[ack.Job]; {
		case status == nil && (e.Journal.forgot(ack.UID) || e.Journal.trimmed(ack.UID)):
		case status == nil:
			c.broke(fmt.Sprintf("job %s, acknowledged as %d, is not known to the cell", ack.Job, ack.UID))
		case status.GetUid() != ack.UID:
			c.broke(fmt.Sprintf("job %s was acknowledged as %d, the cell has %d under that name", ack.Job, ack.UID, status.GetUid()))
		}
		if e.Journal != nil && e.Journal.Whole && e.Journal.Submitted[ack.UID].Key != ack.Key {
			c.broke(fmt.Sprintf("job %s, acknowledged as %d, is not in the journal under its key", ack.Job, ack.UID))
		}
	}
	for _, op := range e.History {
		if op.Kind == history.Submit && op.Outcome == history.Done && e.Journal != nil && e.Journal.Whole {
			c.Checked++
			if e.Journal.Submitted[op.UID].Key != op.Key {
				c.broke(fmt.Sprintf("a client was told that %s is job %d, which is not in the journal under that key", op.Key, op.UID))
			}
		}
	}
}

func oneJobAKey(e *Evidence, c *Check) {
	uids := map[string]uint64{}
	note := func(key string, uid uint64, who string) {
		c.Checked++
		if first, ok := uids[key]; ok && first != uid {
			c.broke(fmt.Sprintf("key %s made job %d and, says %s, job %d", key, first, who, uid))
			return
		}
		uids[key] = uid
	}
	for _, ack := range e.Acks {
		note(ack.Key, ack.UID, "a client")
	}
	if e.Journal != nil {
		for _, uid := range sorted(e.Journal.Submitted) {
			note(e.Journal.Submitted[uid].Key, uid, "the journal")
		}
	}
}

// byInstance groups attempts.
func byInstance(attempts []load.Attempt) map[[2]uint64][]load.Attempt {
	m := map[[2]uint64][]load.Attempt{}
	for _, a := range attempts {
		m[[2]uint64{a.UID, a.Index}] = append(m[[2]uint64{a.UID, a.Index}], a)
	}
	return m
}

func oneResult(e *Evidence, c *Check) {
	attempts := byInstance(e.Attempts)
	for _, ack := range e.Acks {
		results := e.Results[ack.Job]
		switch {
		case ack.Service, e.Journal.trimmed(ack.UID):
			continue
		case e.Journal.forgot(ack.UID):
			results = e.Journal.Results[ack.UID]
		case e.Jobs[ack.Job].GetPhase() != model.PhaseSucceeded:
			continue
		}
		seen := map[uint64]bool{}
		for _, r := range results {
			c.Checked++
			if seen[r.GetIndex()] {
				c.broke(fmt.Sprintf("instance %d of %s has two results", r.GetIndex(), ack.Job))
			}
			seen[r.GetIndex()] = true
			fence, err := strconv.ParseUint(string(r.GetData()), 10, 64)
			ran := slices.ContainsFunc(attempts[[2]uint64{ack.UID, r.GetIndex()}], func(a load.Attempt) bool { return a.Fence == fence && a.Ends == 1 })
			if err != nil || !ran {
				c.broke(fmt.Sprintf("the result of instance %d of %s is %.40q, of no attempt that ran to its end", r.GetIndex(), ack.Job, r.GetData()))
			}
		}
		if len(seen) != ack.Instances {
			c.broke(fmt.Sprintf("job %s succeeded with %d results of %d instances", ack.Job, len(seen), ack.Instances))
		}
	}
}

func fences(e *Evidence, c *Check) {
	for _, a := range e.Attempts {
		c.Checked++
		if a.Begins != 1 || a.Ends > 1 {
			c.broke(fmt.Sprintf("fence %d of job %d began %d times and ended %d times", a.Fence, a.UID, a.Begins, a.Ends))
		}
	}
	instances := byInstance(e.Attempts)
	for _, at := range sortedPairs(instances) {
		list := instances[at]
		for i := 1; i < len(list); i++ { // they are sorted by their begin
			if list[i].Fence <= list[i-1].Fence {
				c.broke(fmt.Sprintf("instance %d of job %d began under fence %d after fence %d", at[1], at[0], list[i].Fence, list[i-1].Fence))
			}
		}
	}
}

// Restarts counts the attempts that were not the first of their instance.
func Restarts(attempts []load.Attempt) int {
	return len(attempts) - len(byInstance(attempts))
}

func restarts(e *Evidence, c *Check) {
	instances := byInstance(e.Attempts)
	c.Checked = len(instances)
	if n := Restarts(e.Attempts); e.RestartsAllowed {
		c.Note = fmt.Sprintf("%d attempts began anew, which the scenario allows", n)
		return
	}
	for _, at := range sortedPairs(instances) {
		if n := len(instances[at]); n > 1 {
			c.broke(fmt.Sprintf("instance %d of job %d began %d times", at[1], at[0], n))
		}
	}
	for _, ack := range e.Acks {
		if n := e.Jobs[ack.Job].GetCounts().GetFailedAttempts(); n > 0 {
			c.broke(fmt.Sprintf("%d attempts of %s failed", n, ack.Job))
		}
	}
}

func terminal(e *Evidence, c *Check) {
	if e.Journal == nil {
		c.Note = "the journal was not read"
		return
	}
	c.Checked = len(e.Journal.Ended)
	for _, text := range e.Journal.Twice {
		c.broke(text)
	}
	for _, ack := range e.Acks {
		ended := e.Journal.Ended[ack.UID]
		if status := e.Jobs[ack.Job]; status != nil && status.GetUid() == ack.UID && status.GetEndedUnixMs() != 0 && ended != status.GetPhase() && e.Journal.Whole {
			c.broke(fmt.Sprintf("job %s is %s, in the journal it is %q", ack.Job, status.GetPhase(), ended))
		}
	}
}

func epochs(e *Evidence, c *Check) {
	if e.Journal != nil {
		for i, epoch := range e.Journal.Epochs {
			c.Checked++
			if i > 0 && epoch <= e.Journal.Epochs[i-1] {
				c.broke(fmt.Sprintf("epoch %d begins after epoch %d", epoch, e.Journal.Epochs[i-1]))
			}
		}
	}
	var newest Seen
	for _, s := range e.Seen {
		if s.Err != "" {
			continue
		}
		c.Checked++
		if s.Epoch < newest.Epoch || s.Seq < newest.Seq {
			c.broke(fmt.Sprintf("the cell answers from epoch %d, record %d, after it has answered from epoch %d, record %d", s.Epoch, s.Seq, newest.Epoch, newest.Seq))
		}
		newest = s
	}
}

func chain(e *Evidence, c *Check) {
	if e.JournalErr != nil {
		c.broke(fmt.Sprintf("the journal cannot be read: %v", e.JournalErr))
	}
	if e.Journal == nil {
		return
	}
	c.Checked = e.Journal.Records
	if e.Journal.Wrong != nil {
		c.broke(e.Journal.Wrong.Error())
	}
	if !e.Journal.Whole {
		c.Note = fmt.Sprintf("it begins with record %d; what was before is in snapshots", e.Journal.First)
	}
}
