package actors

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Stale answers a read from the hard state that this master has, whether it leads or follows, and says as of when that
// is. The request is one of *v1.JobRef, *v1.ListJobsRequest, *v1.ResultsRequest, *v1.QueueRef, *v1.ListQueuesRequest,
// *v1.NodeRef, *v1.ListNodesRequest, *v1.CellStatusRequest and *v1.ListMastersRequest; what only the leader knows is left out
// of the reply.
func (c *Cell) Stale(ctx context.Context, request proto.Message) (proto.Message, model.Mark, error) {
	if list, is := request.(*v1.ListMastersRequest); is {
		return c.masterList(ctx, list)
	}
	c.mu.Lock()
	r, f := c.reign, c.following
	c.mu.Unlock()
	mark := model.Mark{Master: c.opts.ID}
	var reply proto.Message
	var err error
	switch {
	case f != nil:
		// How far it lags is asked first: what comes meanwhile makes the answer better than it says.
		_, _, at := f.Seen()
		mark.Lag, mark.Age = f.Lag(), age(at)
		if !f.View(func(s *model.State) {
			mark.Epoch, mark.Seq = s.Epoch(), s.Seq()
			reply, err = journal.Hard(s, request)
		}) {
			return nil, mark, model.Unavailable("this master takes over just now; ask again")
		}
	case r != nil:
		hard, asked := askRef[*msg.HardRead](ctx, r, r.env.Refs.Journal, &msg.ReadHard{Request: request})
		if asked != nil {
			return nil, mark, asked
		}
		reply, err = hard.Reply, hard.Err
		mark.Epoch, mark.Seq = r.env.Epoch, hard.Seq
		if r.env.ReadLease > 0 {
			mark.Age = age(hard.Proof)
		}
	default:
		return nil, mark, model.Unavailable("this master is still reading the journal; ask again")
	}
	if err != nil {
		return nil, mark, err
	}
	if s, is := reply.(*v1.CellStatus); is {
		s.Cell, s.Version = c.opts.Name, c.opts.Version
		if e := c.opts.Election; e != nil {
			s.Master = e.Leader()
		}
	}
	return reply, mark, nil
}

// masterList tells who is there, also while nobody leads; its mark is what the list says of this master.
func (c *Cell) masterList(ctx context.Context, req *v1.ListMastersRequest) (proto.Message, model.Mark, error) {
	mark := model.Mark{Master: c.opts.ID, Age: -1}
	list, err := c.ListMasters(ctx, req)
	if err != nil {
		return nil, mark, err
	}
	for _, m := range list.GetMasters() {
		if m.GetId() == c.opts.ID {
			mark.Epoch, mark.Seq, mark.Lag = m.GetEpoch(), m.GetSeq(), m.GetLag()
		}
	}
	return list, mark, nil
}

// age is how long ago at was; negative if it never was.
func age(at time.Time) time.Duration {
	if at.IsZero() {
		return -1
	}
	return time.Since(at)
}
