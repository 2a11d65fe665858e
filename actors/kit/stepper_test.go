package kit

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"testing"
	"time"
)

// gossip is an actor that talks at random to all others, sets timers and fails now and then.
type gossip struct {
	all  func() []Ref
	hops int
}

func (g *gossip) Receive(ctx *Context, m any) {
	switch m := m.(type) {
	case Started:
		ctx.After("tick", time.Duration(ctx.Draw()%1000)*time.Millisecond, "tick")
	case int:
		if ctx.Draw()%50 == 0 {
			panic(fmt.Sprintf("unlucky at %d", m))
		}
		if m > 0 {
			refs := g.all()
			ctx.Tell(refs[ctx.Draw()%uint64(len(refs))], m-1)
			if ctx.Draw()%4 == 0 {
				ctx.After("again", time.Duration(ctx.Draw()%500)*time.Millisecond, m-1)
			}
		}
	case string:
		if g.hops++; g.hops < 5 {
			ctx.After("tick", time.Duration(ctx.Draw()%1000)*time.Millisecond, "tick")
		}
		refs := g.all()
		ctx.Tell(refs[ctx.Draw()%uint64(len(refs))], 3)
	}
}

// gossipWorld starts two systems of gossips on one stepper; they reach each other through ports only.
func gossipWorld(t testing.TB, st *Stepper) (systems []*System) {
	for i := range 2 {
		var refs []Ref
		sup := &Supervisor{Ready: func(_ *Context, r []Ref) { refs = r }}
		for j := range 8 {
			sup.Children = append(sup.Children, Spec{Name: fmt.Sprint("g", j), Mailbox: 4, New: func() Behavior {
				return &gossip{all: func() []Ref { return refs }}
			}})
		}
		s := New(Config{Name: fmt.Sprint("host", i), Stepper: st})
		_, err := s.Start(Spec{Name: "top", Limit: Limit{Max: 1 << 20, Per: time.Hour}, New: func() Behavior { return sup }})
		if err != nil {
			t.Fatal(err)
		}
		systems = append(systems, s)
		for st.Step(st.Now()) {
		}
		for _, ref := range refs {
			s.Tell(ref, 5)
		}
	}
	return systems
}

// gossipHash runs a world to its end and sums its trace up.
func gossipHash(t testing.TB, seed uint64) (hash, steps uint64, failures uint64) {
	st := spare.Next(seed, epoch)
	h := fnv.New64a()
	st.OnTrace(func(tr Trace) { fmt.Fprintf(h, "%s from %s: %v\n", tr, tr.From, tr.Message) })
	systems := gossipWorld(t, st)
	for st.Step(epoch.Add(time.Hour)) {
	}
	for _, s := range systems {
		failures += s.Stats().Failures
		fmt.Fprintf(h, "%+v %+v\n", s.Stats(), s.Tree())
	}
	return h.Sum64(), st.Steps(), failures
}

func TestX1_TheSameSeedIsTheSameRun(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		hash, steps, failures := gossipHash(t, seed)
		if failures < 10 || steps < 500 {
			t.Fatalf("seed %d: only %d failures in %d steps", seed, failures, steps)
		}
		for i := range 100 {
			if again, n, _ := gossipHash(t, seed); again != hash || n != steps {
				t.Fatalf("seed %d: run %d differs", seed, i)
			}
		}
	}
}

func TestX1_DifferentSeedsDiffer(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(50) {
		hash, _, _ := gossipHash(t, seed)
		if other, same := seen[hash]; same {
			t.Fatalf("seeds %d and %d are the same run", seed, other)
		}
		seen[hash] = seed
	}
}

func TestX1_AFreshStepperAndASharedOneRunTheSame(t *testing.T) {
	shared, _, _ := gossipHash(t, 7)
	defer func(s *Stepper) { spare = s }(spare)
	spare = NewStepper(99, epoch)
	if fresh, _, _ := gossipHash(t, 7); fresh != shared {
		t.Fatal("the run depends on what ran before")
	}
}

func TestX1_TimeJumpsAndNeverPassesUntil(t *testing.T) {
	st := spare.Next(1, epoch)
	var got []string
	note := func(what string) func() {
		return func() { got = append(got, fmt.Sprintf("%s at %s", what, st.Now().Sub(epoch))) }
	}
	st.AfterFunc(24*time.Hour, note("day"))
	st.AfterFunc(time.Hour, note("hour"))
	st.AfterFunc(time.Hour, note("hour, set later"))
	st.AfterFunc(-time.Second, note("past"))
	stop := st.AfterFunc(2*time.Hour, note("stopped"))
	stop()
	stop()
	for st.Step(epoch.Add(24*time.Hour - 1)) {
	}
	if st.Now() != epoch.Add(time.Hour) || !st.Idle() {
		t.Fatalf("now %s", st.Now())
	}
	for st.Step(epoch.Add(24 * time.Hour)) {
	}
	want := []string{"past at 0s", "hour at 1h0m0s", "hour, set later at 1h0m0s", "day at 24h0m0s"}
	if !slices.Equal(got, want) || st.Steps() != 4 {
		t.Fatalf("%d steps, got %q", st.Steps(), got)
	}
	stop() // after all is over
}

// A timer that is set again and again must not fill the heap with dead ones.
func TestX1_StoppedTimersLeaveTheStepper(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(ctx *Context, m any) {
		if _, is := m.(int); is {
			ctx.After("lease", time.Hour, "over")
			ctx.After("other", time.Minute, "over")
		}
	}))
	for i := range 1000 {
		l.sys.Tell(ref, i)
		l.settle()
	}
	if n := len(l.st.timers); n != 2 {
		t.Fatalf("%d alarms", n)
	}
}

func TestX1_ATraceTellsWhoAndWhatAndCrashes(t *testing.T) {
	st := spare.Next(1, epoch)
	var lines []string
	st.OnTrace(func(tr Trace) { lines = append(lines, fmt.Sprintf("%s < %s %v", tr, tr.From, tr.Message)) })
	sys := New(Config{Name: "host", Stepper: st})
	top, err := sys.Start(Spec{Name: "top", New: func() Behavior {
		return &Supervisor{Children: []Spec{spec("a", func(_ *Context, m any) {
			if m == "boom" {
				panic("no luck")
			}
		})}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for st.Step(epoch) {
	}
	sys.TellFrom(top, sys.root.children["top"].children["a"].ref, "boom")
	for st.Step(epoch) {
	}
	want := []string{
		"     1 03:04:05.000 host                         kit.Started < nobody {1}",
		"     2 03:04:05.000 host/top                     kit.Started < nobody {1}",
		"     3 03:04:05.000 host/top/a                   kit.Started < nobody {1}",
		"     4 03:04:05.000 host/top/a                   string < host/top boom",
		"     4 03:04:05.000 host/top/a                   kit.Crash < nobody {no luck string}",
		"     8 03:04:05.000 host/top/a                   kit.Started < nobody {2}",
	}
	slices.Sort(lines)
	if len(lines) != len(want) {
		t.Fatalf("got %q", lines)
	}
	slices.Sort(want)
	for i := range want {
		if lines[i][7:] != want[i][7:] {
			t.Fatalf("got  %q\nwant %q", lines[i], want[i])
		}
	}
}

func TestX1_KillIsSilentAndLeavesNothing(t *testing.T) {
	for seed := range uint64(50) {
		st := spare.Next(seed, epoch)
		systems := gossipWorld(t, st)
		victim, other := systems[0], systems[1]
		asked := 0
		port := victim.Port("edge", func(any, Ref) { asked++ })
		for range int(seed) * 7 {
			st.Step(epoch.Add(time.Hour))
		}
		before := victim.Stats()
		st.OnTrace(func(tr Trace) {
			if len(tr.Actor) > 5 && tr.Actor[:5] == "host0" {
				t.Fatalf("seed %d: a killed system ran: %s", seed, tr)
			}
		})
		victim.Kill()
		if slices.ContainsFunc(st.ready, func(m *mailbox) bool { return m.unit.system == victim }) {
			t.Fatalf("seed %d: a mailbox is left", seed)
		}
		if !errors.Is(victim.Err(), ErrKilled) || victim.Tree().Children != nil {
			t.Fatalf("%v, %+v", victim.Err(), victim.Tree())
		}
		victim.Tell(victim.top, "x")
		victim.TellFrom(port, victim.top, "x")
		victim.Kill()
		if err := victim.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			st.Step(epoch.Add(time.Hour))
		}
		if after := victim.Stats(); after.DeadLetters != before.DeadLetters || after.Refused != before.Refused || asked != 0 {
			t.Fatalf("seed %d: it spoke: before %+v, after %+v, %d at the port", seed, before, after, asked)
		}
		if other.Err() != nil || other.Stats().Actors != 9 {
			t.Fatalf("the other one: %v, %+v", other.Err(), other.Stats())
		}
		other.Kill()
		if !st.Idle() || len(st.timers) != 0 || st.Step(epoch.Add(time.Hour)) {
			t.Fatalf("seed %d: %d mailboxes and %d alarms are left", seed, len(st.ready), len(st.timers))
		}
	}
}

// A crash may come in the middle of a handler: what the handler does after it has no effect.
func TestX1_KillInsideAHandler(t *testing.T) {
	l := newLab(t, 1)
	heard := 0
	port := l.sys.Port("edge", func(any, Ref) { heard++ })
	ref := l.spawn(l.counter("a"))
	l.do(func(ctx *Context) {
		l.sys.Kill()
		ctx.Tell(port, "x")
		ctx.Tell(ref, "x")
		ctx.After("t", time.Second, "x")
		if _, err := ctx.Spawn(l.counter("b")); !errors.Is(err, ErrKilled) {
			t.Errorf("got %v", err)
		}
		panic("after its death")
	})
	if heard != 0 || len(l.st.timers) != 0 || !l.st.Idle() || l.sys.Stats().Failures != 0 {
		t.Fatalf("heard %d, %d timers", heard, len(l.st.timers))
	}
	l.want(t, "a started 1")
	if l.logs.Len() != 0 {
		t.Fatalf("it logged %s", l.logs.String())
	}
}

func TestX1_AHostComesBackUnderItsOldName(t *testing.T) {
	st := spare.Next(1, epoch)
	for boot := range 300 { // more than one engine has room for
		sys := New(Config{Name: "host", Stepper: st})
		handled := 0
		ref, err := sys.Start(spec("top", func(_ *Context, m any) {
			if m == boot {
				handled++
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		sys.Tell(ref, boot)
		for st.Step(st.Now()) {
		}
		if handled != 1 {
			t.Fatalf("boot %d: %d", boot, handled)
		}
		sys.Tell(ref, boot)
		sys.Kill()
		for st.Step(st.Now()) {
		}
		if handled != 1 {
			t.Fatalf("boot %d: handled after the crash", boot)
		}
	}
}

// TestX1_FateKillsAnActorAtAnyPoint lets an actor fail before, in the middle of, and after one message.
func TestX1_FateKillsAnActorAtAnyPoint(t *testing.T) {
	for fate, want := range map[Fate][]string{
		Lives: {"sent 1", "sent 2", "sent 3"}, DiesBefore: nil, 1: {"sent 1"}, 2: {"sent 1", "sent 2"}, 4: {"sent 1", "sent 2", "sent 3"},
	} {
		l := newLab(t, 1)
		worker := l.spawn(spec("worker", func(ctx *Context, m any) {
			if m == "go" {
				for i := range 3 {
					ctx.Tell(l.top, fmt.Sprintf("sent %d", i+1))
				}
			}
		}))
		l.st.OnFate(func(_ string, m any) Fate {
			if m == "go" {
				return fate
			}
			return Lives
		})
		l.sys.Tell(worker, "go")
		l.settle()
		var lines []string
		for _, line := range want {
			lines = append(lines, "top got "+line)
		}
		l.want(t, lines...)
		restarts := uint64(1)
		if fate == Lives {
			restarts = 0
		}
		if got := l.find("top/worker").Restarts; got != restarts {
			t.Errorf("fate %d: %d restarts, want %d", fate, got, restarts)
		}
	}
}

// TestX1_FrozenSystemsWake shows that a frozen system loses nothing but time.
func TestX1_FrozenSystemsWake(t *testing.T) {
	l := newLab(t, 1)
	l.st.Freeze(l.sys)
	l.sys.Tell(l.top, "while frozen")
	l.settle()
	l.want(t)
	l.st.Thaw(l.sys)
	l.settle()
	l.want(t, "top got while frozen")
	l.st.Freeze(l.sys)
	l.sys.Kill()
	l.st.Thaw(l.sys)
	l.settle()
}
