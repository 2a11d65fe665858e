package actors

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// drillMax bounds a drill.
const drillMax = 5 * time.Minute

// ListMasters tells of the masters that this one has heard of lately, itself among them. Also who follows answers.
func (c *Cell) ListMasters(context.Context, *v1.ListMastersRequest) (*v1.ListMastersReply, error) {
	if e := c.opts.Election; e != nil {
		return &v1.ListMastersReply{Masters: e.List()}, nil
	}
	r, err := c.current()
	if err != nil {
		return nil, err
	}
	return &v1.ListMastersReply{Masters: []*v1.MasterInfo{
		{Id: c.opts.ID, Host: c.opts.Host, Role: "leader", Epoch: r.env.Epoch, Version: c.opts.Version},
	}}, nil
}

// Resign hands over to another master: everything acknowledged is durable, then the successor begins. The answer comes
// before that. A request that names an epoch which is over changes nothing.
func (c *Cell) Resign(ctx context.Context, req *v1.ResignRequest) (*v1.ResignReply, error) {
	r, err := c.current()
	switch {
	case err != nil:
		return nil, err
	case c.opts.Election == nil:
		return nil, errAlone()
	case req.GetEpoch() > r.env.Epoch:
		return nil, model.Invalid("there is no such epoch yet", &v1.FieldError{Field: "epoch", Problem: fmt.Sprintf("%d has not begun", req.GetEpoch()), Hint: fmt.Sprint(r.env.Epoch)})
	case req.GetEpoch() != 0 && req.GetEpoch() < r.env.Epoch:
		return &v1.ResignReply{To: c.opts.ID, Epoch: r.env.Epoch}, nil
	}
	to, err := c.opts.Election.Successor(req.GetTo())
	if err != nil {
		return nil, err
	}
	c.log.Info("this master resigns", "to", to, "reason", req.GetReason())
	if err := c.command(ctx, r, order{to: to}); err != nil {
		return nil, err
	}
	return &v1.ResignReply{From: c.opts.ID, To: to, Epoch: r.env.Epoch}, nil
}

// command hands an order to the loop that leads.
func (c *Cell) command(ctx context.Context, r *reign, o order) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	select {
	case c.orders <- o:
		return nil
	case <-r.sys.Done():
		return model.Unavailable("the reign of this master has just ended")
	case <-ctx.Done():
		return model.Deadline("the master did not take the order in time")
	}
}

func errAlone() error {
	return model.Invalid("this cell has one master: there is nobody to hand over to")
}

// stallLeader makes the leader deaf and dumb for a while; another master takes over.
func (c *Cell) stallLeader(ctx context.Context, req *v1.DrillRequest, reply *v1.DrillReply, d time.Duration) (*v1.DrillReply, error) {
	r, err := c.current()
	switch {
	case err != nil:
		return nil, err
	case c.opts.Election == nil:
		return nil, errAlone()
	case req.GetEpoch() != 0 && req.GetEpoch() != r.env.Epoch:
		return nil, model.Conflict("epoch %d is over: the drill has begun already, or the leader has changed; now it is epoch %d", req.GetEpoch(), r.env.Epoch)
	}
	if _, err := c.opts.Election.Successor(""); err != nil {
		return nil, err
	}
	reply.Target = c.opts.ID
	return reply, c.command(ctx, r, order{stall: d})
}

// Drill makes a part of the cell fail for a while; the answer comes before it does.
func (c *Cell) Drill(ctx context.Context, req *v1.DrillRequest) (*v1.DrillReply, error) {
	d := time.Duration(req.GetForMs()) * time.Millisecond
	if req.GetForMs() < 1 || d > drillMax {
		return nil, model.Invalid("a drill has a length", &v1.FieldError{Field: "for_ms", Problem: "is out of bounds", Hint: "from 1 ms to 5 minutes"})
	}
	reply := &v1.DrillReply{Id: rand.Text()[:12], Target: req.GetNode(), UntilUnixMs: time.Now().Add(d).UnixMilli()}
	order := &v1.AgentDrill{ForMs: req.GetForMs(), Id: reply.Id}
	switch req.GetKind() {
	case "partition":
		order.Kind = "partition"
	case "agent-restart":
		order.Kind = "restart"
	case "leader-stall":
		return c.stallLeader(ctx, req, reply, d)
	default:
		return nil, model.Invalid("there is no such drill", &v1.FieldError{
			Field: "kind", Problem: model.Quote(req.GetKind()) + " is unknown", Hint: "leader-stall, partition or agent-restart"})
	}
	r, err := c.current()
	if err != nil {
		return nil, err
	}
	drill := &msg.ToNode{ID: model.NodeID(req.GetNode()), Message: &msg.DrillNode{Order: order}}
	if _, err := askRef[*v1.NodeStatus](ctx, r, r.env.Refs.Nodes, drill); err != nil {
		return nil, err
	}
	return reply, nil
}
