// Package journaltest holds the conformance suites of the ports of package journal, and draws random journals that a
// cell could have written.
package journaltest

import (
	"fmt"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"pgregory.net/rapid"
)

// Stored is one record as it is stored.
type Stored struct {
	Record *v1.Record
	Data   []byte
}

// Draw draws up to max records, each valid after the ones before it, and returns them with the state that they lead to.
// The first starts an epoch; they hold every kind of event.
func Draw(t *rapid.T, max int) ([]Stored, *model.State) {
	d := &drawer{t: t, state: model.NewState(), shadow: model.NewState()}
	n := rapid.IntRange(1, max).Draw(t, "records")
	stored := make([]Stored, 0, n)
	for range n {
		stored = append(stored, d.record())
	}
	return stored, d.state
}

// drawer draws events against shadow, which runs ahead of state by the events of the record that is being made.
type drawer struct {
	t             *rapid.T
	state, shadow *model.State
	clock         int64
}

func (d *drawer) record() Stored {
	rec := &v1.Record{Seq: d.state.Seq() + 1, Epoch: d.state.Epoch(), Prev: journal.Prev(d.state), TimeUnixNano: d.tick()}
	d.shadow = d.state.Clone()
	if d.state.Seq() == 0 || d.oneIn(8, "new epoch") {
		rec.Epoch += uint64(rapid.IntRange(1, 3).Draw(d.t, "epochs"))
		rec.Events = append(rec.Events, &v1.Event{Kind: &v1.Event_EpochStarted{
			EpochStarted: &v1.EpochStarted{Epoch: rec.Epoch, Host: d.name("host")}}})
	}
	for range rapid.IntRange(0, 4).Draw(d.t, "events") {
		ev := d.event()
		if ev == nil {
			continue
		}
		rec.Events = append(rec.Events, ev)
		// What is drawn next must see it: apply the record so far to a fresh copy.
		d.shadow = d.state.Clone()
		if err := d.shadow.Apply(rec, [32]byte{}); err != nil {
			d.t.Fatalf("drew an event that is not valid: %v: %v", err, ev)
		}
	}
	data, hash, err := journal.EncodeRecord(rec)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.state.Apply(rec, hash); err != nil {
		d.t.Fatalf("drew a record that is not valid: %v: %v", err, rec)
	}
	return Stored{Record: rec, Data: data}
}

func (d *drawer) tick() int64 {
	d.clock += int64(rapid.IntRange(1, 1000).Draw(d.t, "ns"))
	return d.clock
}

func (d *drawer) oneIn(n int, label string) bool {
	return rapid.IntRange(1, n).Draw(d.t, label) == n
}

// name draws from few names, so that they meet again.
func (d *drawer) name(prefix string) string {
	return fmt.Sprintf("%s%d", prefix, rapid.IntRange(0, 3).Draw(d.t, prefix))
}

// event draws one event that shadow admits, or nil if the kind drawn is not possible now.
func (d *drawer) event() *v1.Event {
	switch rapid.IntRange(0, 14).Draw(d.t, "kind") {
	case 0:
		spec := &v1.QueueSpec{Name: d.name("q"), MaxJobs: int64(rapid.IntRange(0, 9).Draw(d.t, "max"))}
		return &v1.Event{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: spec}}}
	case 1:
		if q := d.shadow.Queue(d.name("q")); q != nil && q.LiveJobs() == 0 && d.oneIn(3, "remove") {
			return &v1.Event{Kind: &v1.Event_QueueRemoved{QueueRemoved: &v1.QueueRemoved{Queue: q.Spec.GetName()}}}
		}
	case 2, 3, 4:
		return d.submit()
	case 5:
		info := &v1.NodeInfo{Id: d.name("n"), CpuMilli: 1000, Attributes: map[string]string{"os": "linux", d.name("a"): d.name("v"), "z": ""}}
		return &v1.Event{Kind: &v1.Event_NodeJoined{NodeJoined: &v1.NodeJoined{Info: info}}}
	case 6:
		if n := d.shadow.Node(model.NodeID(d.name("n"))); n != nil {
			return &v1.Event{Kind: &v1.Event_NodeDrained{NodeDrained: &v1.NodeDrained{
				Node: string(n.ID), Drained: rapid.Bool().Draw(d.t, "drained"), Reason: d.name("r"),
				Maintenance: rapid.Bool().Draw(d.t, "maintenance"), Evict: rapid.Bool().Draw(d.t, "evict")}}}
		}
	case 7:
		if n := d.shadow.Node(model.NodeID(d.name("n"))); n != nil {
			return &v1.Event{Kind: &v1.Event_NodeRemoved{NodeRemoved: &v1.NodeRemoved{Node: string(n.ID)}}}
		}
	case 8:
		return d.taint()
	default:
		if jobs := d.shadow.Jobs(); len(jobs) > 0 {
			return d.change(rapid.SampledFrom(jobs).Draw(d.t, "job"))
		}
	}
	return nil
}

// taint replaces the taints of a node, perhaps by none.
func (d *drawer) taint() *v1.Event {
	n := d.shadow.Node(model.NodeID(d.name("n")))
	if n == nil {
		return nil
	}
	e := &v1.NodeTainted{Node: string(n.ID)}
	for range rapid.IntRange(0, 2).Draw(d.t, "taints") {
		e.Taints = append(e.Taints, &v1.Taint{Key: d.name("k"), Value: d.name("v"), Effect: model.TaintAvoid})
	}
	return &v1.Event{Kind: &v1.Event_NodeTainted{NodeTainted: e}}
}

func (d *drawer) submit() *v1.Event {
	queues := d.shadow.Queues()
	if len(queues) == 0 {
		return nil
	}
	queue := rapid.SampledFrom(queues).Draw(d.t, "queue")
	spec := &v1.JobSpec{Queue: queue.Spec.GetName(), Name: d.name("j"), Labels: map[string]string{d.name("l"): "1", "m": "2"}}
	for i := range rapid.IntRange(1, 3).Draw(d.t, "stages") {
		spec.Stages = append(spec.Stages, &v1.StageSpec{
			Name:      fmt.Sprintf("s%d", i),
			Instances: rapid.SampledFrom([]int64{1, 2, 63, 64, 65, 200}).Draw(d.t, "instances"),
			Env:       map[string]string{"A": "1", "B": "2", d.name("E"): "3"},
		})
	}
	if newest := d.shadow.Newest(model.JobID{Queue: spec.Queue, Name: spec.Name}); newest != nil && !newest.Ended() {
		return nil
	}
	key := d.name("k")
	if queue.Key(key) != nil {
		key = ""
	}
	// Uids may be left out: a refused submit has taken one.
	uid := uint64(d.shadow.NextUID()) + uint64(rapid.IntRange(0, 2).Draw(d.t, "skipped uids"))
	return &v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{Uid: uid, Spec: spec, Key: key, TimeUnixNano: d.tick()}}}
}

// change draws an event of a job.
func (d *drawer) change(job *model.JobState) *v1.Event {
	uid, queue, name := uint64(job.UID), job.ID.Queue, job.ID.Name
	if job.Ended() {
		return &v1.Event{Kind: &v1.Event_JobForgotten{JobForgotten: &v1.JobForgotten{Queue: queue, Name: name, Uid: uid}}}
	}
	if d.oneIn(10, "stop") {
		return &v1.Event{Kind: &v1.Event_JobStopRequested{JobStopRequested: &v1.JobStopRequested{Queue: queue, Name: name, Uid: uid, Reason: d.name("r")}}}
	}
	if job.AllDone() || d.oneIn(10, "end") {
		phase := model.PhaseFailed
		if job.AllDone() {
			phase = model.PhaseSucceeded
		}
		return &v1.Event{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{
			Queue: queue, Name: name, Uid: uid, Phase: phase, Reason: d.name("r"), TimeUnixNano: d.tick()}}}
	}
	stage := rapid.IntRange(0, job.Stages()-1).Draw(d.t, "stage")
	if d.oneIn(4, "evict") {
		return d.evict(job, stage)
	}
	e := &v1.JobProgressed{Queue: queue, Name: name, Uid: uid, Stage: uint32(stage)}
	d.progress(job, stage, e)
	return &v1.Event{Kind: &v1.Event_JobProgressed{JobProgressed: e}}
}

// evict ends attempts of some open instances for somebody else.
func (d *drawer) evict(job *model.JobState, stage int) *v1.Event {
	e := &v1.InstancesEvicted{Queue: job.ID.Queue, Name: job.ID.Name, Uid: uint64(job.UID), Stage: uint32(stage)}
	for from := uint64(0); len(e.Evictions) < rapid.SampledFrom([]int{1, 2, 30}).Draw(d.t, "evictions"); {
		i, found := job.NextOpen(stage, from)
		if !found {
			break
		}
		from = i + 1
		e.Evictions = append(e.Evictions, &v1.Eviction{
			Index: i, Fence: uint64(d.clock), Node: d.name("n"), Rule: "priority", For: "q0/" + d.name("j"), TimeUnixNano: d.tick()})
	}
	if len(e.Evictions) == 0 {
		return nil
	}
	return &v1.Event{Kind: &v1.Event_InstancesEvicted{InstancesEvicted: e}}
}

// progress settles some of the open instances.
func (d *drawer) progress(job *model.JobState, stage int, e *v1.JobProgressed) {
	from := uint64(0)
	for range rapid.IntRange(1, 4).Draw(d.t, "steps") {
		from += uint64(rapid.IntRange(0, 80).Draw(d.t, "gap"))
		i, found := job.NextOpen(stage, from)
		if !found {
			return
		}
		from = i + 1
		failures := job.Failures(stage, i)
		if d.oneIn(3, "fails") {
			final := d.oneIn(3, "dies")
			e.Failures = append(e.Failures, &v1.InstanceFailure{
				Index: i, Failures: failures + 1, Final: final, Node: d.name("n"), ExitCode: 1, TimeUnixNano: d.tick()})
			if final || d.oneIn(2, "stays open") {
				continue
			}
		}
		to := i + 1
		for n := rapid.IntRange(0, 70).Draw(d.t, "run"); n > 0; n-- {
			if next, ok := job.NextOpen(stage, to); !ok || next != to {
				break
			}
			to++
		}
		e.Done = append(e.Done, &v1.Range{From: i, To: to})
		if d.oneIn(2, "result") {
			e.Results = append(e.Results, &v1.InstanceResult{Index: to - 1, Data: []byte(d.name("result"))})
		}
		from = to
	}
	// The order within an event means nothing.
	if d.oneIn(3, "shuffle") {
		e.Done = rapid.Permutation(e.Done).Draw(d.t, "order")
	}
}
