package kit

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// unit is what belongs to an actor over all its incarnations: address, mailbox, counters, timers, failures of children.
type unit struct {
	system   *System
	spec     Spec
	path     string
	parent   *unit
	ref      Ref
	mailbox  *mailbox
	timers   timers
	handled  atomic.Uint64
	restarts atomic.Uint64
	// failures of children within the limit's period, oldest first. Touched by the actor's own turn only.
	failures []time.Time
	failed   map[string]bool
}

func (u *unit) limit(l Lane) int {
	if l == Control {
		return u.spec.Control
	}
	return u.spec.Mailbox
}

func (s *System) newUnit(parentPath string, spec Spec, parent *unit) *unit {
	if spec.Mailbox == 0 {
		spec.Mailbox = DefaultMailbox
	}
	if spec.Control == 0 {
		spec.Control = DefaultControl
	}
	if spec.Limit == (Limit{}) {
		spec.Limit = DefaultLimit
	}
	u := &unit{system: s, spec: spec, parent: parent, path: spec.Name}
	if parentPath != "" {
		u.path = parentPath + "/" + spec.Name
	}
	u.mailbox = &mailbox{unit: u}
	return u
}

func (s *System) register(u *unit) {
	s.mu.Lock()
	s.units[u.path] = u
	s.mu.Unlock()
}

func (s *System) forget(u *unit) {
	s.mu.Lock()
	if s.units[u.path] == u {
		delete(s.units, u.path)
	}
	s.mu.Unlock()
}

func (s *System) props(u *unit) *actor.Props {
	incarnation := 0
	return actor.PropsFromProducer(
		func() actor.Actor {
			incarnation++
			return &shell{unit: u, behavior: u.spec.New(), incarnation: incarnation}
		},
		actor.WithMailbox(func() actor.Mailbox { return u.mailbox }),
		// Before the first message can run: the unit knows its own address.
		actor.WithOnInit(func(ctx actor.Context) {
			u.ref = ctx.Self()
			s.register(u)
		}),
	)
}

// shell stands between the engine and one incarnation of a Behavior. It is the guard that the engine lacks: a panic
// while the actor ends does not restart it (protoactor #214), messages that come after Stopping are dead letters,
// timers end with their incarnation, what is left in the mailbox is answered.
type shell struct {
	unit        *unit
	behavior    Behavior
	incarnation int
	ending      bool
	ctx         Context
}

// Receive implements actor.Actor.
func (sh *shell) Receive(engine actor.Context) {
	sh.ctx = Context{engine: engine, shell: sh}
	defer func() { sh.ctx.engine = nil }()
	switch m := engine.Message().(type) {
	case *actor.Started:
		if sh.incarnation > 1 {
			sh.unit.restarts.Add(1)
		}
		sh.deliver(Started{Incarnation: sh.incarnation})
	case *actor.Restarting:
		sh.unit.timers.stopAll()
		sh.unit.failed = nil
	case *actor.Stopping:
		sh.unit.timers.stopAll()
		sh.ending = true
		sh.last(Stopping{})
	case *actor.Stopped:
		sh.ending = true
		sh.unit.mailbox.close()
		sh.unit.system.forget(sh.unit)
	case *actor.Terminated:
		sh.childStopped(m.Who)
	case *fired:
		if message, ok := sh.unit.timers.take(m); ok && !sh.ending {
			sh.deliver(message)
		}
	case *actor.ReceiveTimeout, actor.AutoReceiveMessage:
	default:
		if sh.ending {
			sh.unit.system.lost(sh.unit.ref, m, engine.Sender())
			return
		}
		if _, shutdown := m.(*Shutdown); shutdown {
			if _, handles := sh.behavior.(*Supervisor); !handles {
				engine.Stop(engine.Self())
				return
			}
		}
		sh.deliver(m)
	}
}

// deliver runs the behavior; a panic is logged with its stack, which the engine would lose, and goes on to the supervisor.
func (sh *shell) deliver(m any) {
	defer func() {
		if reason := recover(); reason != nil {
			sh.log().Error("actor failed", "message", fmt.Sprintf("%T", m), "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
			panic(reason)
		}
	}()
	if st := sh.unit.system.stepper; st != nil {
		st.trace(sh.unit.path, sh.ctx.Sender(), m)
	}
	sh.behavior.Receive(&sh.ctx, m)
}

// last runs the behavior for a message of its end; a panic is logged and swallowed.
func (sh *shell) last(m any) {
	defer func() {
		if reason := recover(); reason != nil {
			sh.log().Error("actor failed while stopping", "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
		}
	}()
	sh.behavior.Receive(&sh.ctx, m)
}

func (sh *shell) childStopped(who Ref) {
	name := who.Id[strings.LastIndexByte(who.Id, '/')+1:]
	failed := sh.unit.failed[name]
	delete(sh.unit.failed, name)
	if !sh.ending {
		sh.deliver(&ChildStopped{Ref: who, Name: name, Failed: failed})
	}
}

// HandleFailure implements actor.SupervisorStrategy: the one strategy of the house. Failures of children are counted
// per supervisor; past the limit the supervisor itself fails, and so on up to the root, which ends the system.
func (sh *shell) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	u := sh.unit
	if root, ok := sh.behavior.(*rootBehavior); ok {
		root.failed = true
		u.system.finish(fmt.Errorf("kit: %s failed: %v", pathOf(child), reason))
		supervisor.StopChildren(supervisor.Children()...)
		return
	}
	now := u.system.clock.Now()
	u.failures = append(u.failures, now)
	for len(u.failures) > 0 && now.Sub(u.failures[0]) > u.spec.Limit.Per {
		u.failures = u.failures[1:]
	}
	name := child.Id[strings.LastIndexByte(child.Id, '/')+1:]
	restart := Permanent
	u.system.mu.Lock()
	if c := u.system.units[u.path+"/"+name]; c != nil {
		restart = c.spec.Restart
	}
	u.system.mu.Unlock()
	switch {
	case restart == Escalating || len(u.failures) > u.spec.Limit.Max:
		u.failures = nil
		sh.log().Error("supervisor gives up", "child", name, "reason", fmt.Sprint(reason))
		supervisor.EscalateFailure(reason, message)
	case restart == Temporary:
		if u.failed == nil {
			u.failed = map[string]bool{}
		}
		u.failed[name] = true
		supervisor.StopChildren(child)
	default:
		supervisor.RestartChildren(child)
	}
}

func (sh *shell) log() *slog.Logger { return sh.unit.system.log.With("actor", sh.unit.path) }

// rootBehavior spawns the top actor and ends the system when it has ended.
type rootBehavior struct {
	spec    Spec
	started chan startResult
	failed  bool
}

type startResult struct {
	ref Ref
	err error
}

func (r *rootBehavior) Receive(ctx *Context, message any) {
	switch message.(type) {
	case Started:
		ref, err := ctx.Spawn(r.spec)
		r.started <- startResult{ref, err}
	case *ChildStopped:
		ctx.system().finish(ErrEnded)
		ctx.StopSelf()
	}
}

// Node is one actor in the live tree.
type Node struct {
	Name                string
	Restarts, Handled   uint64
	Mailbox, MailboxMax int
	Children            []Node
}

// Tree is the live tree, children sorted by name.
func (s *System) Tree() Node {
	s.mu.Lock()
	units := make([]*unit, 0, len(s.units))
	for _, u := range s.units {
		units = append(units, u)
	}
	s.mu.Unlock()
	sort.Slice(units, func(i, j int) bool { return units[i].path < units[j].path })
	children := map[*unit][]*unit{}
	var top *unit
	for _, u := range units {
		if u.parent == nil {
			top = u
			continue
		}
		children[u.parent] = append(children[u.parent], u)
	}
	if top == nil {
		return Node{Name: s.name}
	}
	var build func(u *unit) Node
	build = func(u *unit) Node {
		n := Node{
			Name: u.spec.Name, Restarts: u.restarts.Load(), Handled: u.handled.Load(),
			Mailbox: u.mailbox.UserMessageCount(), MailboxMax: u.spec.Mailbox,
		}
		for _, c := range children[u] {
			n.Children = append(n.Children, build(c))
		}
		return n
	}
	root := build(top)
	if len(root.Children) == 1 {
		return root.Children[0]
	}
	return root
}
