package kit

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// counter is an actor with state: it counts what it is sent.
type counter struct {
	l     *lab
	name  string
	count int
}

func (c *counter) Receive(ctx *Context, m any) {
	switch m := m.(type) {
	case Started:
		c.l.add("%s started %d", c.name, m.Incarnation)
	case Stopping:
		c.l.add("%s stopping", c.name)
	case string:
		c.count++
		c.l.add("%s %s %d", c.name, m, c.count)
		if m == "boom" {
			panic("boom")
		}
	}
}

func (l *lab) counter(name string) Spec {
	return Spec{Name: name, New: func() Behavior { return &counter{l: l, name: name} }}
}

func TestTrap1_RestartLosesStateAndTheFailingMessageAndNothingElse(t *testing.T) {
	l := newLab(t, 1)
	l.do(func(ctx *Context) {
		ref, _ := ctx.Spawn(l.counter("a"))
		for _, m := range []string{"one", "boom", "two"} {
			ctx.Tell(ref, m)
		}
	})
	l.want(t, "a started 1", "a one 1", "a boom 2", "a started 2", "a two 1")
}

func TestTrap2And10And12And13_TheEnginesOwnToolsAreNotOffered(t *testing.T) {
	banned := []string{
		"Stash", "Unstash", "UnstashAll", "ReenterAfter", "AwaitFuture", "RequestFuture", "Request", "Future", "Watch",
		"Unwatch", "SetReceiveTimeout", "ReceiveTimeout", "CancelReceiveTimeout", "Poison", "PoisonFuture", "StopFuture",
		"Respond", "ActorSystem", "SpawnPrefix", "SpawnNamed", "Children", "Get", "Set",
	}
	typ := reflect.TypeFor[*Context]()
	for _, name := range banned {
		if _, has := typ.MethodByName(name); has {
			t.Errorf("Context offers %s", name)
		}
	}
	for i := range typ.Elem().NumField() {
		if f := typ.Elem().Field(i); f.Anonymous || f.IsExported() {
			t.Errorf("Context shows its field %s", f.Name)
		}
	}
}

func TestTrap3_PanicInStoppingStopsAllTheSame(t *testing.T) {
	l := newLab(t, 1)
	starts := 0
	ref := l.spawn(spec("a", func(ctx *Context, m any) {
		switch m.(type) {
		case Started:
			starts++
		case Stopping:
			panic("no")
		}
	}))
	l.do(func(ctx *Context) { ctx.Stop(ref) })
	l.want(t, "ended a failed=false")
	if starts != 1 || l.find("top/a") != nil {
		t.Fatalf("%d starts, still there: %v", starts, l.find("top/a") != nil)
	}
	if !strings.Contains(l.logs.String(), "actor failed while stopping") {
		t.Fatalf("not logged: %s", l.logs.String())
	}
}

// The engine lets a restart that is under way undo a stop that came in between: the parent would wait for ever.
func TestTrap3_AStopIsNotUndoneByAFailure(t *testing.T) {
	for seed := range uint64(300) {
		l := newLab(t, seed)
		var a Ref
		l.do(func(ctx *Context) {
			a, _ = ctx.Spawn(spec("a", func(ctx *Context, m any) {
				switch m {
				case Started{Incarnation: 1}:
					for _, name := range []string{"x", "y"} {
						if _, err := ctx.Spawn(l.counter(name)); err != nil {
							t.Error(err)
						}
					}
				case "stop and fail":
					ctx.StopSelf()
					panic("failed")
				case "fail":
					panic("failed")
				}
			}))
		})
		killer := l.spawn(spec("killer", func(ctx *Context, m any) {
			if m == "kill" {
				ctx.Stop(a)
			}
		}))
		if seed%3 == 0 {
			l.sys.Tell(a, "stop and fail")
		} else {
			l.sys.Tell(a, "fail")
			l.sys.Tell(killer, "kill")
		}
		l.settle()
		if l.find("top/a") != nil {
			t.Fatalf("seed %d: a lives on", seed)
		}
		if got := strings.Count(strings.Join(l.all(), "\n"), "ended a "); got != 1 {
			t.Fatalf("seed %d: heard %d times that a ended", seed, got)
		}
	}
}

func TestTrap4_BehaviorsNeverSeeStopped(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(_ *Context, m any) { l.add("%T", m) }))
	l.do(func(ctx *Context) { ctx.Stop(ref) })
	l.want(t, "kit.Started", "kit.Stopping", "ended a failed=false")
}

func TestTrap5_MessagesAfterStoppingAreLostAndSaid(t *testing.T) {
	for seed := range uint64(30) { // the child ends before, or after the message comes
		l := newLab(t, seed)
		ref := l.spawn(spec("a", func(ctx *Context, m any) {
			switch m.(type) {
			case Started:
				if _, err := ctx.Spawn(l.counter("child")); err != nil {
					t.Error(err)
				}
			case string:
				t.Error("handled after Stopping")
			}
		}))
		handled := l.sys.Stats().Handled
		l.do(func(ctx *Context) {
			ctx.Stop(ref)
			ctx.Tell(ref, "late")
		})
		got := l.all()
		for _, want := range []string{"child stopping", "lost a late", "ended a failed=false"} {
			if !slices.Contains(got, want) {
				t.Fatalf("seed %d: missing %q in %q", seed, want, got)
			}
		}
		if n := l.sys.Stats().Handled - handled; n != 2 { // what this test told the top, and the Lost
			t.Fatalf("seed %d: %d counted as handled, want 2", seed, n)
		}
		if l.sys.DeadLetters() != 1 {
			t.Fatalf("seed %d: %d dead letters, want 1", seed, l.sys.DeadLetters())
		}
	}
}

func TestTrap17_APanicOfNewIsAnErrorOfSpawn(t *testing.T) {
	l := newLab(t, 1)
	broken := errors.New("broken")
	l.do(func(ctx *Context) {
		_, err := ctx.Spawn(Spec{Name: "a", New: func() Behavior { panic(broken) }})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if _, err = ctx.Spawn(Spec{Name: "b", New: func() Behavior { return nil }}); err == nil {
			t.Error("an actor without a Behavior was started")
		}
		if _, err = ctx.Spawn(l.counter("a")); err != nil {
			t.Errorf("the name of the failed spawn is not free: %v", err)
		}
	})
	l.want(t, "a started 1")
}

func TestTrap17_APanicOfNewInARestartCountsAsAFailure(t *testing.T) {
	l := newLab(t, 1)
	news := 0
	ref := l.spawn(Spec{Name: "a", New: func() Behavior {
		if news++; news == 2 {
			panic("second New")
		}
		return &counter{l: l, name: "a"}
	}})
	l.sys.Tell(ref, "boom")
	l.sys.Tell(ref, "after")
	l.settle()
	l.want(t, "a started 1", "a boom 1", "a started 2", "a after 1")
	if l.sys.Stats().Failures != 2 {
		t.Fatalf("%d failures, want 2", l.sys.Stats().Failures)
	}
}

func TestTrap17_ANameThatIsTakenRunsNoNew(t *testing.T) {
	l := newLab(t, 1)
	l.spawn(l.counter("a"))
	l.do(func(ctx *Context) {
		_, err := ctx.Spawn(Spec{Name: "a", New: func() Behavior { t.Error("New ran"); return nil }})
		if !errors.Is(err, ErrNameTaken) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTrap17_ChildStoppedComesOnce(t *testing.T) {
	for seed := range uint64(100) {
		l := newLab(t, seed)
		ref := l.spawn(l.counter("a"))
		l.do(func(ctx *Context) {
			ctx.Tell(ref, "boom")
			ctx.Stop(ref)
			ctx.Stop(ref)
			ctx.Tell(ref, &Shutdown{})
		})
		if n := strings.Count(strings.Join(l.all(), "\n"), "ended a"); n != 1 {
			t.Fatalf("seed %d: %d times", seed, n)
		}
	}
}

// The engine frees a name before its actor has ended; a child spawned then would be an orphan.
func TestTrap15_ANameIsFreeWhenTheParentHasHeard(t *testing.T) {
	for seed := range uint64(200) {
		l := newLab(t, seed)
		tries, alive, most := 0, 0, 0
		child := spec("a", func(_ *Context, m any) {
			switch m.(type) {
			case Started:
				alive++
				most = max(most, alive)
			case Stopping:
				alive--
			}
		})
		again := func(ctx *Context) {
			tries++
			if _, err := ctx.Spawn(child); err != nil && !errors.Is(err, ErrNameTaken) {
				t.Error(err)
			}
		}
		ref := l.spawn(child)
		l.on = func(ctx *Context, m any) {
			if _, is := m.(*ChildStopped); is {
				if _, err := ctx.Spawn(child); err != nil {
					t.Errorf("seed %d: after ChildStopped: %v", seed, err)
				}
			}
		}
		l.sys.Tell(l.top, do(func(ctx *Context) { ctx.Stop(ref) }))
		for range 6 {
			l.sys.Tell(l.top, do(again))
		}
		l.settle()
		if most != 1 || alive != 1 || tries != 6 {
			t.Fatalf("seed %d: %d at once, %d now, %d tries", seed, most, alive, tries)
		}
		l.sys.Tell(ref, "the old address works") // and reaches the successor
		l.settle()
		if l.sys.DeadLetters() != 0 || l.find("top/a") == nil {
			t.Fatalf("seed %d: the old address is dead", seed)
		}
		l.sys.Stop(t.Context())
		l.settle()
		if alive != 0 || l.sys.Err() == nil {
			t.Fatalf("seed %d: %d orphans", seed, alive)
		}
	}
}

func TestTrap20_StopTwiceIsSafe(t *testing.T) {
	sys := New(Config{})
	if _, err := sys.Start(spec("top", func(*Context, any) {})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 3 {
		if err := sys.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(sys.Err(), ErrEnded) {
		t.Fatalf("got %v", sys.Err())
	}
	if _, err := sys.Start(spec("top", func(*Context, any) {})); !errors.Is(err, ErrEnded) {
		t.Fatalf("started again: %v", err)
	}
	if st := sys.Stats(); st.DeadLetters != 0 || st.Actors > 0 {
		t.Fatalf("%+v", st)
	}
}

func TestTrap20_StopOfManyAtOnce(t *testing.T) {
	sys, _ := realSystem(t, spec("top", func(*Context, any) {}))
	errs := make(chan error)
	for range 8 {
		go func() { errs <- sys.Stop(soon(t)) }()
	}
	for range 8 {
		if err := hear(t, errs); err != nil {
			t.Error(err)
		}
	}
}

func TestTrap20_StopBeforeStart(t *testing.T) {
	sys := New(Config{})
	if err := sys.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-sys.Done()
}

func TestTrap20_StopGivesUpWithItsContext(t *testing.T) {
	gate := make(chan struct{})
	sys, top := realSystem(t, spec("top", func(_ *Context, m any) {
		if m == "block" {
			<-gate
		}
	}))
	defer close(gate)
	sys.Tell(top, "block")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sys.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if sys.Err() != nil {
		t.Fatal("said to be done, but an actor is still busy")
	}
}

func TestTrap21_ThePanicAndItsStackAreLogged(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(l.counter("a"))
	l.sys.Tell(ref, "boom")
	l.settle()
	for _, want := range []string{"level=ERROR", "actor failed", "lab/top/a", "reason=boom", "message=string", "(*counter).Receive"} {
		if !strings.Contains(l.logs.String(), want) {
			t.Errorf("no %q in %s", want, l.logs.String())
		}
	}
}

func TestGoexitOfAHandlerIsAFailureAndTheActorGoesOn(t *testing.T) {
	got := make(chan int, 4)
	var ref Ref
	ready := make(chan struct{})
	sys, _ := realSystem(t, spec("top", func(ctx *Context, m any) {
		if _, is := m.(Started); is {
			ref, _ = ctx.Spawn(spec("a", func(_ *Context, m any) {
				switch m := m.(type) {
				case Started:
					got <- m.Incarnation
				case func():
					m()
				}
			}))
			close(ready)
		}
	}))
	hear(t, ready)
	if n := hear(t, got); n != 1 {
		t.Fatal(n)
	}
	sys.Tell(ref, func() { exit() })
	if n := hear(t, got); n != 2 {
		t.Fatalf("incarnation %d, want 2", n)
	}
}
