package actors_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/elect"
	"github.com/troupe-sched/troupe/cluster/masters"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// troop is a cell of three masters over one journal in memory, which hear each other by NATS, with hollow agents that hear
// them all.
type troop struct {
	t       *testing.T
	ctx     context.Context
	members []*member
	fleet   *hollow.Fleet
}

// member is one master. Asleep its process is as if paused: nothing that it sends arrives, nothing reaches it.
type member struct {
	*actors.Cell
	id     string
	nc     *nats.Conn
	voice  *masters.Masters
	asleep atomic.Bool
	wake   chan struct{}
	troop  *troop
	serves atomic.Int32 // hooks that are open
}

// sleepy is a log whose writes wait while its master sleeps.
type sleepy struct {
	journal.Log
	m *member
}

func (s sleepy) Append(seq uint64, data []byte, done func(error)) {
	if s.m.asleep.Load() {
		go func() {
			<-s.m.wake
			s.Log.Append(seq, data, done)
		}()
		return
	}
	s.Log.Append(seq, data, done)
}

// Send implements actors.Fabric.
func (m *member) Send(to *v1.ToAgent) {
	if !m.asleep.Load() {
		m.troop.fleet.Send(to)
	}
}

// Logs implements actors.Fabric.
func (m *member) Logs(context.Context, *v1.LogPlace, *v1.LogsRequest, func(*v1.LogChunk) error) error {
	return model.NotFound("hollow agents have no output")
}

func newTroop(t *testing.T, nodes int) *troop {
	t.Helper()
	t.Parallel() // it waits for silence, mostly
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	tr := &troop{t: t, ctx: ctx}
	tr.fleet = hollow.New(hollow.Options{
		Nodes: nodes, Info: &v1.NodeInfo{CpuMilli: 1000, MemoryBytes: 1 << 30, Drivers: []string{"process"}, Attributes: map[string]string{"os": "linux"}},
		Deliver: func(f *v1.FromAgent) {
			for _, m := range tr.members {
				if !m.asleep.Load() {
					m.Deliver(f)
				}
			}
		},
	})
	server := natstest.Server(t)
	disk := memlog.New(memlog.Options{})
	limits := msg.DefaultLimits()
	limits.Settle = 2 * time.Second
	for i := range 3 {
		m := &member{id: fmt.Sprintf("m%d", i), nc: natstest.Conn(t, server), wake: make(chan struct{}), troop: tr}
		var err error
		m.voice, err = masters.Open(masters.Config{Conn: m.nc, Cell: "test", ID: m.id, Log: slog.New(slog.DiscardHandler),
			Elect: elect.Options{Suspect: 500 * time.Millisecond, Stagger: 150 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.voice.Close)
		var mu sync.Mutex
		snaps := memlog.NewSnapshots()
		hook := func(context.Context, *actors.Cell) (func(context.Context) error, error) {
			m.serves.Add(1)
			return func(context.Context) error { m.serves.Add(-1); return nil }, nil
		}
		m.Cell, err = actors.Open(ctx, actors.Options{
			Name: "test", ID: m.id, Host: m.id, Election: m.voice, Fabric: m, Limits: limits, Agents: hook, Serve: hook,
			Journal: func(context.Context) (actors.Stores, error) {
				mu.Lock()
				defer mu.Unlock()
				snaps = snaps.Reopen()
				return actors.Stores{Log: sleepy{disk.Reopen(), m}, Snapshots: snaps}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		tr.members = append(tr.members, m)
		t.Cleanup(func() { _ = m.Close(context.Background()) })
	}
	tr.leader() // hollow agents say hello once
	tr.fleet.Start()
	tr.until("the nodes have joined", func() bool { // or a leader that ends before forgets that they spoke
		list, err := tr.leader().ListNodes(tr.ctx, &v1.ListNodesRequest{})
		return err == nil && len(list.GetNodes()) == nodes
	})
	return tr
}

func (tr *troop) until(what string, ok func() bool) {
	tr.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-tr.ctx.Done():
			tr.t.Fatalf("%s: it did not come about", what)
		}
	}
}

// leader is the master that answers, other than those named.
func (tr *troop) leader(not ...*member) (found *member) {
	tr.t.Helper()
	tr.until("a master leads", func() bool {
		for _, m := range tr.members {
			skip := false
			for _, n := range not {
				skip = skip || n == m
			}
			if skip {
				continue
			}
			if s, err := m.CellStatus(tr.ctx, &v1.CellStatusRequest{}); err == nil && s.GetMaster() == m.id {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// submit asks whoever leads, again and again under one key.
func (tr *troop) submit(name string, not ...*member) (uid uint64) {
	tr.t.Helper()
	job := &v1.JobSpec{Name: name, Stages: []*v1.StageSpec{stage("s", 3)}}
	tr.until("job "+name+" is taken", func() bool {
		ctx, cancel := context.WithTimeout(tr.ctx, 2*time.Second)
		defer cancel()
		r, err := tr.leader(not...).Submit(ctx, &v1.SubmitRequest{Job: job, Key: name})
		uid = r.GetUid()
		return err == nil
	})
	return uid
}

func (tr *troop) wait(name string) *v1.JobStatus {
	tr.t.Helper()
	var status *v1.JobStatus
	tr.until("job "+name+" ends", func() bool {
		var err error
		status, err = tr.leader().JobStatus(tr.ctx, &v1.JobRef{Queue: "default", Name: name})
		return err == nil && status.GetEndedUnixMs() != 0
	})
	return status
}

func TestB30_B31_S6_APausedLeaderIsReplacedAndChangesNothingWhenItWakes(t *testing.T) {
	tr := newTroop(t, 3)
	first := tr.leader()
	uids := map[string]uint64{}
	for i := range 5 {
		name := fmt.Sprintf("before-%d", i)
		uids[name] = tr.submit(name)
	}
	epoch := first.Epoch()
	first.asleep.Store(true)
	first.voice.Mute(time.Hour)
	second := tr.leader(first)
	if second.Epoch() != epoch+1 {
		t.Errorf("epoch %d follows %d", second.Epoch(), epoch)
	}
	for name, uid := range uids {
		if again := tr.submit(name, first); again != uid {
			t.Errorf("job %s was %d and is %d: what was acknowledged is lost", name, uid, again)
		}
	}
	after := tr.submit("after", first)
	// What the old leader is asked while it sleeps and wakes is answered by errors alone.
	var asked sync.WaitGroup
	asked.Go(func() {
		r, err := first.Submit(tr.ctx, &v1.SubmitRequest{Job: &v1.JobSpec{Name: "zombie", Stages: []*v1.StageSpec{stage("s", 1)}}, Key: "zombie"})
		if err == nil {
			t.Errorf("a deposed master has answered %v", r)
		}
	})
	asked.Go(func() {
		s, err := first.JobStatus(tr.ctx, &v1.JobRef{Queue: "default", Name: "after"})
		if err == nil {
			t.Errorf("a deposed master has answered %v", s)
		}
	})
	first.voice.Mute(0)
	first.asleep.Store(false)
	close(first.wake)
	asked.Wait()
	tr.until("the old leader follows", func() bool { return first.Epoch() == 0 && first.serves.Load() == 0 })
	if _, err := second.JobStatus(tr.ctx, &v1.JobRef{Queue: "default", Name: "zombie"}); !errors.Is(err, model.NotFound("")) {
		t.Errorf("a job of the deposed master: %v", err)
	}
	if tr.submit("after") != after {
		t.Error("the second leader's job is lost")
	}
	for name := range uids {
		tr.wait(name)
	}
	tr.until("all are seen following", func() bool {
		list, err := second.ListMasters(tr.ctx, nil)
		roles := map[string]int{}
		for _, m := range list.GetMasters() {
			roles[m.GetRole()]++
		}
		return err == nil && roles["leader"] == 1 && roles["follower"] == 2
	})
}

func TestB31_B42_ALeaderThatResignsHandsOverByName(t *testing.T) {
	tr := newTroop(t, 2)
	first := tr.leader()
	uid := tr.submit("one")
	to := tr.members[0]
	if to == first {
		to = tr.members[1]
	}
	tr.until("the follower is known", func() bool { _, err := first.voice.Successor(to.id); return err == nil })
	epoch := first.Epoch()
	watched, err := first.Watch(tr.ctx, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []struct {
		req  *v1.ResignRequest
		want error
	}{
		{&v1.ResignRequest{To: first.id}, model.Invalid("")},
		{&v1.ResignRequest{To: "nobody"}, model.NotFound("")},
		{&v1.ResignRequest{Epoch: epoch + 7}, model.Invalid("")},
	} {
		if _, err := first.Resign(tr.ctx, wrong.req); !errors.Is(err, wrong.want) {
			t.Errorf("%v: %v", wrong.req, err)
		}
	}
	r, err := first.Resign(tr.ctx, &v1.ResignRequest{To: to.id, Epoch: epoch, Reason: "test"})
	if err != nil || r.GetFrom() != first.id || r.GetTo() != to.id || r.GetEpoch() != epoch {
		t.Fatalf("%v, %v", r, err)
	}
	for range watched { // it ends with the reign, or this does not end
	}
	second := tr.leader(first)
	if second != to {
		t.Errorf("%s was named, %s leads", to.id, second.id)
	}
	// Asked again, as after an answer that was lost, it deposes nobody.
	if r, err = second.Resign(tr.ctx, &v1.ResignRequest{Epoch: epoch}); err != nil || r.GetFrom() != "" || r.GetTo() != second.id {
		t.Errorf("asked again: %v, %v", r, err)
	}
	reply, mark, err := first.Stale(tr.ctx, &v1.ListMastersRequest{})
	if list, is := reply.(*v1.ListMastersReply); err != nil || !is || len(list.GetMasters()) != 3 || mark.Master != first.id || mark.Epoch < epoch {
		t.Errorf("who follows lists %v, %+v, %v", reply, mark, err)
	}
	if _, err := first.JobStatus(tr.ctx, &v1.JobRef{Queue: "default", Name: "one"}); !errors.Is(err, model.Unavailable("")) {
		t.Errorf("who has resigned answers %v", err)
	}
	if again := tr.submit("one"); again != uid {
		t.Errorf("the job was %d and is %d", uid, again)
	}
	if status := tr.wait("one"); status.GetCounts().GetFailedAttempts() != 0 {
		t.Errorf("%v", status)
	}
}

func TestB31_ALeaderThatIsClosedHandsOver(t *testing.T) {
	tr := newTroop(t, 1)
	first := tr.leader()
	tr.until("followers are known", func() bool { _, err := first.voice.Successor(""); return err == nil })
	epoch := first.Epoch()
	if err := first.Close(tr.ctx); err != nil {
		t.Fatal(err)
	}
	second := tr.leader(first)
	if !second.voice.Yielded(epoch) {
		t.Error("the successor has not heard that its predecessor resigned")
	}
}

func TestX8_AStalledLeaderIsReplacedAndStepsDown(t *testing.T) {
	tr := newTroop(t, 2)
	first := tr.leader()
	tr.submit("one")
	tr.until("followers are known", func() bool { _, err := first.voice.Successor(""); return err == nil })
	epoch := first.Epoch()
	if _, err := first.Drill(tr.ctx, &v1.DrillRequest{Kind: "leader-stall", ForMs: 1500, Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
	second := tr.leader(first)
	if _, err := second.Drill(tr.ctx, &v1.DrillRequest{Kind: "leader-stall", ForMs: 3000, Epoch: epoch}); !errors.Is(err, model.Conflict("")) {
		t.Errorf("the drill asked for again: %v", err)
	}
	tr.until("the stalled leader follows", func() bool {
		return first.voice.Leader() == second.id && first.Epoch() == 0 && first.serves.Load() == 0
	})
	if status := tr.wait("one"); status.GetCounts().GetFailedAttempts() != 0 {
		t.Errorf("%v", status)
	}
}

func TestB31_ACellOfOneMasterCannotHandOver(t *testing.T) {
	th := open(t, 1, "", nil)
	c := th.cell.Load()
	if _, err := c.Resign(th.ctx, &v1.ResignRequest{}); !errors.Is(err, model.Invalid("")) {
		t.Error(err)
	}
	if _, err := c.Drill(th.ctx, &v1.DrillRequest{Kind: "leader-stall", ForMs: 10}); !errors.Is(err, model.Invalid("")) {
		t.Error(err)
	}
	for _, wrong := range []*v1.DrillRequest{{Kind: "partition"}, {Kind: "x", ForMs: 1}, {Kind: "partition", ForMs: 1 << 40}} {
		if _, err := c.Drill(th.ctx, wrong); !errors.Is(err, model.Invalid("")) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	if list, err := c.ListMasters(th.ctx, nil); err != nil || len(list.GetMasters()) != 1 || list.GetMasters()[0].GetRole() != "leader" {
		t.Errorf("%v, %v", list, err)
	}
}
