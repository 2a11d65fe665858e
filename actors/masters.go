package actors

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// drillMax bounds a drill.
const drillMax = 5 * time.Minute

// ListMasters tells of the masters that this one has heard of lately, itself among them.
func (c *Cell) ListMasters(context.Context, *v1.ListMastersRequest) (*v1.ListMastersReply, error) {
	r, err := c.current()
	if err != nil {
		return nil, err
	}
	return &v1.ListMastersReply{Masters: []*v1.MasterInfo{
		{Id: c.opts.Host, Host: c.opts.Host, Role: "leader", Epoch: r.env.Epoch, Version: c.opts.Version},
	}}, nil
}

// Resign hands over to another master.
func (c *Cell) Resign(context.Context, *v1.ResignRequest) (*v1.ResignReply, error) {
	return nil, errAlone()
}

func errAlone() error {
	return model.Invalid("this cell has one master: there is nobody to hand over to")
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
		return nil, errAlone()
	default:
		return nil, model.Invalid("there is no such drill", &v1.FieldError{
			Field: "kind", Problem: model.Quote(req.GetKind()) + " is unknown", Hint: "leader-stall, partition or agent-restart"})
	}
	n, err := c.NodeStatus(ctx, &v1.NodeRef{Id: req.GetNode()})
	if err != nil {
		return nil, err
	}
	if n.GetLiveness() != "fresh" {
		return nil, model.Conflict("node %s is %s: a drill is for a node that is well", req.GetNode(), n.GetLiveness())
	}
	c.Send(&v1.ToAgent{Node: req.GetNode(), Drill: order})
	return reply, nil
}
