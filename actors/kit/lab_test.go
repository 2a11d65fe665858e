package kit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain checks that no test leaves a goroutine behind: none needs a moment of grace, an actor's goroutine ends with
// its last message.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// act is a Behavior made of a function.
type act func(ctx *Context, m any)

func (a act) Receive(ctx *Context, m any) { a(ctx, m) }

// spec of an actor whose state is in the closures of the test.
func spec(name string, a act) Spec {
	return Spec{Name: name, New: func() Behavior { return a }}
}

// do is run by the top actor of a lab in its turn.
type do func(ctx *Context)

// Lane of do: a test's orders pass what waits.
func (do) Lane() Lane { return Control }

// notebook collects what happened, from any goroutine.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (n *notebook) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func (n *notebook) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}

func (n *notebook) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := n.all(); !slices.Equal(got, lines) {
		t.Fatalf("got  %q\nwant %q", got, lines)
	}
}

// lab is a system on a stepper, with a top actor that does as it is told and notes what it hears.
type lab struct {
	notebook
	t    *testing.T
	st   *Stepper
	sys  *System
	top  Ref
	logs bytes.Buffer
	// on is what the top actor does besides noting; limit and rest of its spec.
	on func(ctx *Context, m any)
}

var epoch = time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)

// spare makes the steppers of all labs; tests of this package are not parallel.
var spare = NewStepper(0, epoch)

func newLab(t *testing.T, seed uint64, change ...func(*Spec)) *lab {
	t.Helper()
	l := &lab{t: t, st: spare.Next(seed, epoch)}
	l.sys = New(Config{Name: "lab", Stepper: l.st, Log: slog.New(slog.NewTextHandler(&l.logs, nil))})
	s := spec("top", l.receive)
	for _, c := range change {
		c(&s)
	}
	top, err := l.sys.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	l.top = top
	l.settle()
	return l
}

func (l *lab) receive(ctx *Context, m any) {
	switch m := m.(type) {
	case do:
		m(ctx)
		return
	case Started, Stopping:
	case *ChildStopped:
		l.add("ended %s failed=%v", m.Name, m.Failed)
	case *Busy:
		l.add("busy %s %v", NameOf(m.To), m.Message)
	case *Lost:
		l.add("lost %s %v", NameOf(m.To), m.Message)
	default:
		l.add("top got %v", m)
	}
	if l.on != nil {
		l.on(ctx, m)
	}
}

// settle runs all that can happen at this instant.
func (l *lab) settle() {
	l.t.Helper()
	for n := 0; l.st.Step(l.st.Now()); n++ {
		if n > 1_000_000 {
			l.t.Fatal("the actors do not come to rest")
		}
	}
}

// pass lets time go by.
func (l *lab) pass(d time.Duration) {
	until := l.st.Now().Add(d)
	l.st.AfterFunc(d, func() {})
	for l.st.Step(until) {
	}
}

// do runs f in the top actor's turn, and what follows from it.
func (l *lab) do(f func(ctx *Context)) {
	l.t.Helper()
	l.sys.Tell(l.top, do(f))
	l.settle()
}

// spawn starts a child of the top actor.
func (l *lab) spawn(s Spec) (ref Ref) {
	l.t.Helper()
	l.do(func(ctx *Context) {
		var err error
		if ref, err = ctx.Spawn(s); err != nil {
			l.t.Error(err)
		}
	})
	return ref
}

// find returns the node at a path below the top, or nil.
func (l *lab) find(path string) *Node { return find(l.sys, path) }

func find(s *System, path string) (found *Node) {
	s.Tree().Walk(func(p string, n Node) {
		if p == path {
			found = &n
		}
	})
	return found
}

// realSystem starts a system of goroutines, and stops it when the test ends.
func realSystem(t testing.TB, top Spec) (*System, Ref) {
	t.Helper()
	sys := New(Config{Name: "real"})
	ref, err := sys.Start(top)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(soon(t)); err != nil {
			t.Error(err)
		}
	})
	return sys, ref
}

// patience is when a test that hangs is given up; nothing is measured by it.
const patience = 20 * time.Second

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// hear waits for a value.
func hear[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-soon(t).Done():
		t.Fatal("waited in vain")
	}
	return v
}

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// exit ends the goroutine, as t.FailNow does.
func exit() { runtime.Goexit() }
