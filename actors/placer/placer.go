package placer

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
	"github.com/troupe-sched/troupe/actors/policy/share"
)

const (
	// grantsMax bounds the slots granted in one turn, so that the actor stays open to questions.
	grantsMax = 16_384
	// turn is how many slots a job gets before the next of the same priority, when several wait.
	turn = 4
	// viewsWait bounds how long a restarted placer waits for the nodes' views.
	viewsWait = 5 * time.Second
)

// Actor is the placer.
type Actor struct {
	env     *msg.Env
	options place.Options
	fleet   *place.Fleet
	nodes   map[model.NodeID]*node
	demands map[model.StageID]*demand
	queues  map[string]*queue
	// accounts of the queues, and what the cell has in their dimensions.
	accounts accounts
	kinds    uint64 // what nodes were when it was asked last which demands wait in vain
	total    []int64
	telling  bool // queues will hear what they use

	// quiet is until when nobody is evicted, because not all queues may have said yet what they demand; victims is nil
	// until somebody has to be.
	quiet int64
	// firmWaits says that firm work has waited for loose work of its own queue to be evicted: what is granted may be that.
	firmWaits bool
	victims   *victims
	// running is how many slots are held at each priority.
	running map[model.Priority]int64
	// unrest are the nodes with evictions, claims, or to be emptied; ready those whose claims may be redeemed.
	unrest   map[model.NodeID]*node
	ready    []*node
	sweeping bool
	evicted  map[string]uint64 // slots, by rule
	recall   *share.Recall
	choices  []preempt.Choice
	serial   uint64 // of grants
	waits    waits
	levels   []*level // by priority
	passes   uint64   // so far
	// room counts the changes after which more may fit than before.
	room  uint64
	woken bool // a grant is on its way to this actor itself
	views int  // views still to come after a restart
	found []place.Assignment

	// awaited is how many known nodes have yet to say what they hold since the master began, strange how many stages hold
	// slots of which no queue has said yet that they are its own; patient until this has taken too long.
	awaited, strange int
	patient          bool
}

// grant is the actor's message to itself to go on granting; it travels behind everything else.
type grant struct{}

// Lane implements kit.Laned.
func (grant) Lane() kit.Lane { return kit.Bulk }

// patienceOver is the timer that ends the waiting for queues whose work holds slots.
type patienceOver struct{}

// viewsOver is the timer that ends the waiting for views.
type viewsOver struct{}

// New makes the actor. o says what placement knows beyond what is built in.
func New(env *msg.Env, o place.Options) *Actor {
	a := &Actor{
		env: env, options: o, fleet: place.NewFleet(o), nodes: map[model.NodeID]*node{}, demands: map[model.StageID]*demand{},
		queues: map[string]*queue{}, accounts: newAccounts(nil), room: 1,
		running: map[model.Priority]int64{}, unrest: map[model.NodeID]*node{}, evicted: map[string]uint64{},
	}
	a.total = a.accounts.capacity(nil)
	return a
}

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		if m.Incarnation > 1 {
			a.ask(ctx)
		}
	case *msg.Rebuild:
		a.rebuild(ctx)
	case *msg.ViewsComing:
		a.views += m.Nodes + 1
		a.wake(ctx)
	case viewsOver:
		a.views = 0
		a.gain(ctx)
	case *msg.NodesAwaited:
		a.awaited = m.Nodes
		a.gain(ctx)
	case patienceOver:
		a.patient = false
		a.gain(ctx)
	case *msg.Demand:
		a.demand(ctx, m)
	case *msg.QueueReset:
		a.void(ctx, m.Queue)
	case *msg.QueueShare:
		a.share(ctx, m)
	case sweep:
		a.sweep(ctx)
	case askAgain:
		a.askDoubted(ctx)
	case reservationDue:
		a.gain(ctx)
	case usesDue:
		a.tellUses(ctx)
	case *msg.GetLedger:
		a.divide(ctx)
		ctx.Reply(a.loans(m.Request))
	case *msg.NodeView:
		a.view(ctx, m)
	case *msg.Reserved:
		a.reserved(ctx, m)
	case *msg.Freed:
		a.freed(ctx, m)
	case grant:
		a.woken = false
		if a.views == 0 { // else it is from before a restart
			a.grant(ctx)
		}
	case *msg.ExplainStages:
		a.explain(ctx, m)
	case *msg.Unlearn:
		a.fleet.Unlearn()
	case *msg.CellFacts:
		a.facts(m)
		ctx.Forward(a.env.Refs.Journal, m)
	case *kit.Busy:
		if _, evict := m.Message.(*msg.Evict); !evict { // that is said again
			a.undelivered(ctx, m.Message)
		}
	case *kit.Lost:
		a.undelivered(ctx, m.Message)
	}
}

// ask lets nodes and queues say everything again. Nothing is granted before the views have come.
func (a *Actor) ask(ctx *kit.Context) {
	a.views = -1 // not known yet how many
	ctx.Tell(a.env.Refs.Nodes, &msg.ViewRequest{})
	ctx.Tell(a.env.Refs.Queues, &msg.DemandRequest{})
	ctx.After("views", viewsWait, viewsOver{})
	a.quiet = ctx.Now().Add(viewsWait).UnixMilli()
}

// rebuild forgets everything and asks for it again. What was on its way is met as after a failure.
func (a *Actor) rebuild(ctx *kit.Context) {
	for _, timer := range []string{"views", "patience", "sweep", "ask", "reservation", "uses"} {
		ctx.Cancel(timer)
	}
	awaited := a.awaited
	*a = *New(a.env, a.options)
	a.awaited = awaited // it is told once
	a.ask(ctx)
}

// wake makes sure that a grant follows when everything that waits now is handled.
func (a *Actor) wake(ctx *kit.Context) {
	if !a.woken && a.views == 0 {
		a.woken = true
		ctx.Tell(ctx.Self(), grant{})
	}
}
