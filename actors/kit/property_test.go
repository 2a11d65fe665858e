package kit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// account counts what became of the messages of one world. Notices (Busy, Lost) and lifecycle messages are not messages.
type account struct {
	sent, handled atomic.Uint64
}

// errand is a message that tells its receiver what to do next.
type errand struct {
	lane Lane
	plan []order
}

// Lane of an errand.
func (e errand) Lane() Lane { return e.lane }

// order is one thing to do: a kind, and which actor it is about.
type order struct {
	kind orderKind
	to   int
	lane Lane
	plan []order
}

type orderKind int

const (
	tell orderKind = iota
	forward
	stash
	drain
	fail
	stop
	retire
	timed
	again // spawn a child that has ended
	kinds
)

// citizen is an actor of a random tree. All hold the same directory, by number.
type citizen struct {
	a     *account
	dir   *directory
	me    place
	stash Stash
}

// place is where an actor stands in a random tree.
type place struct {
	name     string
	children []place
	restart  Restart
	mailbox  int
}

// directory finds actors by number. It is shared by the whole world, so it is locked.
type directory struct {
	mu   sync.Mutex
	refs []Ref
}

func (d *directory) add(ref Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refs = append(d.refs, ref)
}

func (d *directory) get(n int) Ref {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refs[n%len(d.refs)]
}

func (c *citizen) spec(p place) Spec {
	return Spec{
		Name: p.name, Mailbox: p.mailbox, Control: p.mailbox, Restart: p.restart,
		Limit: Limit{Max: 2, Per: time.Minute},
		New:   func() Behavior { return &citizen{a: c.a, dir: c.dir, me: p, stash: Stash{Max: 2}} },
	}
}

func (c *citizen) Receive(ctx *Context, message any) {
	switch m := message.(type) {
	case Started:
		c.dir.add(ctx.Self())
		for _, p := range c.me.children {
			if _, err := ctx.Spawn(c.spec(p)); err != nil {
				panic(err)
			}
		}
	case Retire:
		ctx.StopSelf()
	case errand:
		c.a.handled.Add(1)
		for _, o := range m.plan {
			c.obey(ctx, o)
		}
	}
}

// obey carries one order out. Every message it sends is counted as sent before it leaves.
func (c *citizen) obey(ctx *Context, o order) {
	to, next := c.dir.get(o.to), errand{lane: o.lane, plan: o.plan}
	switch o.kind {
	case tell:
		c.a.sent.Add(1)
		ctx.Tell(to, next)
	case forward:
		c.a.sent.Add(1)
		ctx.Forward(to, next)
	case stash: // what is kept is sent again in a sense: it is handled twice, or lost once more
		c.a.sent.Add(1)
		if !c.stash.Add(ctx, next) {
			c.a.handled.Add(1)
		}
	case drain:
		c.stash.Drain(ctx, func(ctx *Context, m any) {
			c.a.handled.Add(1)
			for _, o := range m.(errand).plan {
				c.obey(ctx, o)
			}
		})
	case fail:
		panic("as ordered")
	case stop:
		ctx.Stop(to)
	case retire:
		ctx.Tell(to, Retire{})
	case timed:
		ctx.After("t", time.Duration(o.to)*time.Millisecond, "tick")
	case again:
		for _, p := range c.me.children {
			_, _ = ctx.Spawn(c.spec(p)) // most live, and their names are taken
		}
	}
}

func drawPlan(t *rapid.T, depth int) []order {
	if depth == 0 {
		return nil
	}
	plan := make([]order, rapid.IntRange(0, 3).Draw(t, "orders"))
	for i := range plan {
		plan[i] = order{
			kind: orderKind(rapid.IntRange(0, int(kinds)-1).Draw(t, "kind")),
			to:   rapid.IntRange(0, 1000).Draw(t, "to"),
			lane: Lane(rapid.IntRange(0, int(lanes)-1).Draw(t, "lane")),
			plan: drawPlan(t, depth-1),
		}
	}
	return plan
}

func drawPlace(t *rapid.T, name string, depth int) place {
	p := place{
		name: name, mailbox: rapid.IntRange(1, 4).Draw(t, "mailbox"),
		restart: Restart(rapid.IntRange(0, 2).Draw(t, "restart")),
	}
	if depth > 0 {
		for i := range rapid.IntRange(0, 3).Draw(t, "children") {
			p.children = append(p.children, drawPlace(t, fmt.Sprint(i), depth-1))
		}
	}
	return p
}

// check says whether every message that was sent is accounted for.
func (a *account) check(t interface {
	Helper()
	Fatalf(string, ...any)
}, sys *System,
) {
	t.Helper()
	sent, handled := a.sent.Load(), a.handled.Load()
	if sent != handled+sys.Refused()+sys.DeadLetters() {
		t.Fatalf("%d sent, but %d handled + %d refused + %d dead letters = %d", sent, handled, sys.Refused(),
			sys.DeadLetters(), handled+sys.Refused()+sys.DeadLetters())
	}
}

// In any tree, whatever fails, stops or overflows: sent = handled (the failing included) + refused + dead letters.
func TestS16_NoMessageIsLostSilently(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, dir := &account{}, &directory{}
		st := spare.Next(rapid.Uint64().Draw(t, "seed"), epoch)
		sys := New(Config{Name: "world", Stepper: st})
		top := (&citizen{a: a, dir: dir}).spec(drawPlace(t, "top", 3))
		top.Limit = Limit{Max: 5, Per: time.Minute}
		if _, err := sys.Start(top); err != nil {
			t.Fatal(err)
		}
		for st.Step(st.Now()) {
		}
		for range rapid.IntRange(1, 12).Draw(t, "errands") {
			a.sent.Add(1)
			e := errand{lane: Lane(rapid.IntRange(0, int(lanes)-1).Draw(t, "lane")), plan: drawPlan(t, 4)}
			sys.TellFrom(dir.get(rapid.IntRange(0, 1000).Draw(t, "from")), dir.get(rapid.IntRange(0, 1000).Draw(t, "to")), e)
			for range rapid.IntRange(0, 20).Draw(t, "steps") {
				st.Step(st.Now())
			}
		}
		for n := 0; st.Step(epoch.Add(time.Hour)); n++ {
			if n > 1_000_000 {
				t.Fatalf("the world does not come to rest")
			}
		}
		waiting := 0
		sys.Tree().Walk(func(_ string, n Node) { waiting += n.Mailbox })
		if waiting != 0 || !st.Idle() || len(st.timers) != 0 {
			t.Fatalf("at rest, but %d messages wait and %d timers are set", waiting, len(st.timers))
		}
		if err := sys.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		for st.Step(epoch.Add(2 * time.Hour)) {
		}
		if sys.Err() == nil || sys.root != nil {
			t.Fatalf("it does not end: %+v", sys.Tree())
		}
		a.check(t, sys)
		if st := sys.Stats(); st.Actors > 0 {
			t.Fatalf("%+v", st)
		}
	})
}

// The same with goroutines, where senders meet mailboxes that are just ending.
func TestS16_NoMessageIsLostSilentlyBetweenGoroutines(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 16))
		a, dir := &account{}, &directory{}
		var grow func(name string, depth int) place
		grow = func(name string, depth int) place {
			p := place{name: name, mailbox: 1 + rng.IntN(4), restart: Restart(rng.IntN(2))}
			for i := range 3 * min(depth, 1) {
				p.children = append(p.children, grow(fmt.Sprint(i), depth-1))
			}
			return p
		}
		var plan func(rng *rand.Rand, depth int) []order
		plan = func(rng *rand.Rand, depth int) (p []order) {
			for range rng.IntN(4) * min(depth, 1) {
				p = append(p, order{orderKind(rng.IntN(int(kinds))), rng.IntN(1000), Lane(rng.IntN(int(lanes))), plan(rng, depth-1)})
			}
			return p
		}
		sys := New(Config{Name: "world"})
		top := (&citizen{a: a, dir: dir}).spec(grow("top", 2))
		if _, err := sys.Start(top); err != nil {
			t.Fatal(err)
		}
		until(t, "somebody lives", func() bool {
			dir.mu.Lock()
			defer dir.mu.Unlock()
			return len(dir.refs) > 0
		})
		var wg sync.WaitGroup
		for s := range 4 {
			rng := rand.New(rand.NewPCG(seed, uint64(s)))
			wg.Go(func() {
				for range 100 {
					a.sent.Add(1)
					sys.TellFrom(dir.get(rng.IntN(1000)), dir.get(rng.IntN(1000)), errand{Lane(rng.IntN(int(lanes))), plan(rng, 4)})
				}
			})
		}
		wg.Wait()
		if err := sys.Stop(soon(t)); err != nil {
			t.Fatal(err)
		}
		until(t, "the root is gone", func() bool { return sys.Stats().Actors <= 0 })
		a.check(t, sys)
	}
}
