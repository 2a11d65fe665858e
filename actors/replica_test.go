package actors_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Every master comes to know what the leader has made durable and tells it, marked; also while nobody leads.
func TestB31_S6_EveryMasterAnswersReads(t *testing.T) {
	tr := newTroop(t, 3)
	uid := tr.submit("job")
	tr.wait("job")
	ref := &v1.JobRef{Queue: "default", Name: "job"}
	status := func(m *member) (*v1.JobStatus, model.Mark) {
		reply, mark, err := m.Stale(tr.ctx, ref)
		if err != nil {
			return &v1.JobStatus{}, mark
		}
		return reply.(*v1.JobStatus), mark
	}
	for _, m := range tr.members {
		tr.until(m.id+" knows that the job has ended", func() bool {
			s, mark := status(m)
			return s.GetUid() == uid && s.GetPhase() == "succeeded" && s.GetCounts().GetDone() == 3 && mark.Master == m.id && mark.Lag == 0 && mark.Age >= 0
		})
	}
	leader := tr.leader()
	want, err := leader.JobStatus(tr.ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := status(leader); !proto.Equal(got, want) {
		t.Errorf("of an ended job the leader tells\n%v\nand from its hard state\n%v", want, got)
	}
	// The leader sleeps, and nobody has replaced it yet.
	leader.asleep.Store(true)
	leader.voice.Mute(time.Hour)
	for _, m := range tr.members {
		if s, mark := status(m); m != leader && (s.GetUid() != uid || mark.Seq == 0) {
			t.Errorf("%s answers %v, %+v", m.id, s, mark)
		}
	}
	leader.voice.Mute(0)
	leader.asleep.Store(false)
	close(leader.wake)
}

// A cell of one answers too, and its answers are never old.
func TestB31_AMasterAloneIsItsOwnReplica(t *testing.T) {
	c, err := actors.Open(t.Context(), actors.Options{Name: "one", ID: "a", Version: "v7"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.SetQueue(t.Context(), &v1.QueueSpec{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	reply, mark, err := c.Stale(t.Context(), &v1.CellStatusRequest{})
	if s, _ := reply.(*v1.CellStatus); err != nil || s.GetCell() != "one" || s.GetVersion() != "v7" || s.GetQueues() != 2 ||
		mark != (model.Mark{Master: "a", Epoch: 1, Seq: s.GetSeq()}) {
		t.Errorf("%v, %+v, %v", reply, mark, err)
	}
	if _, _, err := c.Stale(t.Context(), &v1.NodeRef{Id: "n"}); !errors.Is(err, model.NotFound("")) {
		t.Error(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Stale(t.Context(), &v1.CellStatusRequest{}); err == nil {
		t.Error("a closed cell answers")
	}
}
