package node

import (
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/loss"
	"github.com/troupe-sched/troupe/actors/policy/poll"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Supervisor starts one Actor a node and routes by id. When a master begins it waits until every node that the cell
// knows has said what it holds, or cannot: until then jobs of earlier masters replace nothing.
type Supervisor struct {
	env      *msg.Env
	fabric   Fabric
	ready    bool
	again    bool // this incarnation is not the first
	stash    kit.Stash
	children kit.Children
	settled  bool
	// asked counts the questions to nodes since the timer claims was set; 0 if it is not.
	asked    int
	unsynced map[model.NodeID]bool
	claims   []*msg.Claim
	claimed  map[model.UID]int // where the newest claim of a job is in claims
	status   map[string]*v1.NodeStatus
	ids      []string // sorted
	refused  int
	out      outings

	line      line
	advancing bool // the timer advance is set
	judge     *loss.Judge
	judging   bool // the timer judge is set
	// awake is when it looked last, dozed when it found out that the process had stood still.
	awake, dozed time.Time
	isolated     bool
	period       poll.Period
	beat         time.Duration
	told         msg.Nodes // to the gateway
}

// settleOver is the timer that ends the waiting of who can do without: jobs wait until each node has been heard or is lost.
type settleOver struct{}

// NewSupervisor makes the supervisor.
func NewSupervisor(env *msg.Env, fabric Fabric) *Supervisor {
	s := &Supervisor{
		env: env, fabric: fabric, stash: kit.Stash{Max: stashMax},
		unsynced: map[model.NodeID]bool{}, status: map[string]*v1.NodeStatus{}, out: outings{},
		claimed: map[model.UID]int{}, line: newLine(), period: periodOf(&env.Limits), beat: env.Heartbeat,
		judge: loss.New(loss.Rules{Rate: env.LostRate, Share: env.Isolation, Patience: env.IsolationMax, Grace: 2 * env.Suspect}),
	}
	s.children = kit.Children{
		Max: env.Limits.Nodes,
		Spec: func(id string) kit.Spec {
			again, beat := s.again, s.beat
			return kit.Spec{Kind: "node", New: func() kit.Behavior {
				a := New(env, fabric, model.NodeID(id))
				a.again, a.beat = again, beat
				return a
			}}
		},
	}
	return s
}

// Receive implements kit.Behavior.
func (s *Supervisor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		s.again = m.Incarnation > 1
		ctx.Tell(s.env.Refs.Journal, &msg.ReadCell{})
	case *msg.CellRead:
		s.restore(ctx, m)
	case *kit.ChildStopped:
		s.children.Stopped(ctx, m)
	default:
		if s.ready {
			s.handle(ctx, m)
		} else if !s.stash.Add(ctx, m) {
			ctx.Reply(model.Busy(time.Second, "the cell is starting"))
		}
	}
}

func (s *Supervisor) restore(ctx *kit.Context, m *msg.CellRead) {
	if s.ready {
		return
	}
	s.ready = true
	for _, id := range m.Nodes {
		if _, err := s.start(ctx, string(id)); err == nil {
			s.unsynced[id] = true
		}
	}
	for _, id := range m.Drained {
		s.out[id] = outing{until: ctx.Now().Add(outingMax)} // it will say so itself
	}
	ctx.Tell(s.env.Refs.Placer, &msg.NodesAwaited{Nodes: len(s.unsynced)})
	ctx.After("settle", s.env.Settle, settleOver{})
	s.judge.Nodes(s.children.Len())
	s.look(ctx)
	s.settle(ctx)
	s.stash.Drain(ctx, s.handle)
}

func (s *Supervisor) start(ctx *kit.Context, id string) (kit.Ref, error) {
	ref, err := s.children.Start(ctx, id)
	if err != nil {
		return nil, err
	}
	if i, found := slices.BinarySearch(s.ids, id); !found {
		s.ids = slices.Insert(s.ids, i, id)
	}
	return ref, nil
}

func (s *Supervisor) handle(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case *msg.Find:
		ref, _ := s.children.Get(m.Key)
		ctx.Reply(&msg.Found{Ref: ref})
	case *msg.FromAgent:
		s.fromAgent(ctx, m)
	case *msg.NodeSynced:
		delete(s.unsynced, m.Node)
		s.settle(ctx)
	case settleOver:
		s.settleLate(ctx)
	case *wish:
		s.line.window.Expire(ctx.Now()) // its own turn may be long over
		s.line.want(m.id)
		s.advance(ctx)
	case *answered:
		s.line.window.Done(m.id, ctx.Now())
		s.advance(ctx)
	case advance:
		s.advancing = false
		s.advance(ctx)
	case *standing:
		s.stood(ctx, m)
	case judgeNow:
		s.judging = false
		s.judgeNow(ctx)
	case look:
		s.look(ctx)
	case *probe:
		s.probed(ctx, m)
	case *departed:
		s.depart(ctx, m.id)
	case *msg.LoseNodes:
		s.lose(ctx, m.Request)
	case claimsMore:
		s.asked = 0
		s.answerClaims(ctx)
	case *msg.Claim:
		s.claim(ctx, m)
	case *msg.ViewRequest:
		ctx.Reply(&msg.ViewsComing{Nodes: s.children.Len()})
		s.children.Each(func(_ string, ref kit.Ref) { ctx.Forward(ref, m) })
	case *msg.JobsReset:
		s.children.Each(func(_ string, ref kit.Ref) { ctx.Tell(ref, m) })
	case *msg.NodeChanged:
		if _, known := s.children.Get(m.Status.GetInfo().GetId()); known {
			s.status[m.Status.GetInfo().GetId()] = m.Status
			s.out.changed(m)
		}
	case *msg.ToNode:
		if d, ok := m.Message.(*msg.DrainNode); ok {
			s.drain(ctx, m.ID, d)
		} else if ok, _ := s.children.Forward(ctx, string(m.ID), m.Message, false); !ok {
			ctx.Reply(model.NotFound("there is no node %q", m.ID))
		}
	case *msg.ListNodes:
		s.list(ctx, m.Request)
	}
}

// fromAgent routes to the node's actor; an agent that says Hello for the first time gets one.
func (s *Supervisor) fromAgent(ctx *kit.Context, m *msg.FromAgent) {
	id := m.Message.GetNode()
	ref, known := s.children.Get(id)
	switch {
	case m.Message.GetHello() != nil && model.ValidName(id):
		s.hello(ctx, m)
	case known:
		ctx.Tell(ref, m)
	default:
		if s.refused++; s.refused == 1 {
			ctx.Log().Warn("message of an unknown node refused", "node", model.Quote(id))
		}
	}
}

// pass hands a Hello to its node, which begins with it if it is the first.
func (s *Supervisor) pass(ctx *kit.Context, m *msg.FromAgent) {
	id := m.Message.GetNode()
	ref, err := s.start(ctx, id)
	if err != nil {
		ctx.Log().Error("node refused", "node", id, "reason", err)
		return
	}
	ctx.Tell(ref, m)
}

// settle answers the claims that waited.
func (s *Supervisor) settle(ctx *kit.Context) {
	if s.settled || len(s.unsynced) > 0 {
		return
	}
	s.settled = true
	ctx.Cancel("settle")
	ctx.Tell(s.env.Refs.Placer, &msg.NodesAwaited{})
	s.tellGateway(ctx)
	ctx.Log().Info("all nodes have said what they hold", "nodes", s.children.Len())
	s.answerClaims(ctx)
}

// settleLate ends the waiting of the placer, and asks nodes that seem to be in step to say so again. Jobs of earlier masters
// wait on: what they had on a node that was not heard of yet would run twice.
func (s *Supervisor) settleLate(ctx *kit.Context) {
	if s.settled {
		return
	}
	ctx.Tell(s.env.Refs.Placer, &msg.NodesAwaited{})
	ctx.Log().Warn("not all nodes have said what they hold; jobs of earlier masters wait for them", "nodes", len(s.unsynced))
	for _, id := range s.ids {
		if ref, known := s.children.Get(id); known && s.unsynced[model.NodeID(id)] && !s.judge.Knows(model.NodeID(id)) {
			ctx.Tell(ref, &recount{})
		}
	}
	ctx.After("settle", s.env.Settle, settleOver{})
}

// claim takes in that a job wants to know what it holds; of each job the newest counts.
func (s *Supervisor) claim(ctx *kit.Context, m *msg.Claim) {
	if i, again := s.claimed[m.UID]; again {
		s.claims[i] = m
		return
	}
	s.claimed[m.UID] = len(s.claims)
	s.claims = append(s.claims, m)
	if s.settled {
		s.answerClaims(ctx)
	}
}

const (
	// claimsBatch bounds the questions to nodes that claims lead to at a time: when all jobs have restarted, each of them
	// asks each node.
	claimsBatch = 20_000
	claimsEvery = 50 * time.Millisecond
)

// claimsMore is the timer that answers more claims.
type claimsMore struct{}

// answerClaims answers claims, as many as may be at a time. The first incarnation of a job's actor has been told already,
// when the nodes' sessions began; a later one must be told again by all nodes. It goes by way of the supervisor of jobs, as
// the Inventories did: behind them.
func (s *Supervisor) answerClaims(ctx *kit.Context) {
	done, before := 0, s.asked
	for ; done < len(s.claims) && s.asked < claimsBatch; done++ {
		m, nodes := s.claims[done], 0
		if m.Again {
			nodes = s.children.Len()
			s.children.Each(func(_ string, ref kit.Ref) { ctx.Tell(ref, m) })
		}
		ctx.Tell(s.env.Refs.Jobs, &msg.ToJob{ID: m.ID, UID: m.UID, Message: &msg.Claimed{UID: m.UID, Nodes: nodes, Mark: m.Mark}})
		s.asked += nodes + 1
	}
	if done == 0 {
		return
	}
	s.claims = slices.Delete(s.claims, 0, done)
	clear(s.claimed)
	for i, m := range s.claims {
		s.claimed[m.UID] = i
	}
	if before == 0 {
		ctx.After("claims", claimsEvery, claimsMore{})
	}
}

func (s *Supervisor) list(ctx *kit.Context, r *v1.ListNodesRequest) {
	reply := &v1.ListNodesReply{}
	i, found := slices.BinarySearch(s.ids, r.GetAfter())
	if found {
		i++
	}
	for _, id := range s.ids[i:] {
		st := s.status[id]
		if st == nil {
			continue // its first report is on its way
		}
		if len(reply.Nodes) == int(r.GetLimit()) {
			reply.Next = reply.Nodes[len(reply.Nodes)-1].GetInfo().GetId()
			break
		}
		reply.Nodes = append(reply.Nodes, st)
	}
	ctx.Reply(reply)
}
