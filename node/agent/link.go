package agent

import (
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// linkActor keeps the session with the master.
type linkActor struct {
	*env
	kin *kin

	// epoch is the highest that is durable; 0 until the ledger has said.
	epoch uint64
	// raising: the ledger is making a higher epoch durable. What a master says meanwhile is held.
	raising bool
	held    []*v1.ToAgent
	// base and opened number the sessions: life of the agent, incarnation of this actor, sessions it has opened.
	base, opened uint64
	session      uint64
	opening      uint64 // that of its Welcome
	phase        phase
	hello        *v1.Hello
	hellos       int // sent in this session
	scolded      int // of them, when another agent was found to have this id

	in  stream.Inbox
	out outbox

	heartbeat time.Duration
	heard     time.Time
	// deaf: a drill has cut the link until its timer mends it.
	deaf bool
	// waiting counts orders that the ledger has not decided yet.
	waiting int
	// digest is that of a moment since which nothing has changed; 0 if there is none.
	digest uint64
	// flushing: a flush is on its way to this actor's own mailbox, behind all that waits there; owed: it must send at
	// least an acknowledgement.
	flushing, owed bool
}

type phase uint8

const (
	surveying phase = iota // waiting for the ledger to say what the agent holds
	proposing              // saying Hello until welcomed
	open
)

// Timers of link, and its message to itself.
type (
	helloNow   struct{}
	beatNow    struct{}
	resendNow  struct{}
	newSession struct{ why string }
	flush      struct{}
)

const (
	surveyMax    = 5 * time.Second // a survey without answer is asked again
	helloFirst   = time.Second
	helloMax     = 5 * time.Second
	resendEvery  = time.Second
	silentBeats  = 5
	heartbeatStd = time.Second
	heartbeatMin = 50 * time.Millisecond
	heartbeatMax = time.Minute
)

// Receive implements kit.Behavior.
func (l *linkActor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		l.base = sessionBase(l.life, m.Incarnation)
		l.renew(ctx, "link was started")
	case *v1.ToAgent:
		l.receive(ctx, m)
	case *raised:
		l.raised(ctx, m)
	case *inventory:
		l.propose(ctx, m)
	case *fact:
		l.fact(ctx, m.change)
	case *obeyed:
		if m.session == l.session {
			l.waiting -= m.n
		}
	case *digest:
		if m.session == l.session && l.phase == open && m.taken == l.in.Taken() {
			l.digest = m.value
		}
	case *flush:
		l.flushing = false
		l.flush()
	case *helloNow:
		l.sayHello(ctx)
	case *beatNow:
		l.beat(ctx)
	case *resendNow:
		l.resend(ctx)
	case *resync:
		l.renew(ctx, m.why)
	case *newSession:
		l.renew(ctx, m.why)
	case *mended:
		l.deaf = false
		ctx.Log().Warn("drill is over: the link is mended", "drill", m.id)
	case *kit.Busy:
		l.busy(ctx, m)
	case *kit.Lost: // the tree is ending
	default:
		ctx.Unhandled(m)
	}
}

// sessionBase is where the numbers of an incarnation begin: they grow over lives of the agent, over crashes of link in
// one life, and by one a session.
func sessionBase(life uint64, incarnation int) uint64 {
	return life<<40 | uint64(min(incarnation, 1<<16-1))<<24
}

// renew begins a new session: first the ledger says what the agent holds.
func (l *linkActor) renew(ctx *kit.Context, why string) {
	l.opened++
	l.session = l.base + l.opened
	l.phase, l.hello, l.hellos, l.scolded = surveying, nil, 0, 0
	l.in, l.out, l.opening = stream.Inbox{}, outbox{}, 0
	l.waiting, l.digest, l.raising, l.owed = 0, 0, false, false
	for _, timer := range []string{"hello", "beat", "resend", "busy"} {
		ctx.Cancel(timer)
	}
	l.count(CountSession)
	ctx.Log().Info("new session with the master", "session", l.session, "epoch", l.epoch, "why", why)
	ctx.Tell(l.kin.ledger, &survey{l.session})
	ctx.After("survey", surveyMax, &newSession{"the ledger did not answer"})
}

// propose makes the Hello of the session from what the agent holds. Facts that come from now on are items of it.
func (l *linkActor) propose(ctx *kit.Context, inv *inventory) {
	if inv.session != l.session || l.phase != surveying {
		return
	}
	ctx.Cancel("survey")
	l.epoch = max(l.epoch, inv.epoch)
	l.phase = proposing
	l.hello = &v1.Hello{
		Session: l.session, Info: l.cfg.Info, Slots: inv.slots, Ends: uint64(len(inv.ends)), BootId: l.cfg.BootID, Process: l.cfg.Process,
	}
	l.out = newOutbox(l.cfg.Limits.Facts)
	for _, end := range inv.ends {
		l.fact(ctx, attemptFact(end).change)
	}
	l.sayHello(ctx)
}

// sayHello is repeated, ever more slowly, until the master says Welcome.
func (l *linkActor) sayHello(ctx *kit.Context) {
	if l.phase != proposing {
		return
	}
	l.send(&v1.FromAgent{Hello: l.hello, Usage: l.usage()})
	l.hellos++
	l.helloAfter(ctx, min(time.Duration(l.hellos)*helloFirst, helloMax))
}

func (l *linkActor) helloAfter(ctx *kit.Context, wait time.Duration) {
	spread := time.Duration(ctx.Draw() % uint64(wait/8)) // agents that lost one master must not come back in step
	ctx.After("hello", wait+spread, &helloNow{})
}

// receive takes a message of the master. A higher epoch is made durable before anything of the message takes effect.
func (l *linkActor) receive(ctx *kit.Context, m *v1.ToAgent) {
	switch {
	case l.deaf:
	case m.GetNode() != l.cfg.Info.GetId():
		l.count(CountForeignNode)
	case m.GetEpoch() < l.epoch && !plant.Is(plant.EpochUnchecked):
		l.count(CountStaleEpoch)
	case m.GetEpoch() <= l.epoch:
		l.handle(ctx, m)
	case !l.raising:
		l.raising = true
		ctx.Tell(l.kin.ledger, &raise{m})
	case len(l.held) < heldMax:
		l.held = append(l.held, m)
	default: // it is lost, as on a fabric that loses: who sent it sends again
	}
}

// heldMax bounds what is held while a higher epoch is made durable.
const heldMax = 64

// raised: the epoch of a message is durable. A new master gets a new session, unless it welcomes one that nobody has
// before: in an open one its items would be taken for those that the master before has sent.
func (l *linkActor) raised(ctx *kit.Context, r *raised) {
	l.raising = false
	higher := r.epoch > l.epoch
	l.epoch = max(l.epoch, r.epoch)
	m := r.message
	switch {
	case m.GetEpoch() < l.epoch:
		l.count(CountStaleEpoch)
	case higher && (m.GetWelcome() == nil || m.GetSession() != l.session || l.phase != proposing):
		l.renew(ctx, fmt.Sprintf("a master of epoch %d has spoken", l.epoch))
	default:
		l.handle(ctx, m)
	}
	held := l.held
	l.held = nil
	for _, m := range held {
		l.receive(ctx, m)
	}
}

// handle takes a message of the reigning master.
func (l *linkActor) handle(ctx *kit.Context, m *v1.ToAgent) {
	switch {
	case m.GetDrill() != nil:
		l.drill(ctx, m.GetDrill())
	case l.another(m):
		l.count(CountForeignSession)
	case m.GetRefused() != nil:
		l.refused(ctx, m.GetRefused())
	case m.GetHelloRequest() && l.phase == proposing:
		l.sayHello(ctx) // the Hello that is proposed is as good as a new one
	case m.GetHelloRequest() && l.phase == open:
		l.renew(ctx, "the master does not know the session")
	case m.GetHelloRequest():
	case m.GetSession() != l.session && !plant.Is(plant.SessionUnchecked) || l.phase == surveying:
		l.count(CountForeignSession)
	case m.GetWelcome() != nil && l.phase == proposing:
		l.welcome(ctx, m)
	case l.phase == open && m.GetOpening() != l.opening && !plant.Is(plant.EpochUnchecked): // would hide that bug
		l.reopened(ctx, m)
	case l.phase == open:
		l.items(ctx, m)
	}
}

// reopened takes what is of another opening of the session: of a later one, or of one that was under way for long.
func (l *linkActor) reopened(ctx *kit.Context, m *v1.ToAgent) {
	if m.GetOpening() > l.opening {
		l.renew(ctx, "the master has opened the session again")
	} else {
		l.count(CountForeignSession)
	}
}

func (l *linkActor) welcome(ctx *kit.Context, m *v1.ToAgent) {
	l.phase, l.hello, l.opening = open, nil, m.GetOpening()
	l.heartbeat = heartbeatOf(m.GetWelcome())
	ctx.Cancel("hello")
	// The first at any time within the period: agents that were welcome at one time must not report in step ever after.
	ctx.After("beat", time.Duration(ctx.Draw()%uint64(l.heartbeat)), &beatNow{})
	ctx.After("resend", resendEvery, &resendNow{})
	l.items(ctx, m)
	l.flushSoon(ctx)
}

// heartbeatOf is how often the master wants to hear of the agent, within bounds.
func heartbeatOf(w *v1.Welcome) time.Duration {
	if w.GetHeartbeatMs() <= 0 {
		return heartbeatStd
	}
	ms := min(w.GetHeartbeatMs(), heartbeatMax.Milliseconds())
	return max(time.Duration(ms)*time.Millisecond, heartbeatMin)
}

// items takes what belongs to the open session.
func (l *linkActor) items(ctx *kit.Context, m *v1.ToAgent) {
	l.heard = ctx.Now()
	if m.GetWelcome() != nil {
		l.heartbeat = heartbeatOf(m.GetWelcome()) // from the next beat on
	}
	if l.out.ack(m.GetAck()) {
		l.flushSoon(ctx) // there may be room for more
	}
	if len(m.GetCommands()) > 0 {
		l.commands(ctx, m.GetFirst(), m.GetCommands())
	}
	if m.GetPing() {
		l.send(&v1.FromAgent{})
	}
}

// commands takes numbered items, all or none, and acknowledges them with the next message.
func (l *linkActor) commands(ctx *kit.Context, first uint64, commands []*v1.Command) {
	if l.waiting > 0 && l.waiting+len(commands) > l.cfg.Limits.Commands {
		l.count(CountHeld)
		return
	}
	skip, ok := l.in.Take(first, len(commands))
	if !ok {
		l.count(CountGap)
		return
	}
	for _, c := range commands[skip:] {
		l.waiting++
		l.digest = 0
		ctx.Tell(l.kin.ledger, &order{l.session, c})
	}
	l.owed = true // also for what came twice: the acknowledgement may have been lost
	l.flushSoon(ctx)
}

// fact queues a change for the master. One too many means that the master is far behind: it gets a full Hello instead.
func (l *linkActor) fact(ctx *kit.Context, c *v1.Change) {
	if l.phase == surveying {
		return // the inventory that is to come has it
	}
	l.digest = 0
	if !l.out.push(c) {
		l.renew(ctx, "too many changes wait for the master")
		return
	}
	l.flushSoon(ctx)
}

// beat is the sign of life. A master that was not heard for too long may have lost the session, or its life.
func (l *linkActor) beat(ctx *kit.Context) {
	if l.phase != open {
		return
	}
	if ctx.Now().Sub(l.heard) > silentBeats*l.heartbeat {
		l.renew(ctx, fmt.Sprintf("nothing heard of the master for %d heartbeats", silentBeats))
		return
	}
	m := &v1.FromAgent{Usage: l.usage()}
	if l.out.empty() && l.digest != 0 {
		m.Digest, m.First = l.digest, l.out.acked+1 // the number tells one that was overtaken by changes
	}
	l.send(m)
	ctx.Tell(l.kin.ledger, &pulse{l.session, l.in.Taken()})
	ctx.After("beat", l.heartbeat, &beatNow{})
}

// resend begins again with the oldest change when the master has acknowledged none for a while.
func (l *linkActor) resend(ctx *kit.Context) {
	if l.phase != open {
		return
	}
	if l.out.stalled() {
		l.count(CountResent)
		l.flush()
	}
	ctx.After("resend", resendEvery, &resendNow{})
}

// flushSoon sends what waits after all that is in the mailbox now, so that changes travel together.
func (l *linkActor) flushSoon(ctx *kit.Context) {
	if l.phase == open && !l.flushing && (l.owed || !l.out.empty()) {
		l.flushing = true
		ctx.Tell(ctx.Self(), &flush{})
	}
}

// flush sends changes as far as the window allows, and at least the acknowledgement that is owed.
func (l *linkActor) flush() {
	if l.phase != open {
		return
	}
	for {
		first, changes := l.out.next()
		if len(changes) == 0 {
			break
		}
		l.send(&v1.FromAgent{First: first, Changes: changes})
	}
	if l.owed {
		l.send(&v1.FromAgent{})
	}
}

// send completes a message and hands it to the fabric. Every message acknowledges what was taken.
func (l *linkActor) send(m *v1.FromAgent) {
	m.Node, m.Epoch, m.Session, m.Opening, m.Ack = l.cfg.Info.GetId(), l.epoch, l.session, l.opening, l.in.Taken()
	l.owed = false
	if l.deaf {
		return // as lost as on a link that is cut
	}
	l.ports.Uplink.Send(m)
}

func (l *linkActor) usage() *v1.Usage {
	if l.ports.Meter == nil {
		return nil
	}
	return l.ports.Meter.Usage()
}

// busy: a sibling did not take a message, or this actor its own. A new session makes good for it.
func (l *linkActor) busy(ctx *kit.Context, b *kit.Busy) {
	l.count(CountMailboxFull)
	if _, own := b.Message.(*flush); own {
		l.flushing = false
		l.flush()
		return
	}
	ctx.After("busy", repeatAfter, &newSession{"the ledger did not take a message"})
}
