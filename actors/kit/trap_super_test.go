package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var errBoom = errors.New("boom")

// branch is a supervisor with n children that fail when told so.
func (l *lab) branch(name string, n int, change func(i int, s *Spec)) Spec {
	return Spec{Name: name, New: func() Behavior {
		sup := &Supervisor{}
		for i := range n {
			s := spec(fmt.Sprintf("leaf%d", i), func(ctx *Context, m any) {
				switch m := m.(type) {
				case Started:
					l.add("%s/%s started %d", name, ctx.Name(), m.Incarnation)
				case error:
					panic(m)
				}
			})
			if change != nil {
				change(i, &s)
			}
			sup.Children = append(sup.Children, s)
		}
		return sup
	}}
}

// fail makes an actor of the lab fail, wherever it is.
func (l *lab) fail(path string) {
	l.t.Helper()
	u := l.sys.root
	for name := range strings.SplitSeq(path, "/") {
		if u = u.children[name]; u == nil {
			l.t.Fatalf("no %s in %s", name, path)
		}
	}
	l.sys.Tell(u.ref, errBoom)
	l.settle()
}

func TestTrap15_TheLimitIsCountedPerSupervisorAndEscalates(t *testing.T) {
	l := newLab(t, 1)
	s := l.branch("sup", 3, nil)
	s.Limit = Limit{Max: 3, Per: time.Second}
	l.spawn(s)
	for i := range 3 { // each child once: the count is the supervisor's
		l.fail(fmt.Sprintf("top/sup/leaf%d", i))
	}
	if n := l.find("top/sup"); n.Restarts != 0 {
		t.Fatalf("the supervisor failed within its limit: %+v", *n)
	}
	l.fail("top/sup/leaf0")
	if n := l.find("top/sup"); n == nil || n.Restarts != 1 || len(n.Children) != 3 || n.Children[0].Restarts != 0 {
		t.Fatalf("after one failure too many: %+v", n)
	}
	if !strings.Contains(l.logs.String(), "more than 3 failures in 1s, the last of leaf0: boom") {
		t.Fatalf("the reason is not in the log: %s", l.logs.String())
	}
	if st := l.sys.Stats(); st.Restarts != 4 || st.Failures != 5 {
		t.Fatalf("%+v", st)
	}
}

func TestTrap15_OldFailuresAreForgotten(t *testing.T) {
	l := newLab(t, 1)
	s := l.branch("sup", 1, nil)
	s.Limit = Limit{Max: 2, Per: time.Minute}
	l.spawn(s)
	for range 20 {
		l.fail("top/sup/leaf0")
		l.pass(31 * time.Second)
	}
	if n := l.find("top/sup"); n.Restarts != 0 || n.Children[0].Restarts != 20 {
		t.Fatalf("%+v", *n)
	}
}

func TestTrap15_ARestartedSupervisorCountsAnew(t *testing.T) {
	l := newLab(t, 1)
	s := l.branch("sup", 1, nil)
	s.Limit = Limit{Max: 1, Per: time.Hour}
	l.spawn(s)
	for range 4 { // every second failure takes the supervisor along
		l.fail("top/sup/leaf0")
	}
	if n := l.find("top/sup"); n.Restarts != 2 || l.sys.Err() != nil {
		t.Fatalf("%+v", *n)
	}
}

func TestTrap15_PastEveryLimitTheSystemIsDoneAndSaysWhy(t *testing.T) {
	l := newLab(t, 1, func(s *Spec) { s.Limit = Limit{Max: 1, Per: time.Hour} })
	s := l.branch("sup", 2, nil)
	s.Limit = Limit{Max: 1, Per: time.Hour}
	l.spawn(s)
	for range 4 {
		if l.sys.Err() != nil {
			t.Fatal("done too early")
		}
		l.fail("top/sup/leaf1")
	}
	err := l.sys.Err()
	if !errors.Is(err, errBoom) {
		t.Fatalf("got %v, want what the leaf failed with", err)
	}
	want := "kit: lab/top failed: more than 1 failures in 1h0m0s, the last of sup: more than 1 failures in 1h0m0s, the last of leaf1: boom"
	if err.Error() != want {
		t.Fatalf("got  %s\nwant %s", err, want)
	}
	if n := l.sys.Stats().Actors; n > 0 {
		t.Fatalf("%d actors live on", n)
	}
	if err := l.sys.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTrap16_AnEscalationThatReachesTheTopEndsTheSystemAlone(t *testing.T) {
	st := NewStepper(1, epoch)
	one, other := New(Config{Name: "one", Stepper: st}), New(Config{Name: "other", Stepper: st})
	crash := spec("top", func(_ *Context, m any) {
		if m == "boom" {
			panic(errBoom)
		}
	})
	ref, err := one.Start(crash)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = other.Start(crash); err != nil {
		t.Fatal(err)
	}
	one.Tell(ref, "boom")
	for st.Step(st.Now()) {
	}
	if !errors.Is(one.Err(), errBoom) || other.Err() != nil {
		t.Fatalf("one: %v, other: %v", one.Err(), other.Err())
	}
}

func TestTrap16_AHandlerThatNeverReturnsDoesNotKeepAFailedSystemAlive(t *testing.T) {
	st := NewStepper(1, epoch)
	sys := New(Config{Name: "s", Stepper: st})
	top, err := sys.Start(spec("top", func(ctx *Context, m any) {
		switch m {
		case Started{Incarnation: 1}:
			if _, err := ctx.spawn(spec("stuck", func(*Context, any) {}), false); err != nil {
				t.Error(err)
			}
		case "boom":
			panic(errBoom)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	// A mailbox that is never run is what a handler that never returns looks like from outside.
	for st.Step(st.Now()) {
	}
	stuck := &sys.root.children["top"].children["stuck"].mailbox
	stuck.mu.Lock()
	stuck.active = true
	stuck.mu.Unlock()
	sys.Tell(top, "boom")
	for st.Step(st.Now()) {
	}
	if sys.Err() != nil {
		t.Fatal("done, but an actor has not ended")
	}
	for st.Step(epoch.Add(graceMax)) {
	}
	if !errors.Is(sys.Err(), errBoom) || st.Now().Sub(epoch) != graceMax {
		t.Fatalf("got %v at %s", sys.Err(), st.Now())
	}
}

func TestTemporaryChildrenAreStoppedAndDoNotCount(t *testing.T) {
	l := newLab(t, 1, func(s *Spec) { s.Limit = Limit{Max: 1, Per: time.Hour} })
	for i := range 10 {
		s := l.counter(fmt.Sprintf("a%d", i))
		s.Restart = Temporary
		ref := l.spawn(s)
		l.do(func(ctx *Context) {
			ctx.Tell(ref, "boom")
			ctx.Tell(ref, "waits")
		})
	}
	if l.sys.Err() != nil {
		t.Fatalf("their failures were counted: %v", l.sys.Err())
	}
	got := l.all()[:4]
	want := []string{"a0 started 1", "a0 boom 1", "lost a0 waits", "ended a0 failed=true"}
	if slices.Sort(got[2:]); !slices.Equal(got, []string{want[0], want[1], want[3], want[2]}) {
		t.Fatalf("got %q", got)
	}
}

func TestEscalatingChildrenTakeTheirSupervisorDownAtOnce(t *testing.T) {
	l := newLab(t, 1)
	l.spawn(l.branch("sup", 2, func(i int, s *Spec) {
		if i == 1 {
			s.Restart = Escalating
		}
	}))
	l.fail("top/sup/leaf0")
	if n := l.find("top/sup"); n.Restarts != 0 {
		t.Fatal("the permanent child took it down")
	}
	l.fail("top/sup/leaf1")
	if n := l.find("top/sup"); n.Restarts != 1 || n.Children[0].Restarts+n.Children[1].Restarts != 0 {
		t.Fatalf("%+v", *n)
	}
}

// Two children that fail together are one failure of their supervisor.
func TestASupervisorGivesUpOnce(t *testing.T) {
	for seed := range uint64(100) {
		l := newLab(t, seed, func(s *Spec) { s.Limit = Limit{Max: 1, Per: time.Hour} })
		l.spawn(l.branch("sup", 3, func(_ int, s *Spec) { s.Restart = Escalating }))
		for _, c := range l.sys.root.children["top"].children["sup"].children {
			l.sys.Tell(c.ref, errBoom)
		}
		l.settle()
		if n := l.find("top/sup"); l.sys.Err() != nil || n.Restarts != 1 || len(n.Children) != 3 {
			t.Fatalf("seed %d: %v, %+v", seed, l.sys.Err(), n)
		}
	}
}

// An incarnation that failed hears nothing more: not of its children, not of its end.
func TestAFailedIncarnationHearsNothing(t *testing.T) {
	for seed := range uint64(200) {
		l := newLab(t, seed)
		s := Spec{Name: "a", Restart: Temporary, New: func() Behavior {
			failed := false
			return act(func(ctx *Context, m any) {
				if failed {
					t.Errorf("seed %d: %T after the failure", seed, m)
				}
				switch m := m.(type) {
				case Started:
					for _, name := range []string{"x", "y"} {
						if _, err := ctx.Spawn(spec(name, func(ctx *Context, m any) {
							if m == "end" {
								ctx.StopSelf()
							}
						})); err != nil {
							t.Error(err)
						}
					}
				case error:
					failed = true
					panic(m)
				}
			})
		}}
		if seed%2 == 0 {
			s.Restart = Permanent
		}
		l.spawn(s)
		a := l.sys.root.children["top"].children["a"]
		l.sys.Tell(a.children["x"].ref, "end")
		l.sys.Tell(a.ref, errBoom)
		l.sys.Tell(a.children["y"].ref, "end")
		l.settle()
		if n := l.find("top/a"); (n != nil) != (s.Restart == Permanent) {
			t.Fatalf("seed %d: %+v", seed, n)
		}
	}
}

func TestAStartThatFailsLeavesNothingBehind(t *testing.T) {
	cases := map[string]Spec{
		"Spec.Name":    {New: func() Behavior { return &Supervisor{} }},
		"Spec.New":     {Name: "top"},
		"Spec.Mailbox": {Name: "top", New: func() Behavior { return &Supervisor{} }, Mailbox: -1},
		"Spec.Limit":   {Name: "top", New: func() Behavior { return &Supervisor{} }, Limit: Limit{Max: -1}},
		"Spec.Restart": {Name: "top", New: func() Behavior { return &Supervisor{} }, Restart: 9},
		"panicked":     {Name: "top", New: func() Behavior { panic("no") }},
		"no Behavior":  {Name: "top", New: func() Behavior { return nil }},
	}
	for want, s := range cases {
		for _, st := range []*Stepper{nil, NewStepper(1, epoch)} {
			sys := New(Config{Stepper: st})
			ref, err := sys.Start(s)
			if err == nil || !strings.Contains(err.Error(), want) && want != "no Behavior" || ref != nil {
				t.Fatalf("%s: got %v", want, err)
			}
			<-sys.Done()
			until(t, "the root is gone", func() bool { return sys.Stats().Actors <= 0 && sys.Tree().Children == nil })
			if got := sys.Err(); got == nil || got.Error() != err.Error() {
				t.Fatalf("%s: Err is %v, Start said %v", want, got, err)
			}
			if err := sys.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if st != nil && (!st.Idle() || len(st.timers) != 0) {
				t.Fatal("something is left to do")
			}
		}
	}
}

func TestASystemIsStartedOnce(t *testing.T) {
	l := newLab(t, 1)
	if _, err := l.sys.Start(l.counter("again")); !errors.Is(err, ErrStarted) {
		t.Fatalf("got %v", err)
	}
}

// A top actor that fails in its first message was started; the system ends right after.
func TestATopThatFailsAtOnceEndsTheSystem(t *testing.T) {
	sys := New(Config{})
	if _, err := sys.Start(spec("top", func(_ *Context, m any) {
		if _, is := m.(Started); is {
			panic(errBoom)
		}
	})); err != nil {
		t.Fatal(err)
	}
	hear(t, sys.Done())
	if !errors.Is(sys.Err(), errBoom) {
		t.Fatalf("got %v", sys.Err())
	}
}

func TestAwait(t *testing.T) {
	ready := make(chan struct{})
	sys, top := realSystem(t, spec("top", func(ctx *Context, m any) {
		switch m {
		case "ready":
			close(ready)
		case "end":
			ctx.StopSelf()
		}
	}))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sys.Await(gone, ready); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	sys.Tell(top, "ready")
	if err := sys.Await(soon(t), ready); err != nil {
		t.Fatal(err)
	}
	sys.Tell(top, "end")
	if err := sys.Await(soon(t), make(chan struct{})); !errors.Is(err, ErrEnded) {
		t.Fatalf("got %v", err)
	}
}

func TestAwaitStepsWithoutMovingTime(t *testing.T) {
	l := newLab(t, 1)
	ready := make(chan struct{})
	ref := l.spawn(spec("a", func(ctx *Context, m any) {
		switch m {
		case "now":
			close(ready)
		case "later":
			ctx.After("t", time.Second, "now")
		}
	}))
	l.sys.Tell(ref, "later")
	if err := l.sys.Await(t.Context(), ready); err == nil || l.st.Now() != epoch {
		t.Fatalf("got %v at %s", err, l.st.Now())
	}
	l.sys.Tell(ref, "now")
	if err := l.sys.Await(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
}
