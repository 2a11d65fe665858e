package tree_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/node/nodetest"
	"github.com/troupe-sched/troupe/actors/tree"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var start = time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)

// spare makes the steppers of all worlds, which are not parallel.
var spare = kit.NewStepper(0, start)

// world is one master over scripted agents, in virtual time.
type world struct {
	t     testing.TB
	step  *kit.Stepper
	sys   *kit.System
	env   *msg.Env
	log   *memlog.Log
	snaps *memlog.Snapshots
	fleet *nodetest.Fleet
}

// unsaved are snapshots that are never taken.
type unsaved struct{}

func (unsaved) Save(uint64, [][]byte, func(error)) bool { return false }
func (unsaved) Newest() uint64                          { return 0 }

// newWorld starts a master over so many agents with room for ten small slots each.
func newWorld(t testing.TB, seed uint64, nodes int, script func(*v1.Launch) nodetest.Outcome) *world {
	t.Helper()
	w := &world{t: t, step: spare.Next(seed, start), log: memlog.New(memlog.Options{}), snaps: memlog.NewSnapshots()}
	w.fleet = nodetest.New(nodetest.Config{Stepper: w.step, Script: script, Deliver: w.deliver})
	w.begin(nil)
	for i := range nodes {
		w.fleet.Join(info(fmt.Sprintf("n%d", i), 10))
	}
	return w
}

// info of a machine that has room for so many small slots.
func info(id string, slots int64) *v1.NodeInfo {
	return &v1.NodeInfo{Id: id, CpuMilli: 100 * slots, MemoryBytes: slots << 20, Drivers: []string{"process"}}
}

func (w *world) deliver(m *v1.FromAgent) {
	if w.env != nil && w.sys.Err() == nil {
		w.sys.Tell(w.env.Refs.Nodes, &msg.FromAgent{Message: m})
	}
}

// begin starts a master over what the log holds.
func (w *world) begin(change func(*tree.Config)) {
	w.t.Helper()
	log := w.log.Reopen()
	state, err := journal.Recover(context.Background(), log, w.snaps)
	if err == nil {
		_, err = journal.Begin(context.Background(), log, state, "test", w.step.Now())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.sys = kit.New(kit.Config{Name: "m", Stepper: w.step})
	c := tree.Config{Cell: "test", Host: "test", Limits: msg.DefaultLimits(), State: state, Log: log, Snap: unsaved{}, Fabric: w.fleet}
	if change != nil {
		change(&c)
	}
	if w.env, err = tree.Start(context.Background(), w.sys, c); err != nil {
		w.t.Fatal(err)
	}
}

// restless is how many messages may be handled at one instant before something is going round and round.
const restless = 20_000

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.within(d, func() bool { return false }) }

// within runs until ok says yes, for at most so long.
func (w *world) within(d time.Duration, ok func() bool) bool {
	w.t.Helper()
	until, now, n := w.step.Now().Add(d), w.step.Now(), 0
	for !ok() {
		if !w.step.Step(until) {
			return false
		}
		if n++; !w.step.Now().Equal(now) {
			now, n = w.step.Now(), 0
		} else if n > restless {
			w.t.Fatal("the actors never come to rest")
		}
	}
	return true
}

// call asks the gateway as a client does: again when it is busy or no answer comes.
func (w *world) call(call any) any {
	w.t.Helper()
	for range 20 {
		var answer any
		asker := w.sys.Port("asker", func(m any, _ kit.Ref) {
			if answer == nil {
				answer = m
			}
		})
		w.sys.TellFrom(asker, w.env.Refs.Gateway, &msg.Request{Call: call})
		w.within(2*time.Second, func() bool { return answer != nil })
		w.sys.ClosePort(asker)
		if f, refused := answer.(*model.Fault); refused && f.Temporary() {
			w.pass(f.RetryAfter)
			continue
		}
		switch answer.(type) {
		case nil, *kit.Lost, *kit.Busy:
			continue
		}
		return answer
	}
	w.t.Fatalf("no answer to %T %v", call, call)
	return nil
}

func request(call any) *msg.Request { return &msg.Request{Call: call} }

func (w *world) submit(job *v1.JobSpec) *v1.SubmitReply {
	w.t.Helper()
	answer := w.call(&v1.SubmitRequest{Job: job, Key: "key of " + job.Name})
	r, ok := answer.(*v1.SubmitReply)
	if !ok {
		w.t.Fatalf("submit of %s: %v", job.Name, answer)
	}
	return r
}

func (w *world) status(name string) *v1.JobStatus {
	w.t.Helper()
	answer := w.call(&v1.JobRef{Name: name})
	s, ok := answer.(*v1.JobStatus)
	if !ok {
		w.t.Fatalf("status of %s: %v", name, answer)
	}
	return s
}

// wait runs until the job has ended.
func (w *world) wait(name string) *v1.JobStatus {
	w.t.Helper()
	for range 600 {
		if s := w.status(name); s.EndedUnixMs != 0 {
			return s
		}
		w.pass(time.Second)
	}
	w.t.Fatalf("job %s does not end: %v\n%v", name, w.status(name), w.call(&v1.ExplainRequest{Name: name}))
	return nil
}

func stage(name string, n int64, after ...string) *v1.StageSpec {
	return &v1.StageSpec{
		Name: name, Instances: n, After: after, Command: []string{"true"}, Resources: &v1.Resources{Cpu: "100m", Memory: "1Mi"},
		Retry: &v1.Retry{Attempts: 3, Backoff: "100ms"},
	}
}
