package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// slowLog answers an append when the test says so.
type slowLog struct {
	journal.Log
	now     func() time.Time
	waiting []func()
	// heard is told when an append that succeeds was sent; nil for nobody.
	heard func(sent time.Time)
}

func (l *slowLog) Append(seq uint64, data []byte, done func(error)) {
	sent := l.now()
	l.waiting = append(l.waiting, func() {
		l.Log.Append(seq, data, func(err error) {
			if err == nil && l.heard != nil {
				l.heard(sent)
			}
			done(err)
		})
	})
}

func (l *slowLog) answer() bool {
	if len(l.waiting) == 0 {
		return false
	}
	first := l.waiting[0]
	l.waiting = l.waiting[1:]
	first()
	return true
}

type rig struct {
	t     *testing.T
	step  *kit.Stepper
	sys   *kit.System
	log   *slowLog
	snaps *memlog.Snapshots
	env   *msg.Env
	ref   kit.Ref
	asker kit.Ref
	got   []any
	// heard is told of what the asker gets; nil for nobody.
	heard func(any)
	// backlog is what the gateway was last told.
	backlog msg.Backlog
	seen    []*v1.JobEvent
}

// now saves snapshots at once, on the caller's goroutine.
type now struct {
	snaps journal.Snapshots
	seq   uint64
}

func (n *now) Save(seq uint64, entries [][]byte, done func(error)) bool {
	err := n.snaps.Save(context.Background(), seq, entries)
	n.seq = seq
	done(err)
	return true
}
func (n *now) Newest() uint64 { return n.seq }

func newRig(t *testing.T, snapshotEvery uint64) *rig {
	mem := memlog.New(memlog.Options{})
	r := &rig{t: t, step: kit.NewStepper(1, time.Unix(1, 0)), snaps: memlog.NewSnapshots()}
	r.log = &slowLog{Log: mem, now: r.step.Now}
	state, err := journal.Recover(t.Context(), mem, r.snaps)
	if err == nil {
		_, err = journal.Begin(t.Context(), mem, state, "test", r.step.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	r.sys = kit.New(kit.Config{Name: "test", Stepper: r.step})
	env := &msg.Env{Cell: "test", Epoch: state.Epoch(), Limits: msg.DefaultLimits()}
	r.env = env
	env.Refs.Gateway = r.sys.Port("gateway", func(m any, _ kit.Ref) {
		if b, is := m.(*msg.Backlog); is {
			r.backlog = *b
		}
	})
	env.Refs.Queues = env.Refs.Gateway
	ready := make(chan struct{})
	_, err = r.sys.Start(kit.Spec{Name: "top", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{{Name: "journal", Restart: kit.Escalating, New: func() kit.Behavior {
				return journal.New(journal.Config{
					Env: env, State: state, Log: r.log, Snap: &now{snaps: r.snaps}, SnapshotRecords: snapshotEvery,
					Publish: func(e *v1.JobEvent) { r.seen = append(r.seen, e) },
				})
			}}},
			Ready: func(_ *kit.Context, refs []kit.Ref) { r.ref = refs[0]; close(ready) },
		}
	}})
	if err == nil {
		err = r.sys.Await(t.Context(), ready)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.asker = r.sys.Port("asker", func(m any, _ kit.Ref) {
		r.got = append(r.got, m)
		if r.heard != nil {
			r.heard(m)
		}
	})
	return r
}

func (r *rig) run() {
	for r.step.Step(r.step.Now()) {
	}
}

func (r *rig) settle() {
	for r.run(); r.log.answer(); r.run() {
	}
}

func queueSet(name string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: &v1.QueueSpec{Name: name}}}}
}

func (r *rig) commit(token uint64, events ...*v1.Event) {
	r.sys.TellFrom(r.asker, r.ref, &msg.Commit{Events: events, Then: []msg.Send{{To: r.asker, Message: &msg.Committed{Token: token}}}})
}

func TestB14_NothingLeavesBeforeItIsDurable(t *testing.T) {
	r := newRig(t, 0)
	for i := range uint64(50) {
		r.commit(i, queueSet(fmt.Sprintf("q%d", i)))
		if i%3 == 0 {
			r.commit(1000 + i) // a barrier: it must not overtake what is before it
		}
		r.sys.TellFrom(r.asker, r.ref, &msg.ReadCell{})
	}
	r.run()
	if len(r.got) != 0 {
		t.Fatalf("%d messages left before anything was durable", len(r.got))
	}
	appends := 0
	for r.log.answer() {
		appends++
		r.run()
	}
	if appends > 3 {
		t.Errorf("%d appends for 50 commits that came together: they were not grouped", appends)
	}
	next := uint64(0)
	for _, m := range r.got {
		switch m := m.(type) {
		case *msg.Committed:
			if m.Token < 1000 {
				if m.Token != next {
					t.Fatalf("commit %d was answered where %d belongs", m.Token, next)
				}
				next++
			}
		case *msg.CellRead:
			if len(m.Queues) > int(next) {
				t.Fatalf("a read saw %d queues when %d were acknowledged before it", len(m.Queues), next)
			}
		}
	}
	if next != 50 {
		t.Fatalf("%d of 50 commits were answered", next)
	}
}

func TestB14_ARefusedCommitHarmsNoOther(t *testing.T) {
	r := newRig(t, 0)
	r.commit(1, queueSet("a"))
	r.commit(2, &v1.Event{Kind: &v1.Event_QueueRemoved{QueueRemoved: &v1.QueueRemoved{Queue: "missing"}}})
	r.commit(3, queueSet("b"))
	r.commit(4)
	r.settle()
	refused, committed := 0, 0
	for _, m := range r.got {
		switch m.(type) {
		case *msg.CommitRefused:
			refused++
		case *msg.Committed:
			committed++
		}
	}
	if refused != 1 || committed != 3 {
		t.Fatalf("refused %d, committed %d", refused, committed)
	}
	state, err := journal.Recover(t.Context(), r.log.Log, nil)
	if err != nil || len(state.Queues()) != 2 {
		t.Fatalf("log holds %v queues, %v", state, err)
	}
}

func TestB14_AFailedAppendEndsTheReign(t *testing.T) {
	r := newRig(t, 0)
	r.commit(1, queueSet("a"))
	r.run()
	_ = r.log.Log.Close()
	r.log.answer()
	for r.step.Step(r.step.Now().Add(time.Minute)) {
	}
	if !errors.Is(r.sys.Err(), journal.ErrClosed) {
		t.Fatalf("the system goes on after a failed append: %v", r.sys.Err())
	}
	if len(r.got) != 0 {
		t.Fatalf("an answer left although the append failed: %v", r.got)
	}
}

func TestS5_F30_SnapshotAndTailAreTheState(t *testing.T) {
	r := newRig(t, 10)
	for i := range 95 {
		r.commit(uint64(i), queueSet(fmt.Sprintf("q%d", i)))
		r.settle()
	}
	seq, _, err := r.snaps.Load(t.Context())
	if err != nil || seq < 80 {
		t.Fatalf("newest snapshot is of record %d of 96: %v", seq, err)
	}
	fast, err := journal.Recover(t.Context(), r.log.Log, r.snaps)
	if err != nil {
		t.Fatal(err)
	}
	full, err := journal.Recover(t.Context(), r.log.Log, nil)
	if err != nil {
		t.Fatal(err)
	}
	if fast.Digest() != full.Digest() || len(fast.Queues()) != 95 {
		t.Fatal("snapshot + tail is not the full replay")
	}
}

func TestB45_EventsFollowTheirCommit(t *testing.T) {
	r := newRig(t, 0)
	spec := &v1.JobSpec{Name: "j", Queue: "a", Stages: []*v1.StageSpec{{Name: "s", Command: []string{"true"}}}}
	plan, problems := model.Compile(spec)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r.commit(1, queueSet("a"))
	r.commit(2, &v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{Uid: 1, Spec: plan.Spec}}})
	r.run()
	if len(r.seen) != 0 {
		t.Fatal("an event was published before it was durable")
	}
	r.settle()
	if len(r.seen) != 1 || r.seen[0].GetKind() != "submitted" || r.seen[0].GetSeq() != 3 || r.seen[0].GetEpoch() != 1 {
		t.Fatalf("published %v", r.seen)
	}
}

func TestB41_WatchersSeeWhereWorkWasMovedAway(t *testing.T) {
	r := newRig(t, 0)
	r.commit(1, queueSet("q"), &v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{
		Uid: 1, Spec: &v1.JobSpec{Queue: "q", Name: "j", Stages: []*v1.StageSpec{{Name: "s", Instances: 2}}}}}},
		&v1.Event{Kind: &v1.Event_NodeJoined{NodeJoined: &v1.NodeJoined{Info: &v1.NodeInfo{Id: "n"}}}},
		&v1.Event{Kind: &v1.Event_NodeTainted{NodeTainted: &v1.NodeTainted{Node: "n", Taints: []*v1.Taint{{Key: "gpu", Value: "yes"}}}}},
		&v1.Event{Kind: &v1.Event_NodeDrained{NodeDrained: &v1.NodeDrained{Node: "n", Drained: true, Maintenance: true, Reason: "disk"}}},
		&v1.Event{Kind: &v1.Event_InstancesEvicted{InstancesEvicted: &v1.InstancesEvicted{Queue: "q", Name: "j", Uid: 1, StageName: "s",
			Evictions: []*v1.Eviction{{Index: 0, Node: "m", Rule: "priority"}, {Index: 1, Node: "n", Rule: "priority", For: "p/web", Reason: "batch/0 < production/0"}}}}},
		&v1.Event{Kind: &v1.Event_NodeDrained{NodeDrained: &v1.NodeDrained{Node: "n"}}})
	r.settle()
	var got []string
	for _, e := range r.seen {
		got = append(got, fmt.Sprintf("%s/%s %s %d %s %s %s", e.GetQueue(), e.GetJob(), e.GetKind(), e.GetEvicted(), e.GetNode(), e.GetPhase(), e.GetReason()))
	}
	want := []string{
		"q/j submitted 0   ",
		"_/_ tainted 0 n  gpu=yes:no_place",
		"_/_ drained 0 n maintenance disk",
		"q/j evicted 2 n  priority for p/web: batch/0 < production/0",
		"_/_ undrained 0 n  ",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("watchers saw\n%q\nwant\n%q", got, want)
	}
}
