package kit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestTrap6_WhatWaitsAtStopIsAnswered(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(l.counter("a"))
	l.do(func(ctx *Context) {
		for i := range 100 {
			ctx.Tell(ref, i)
		}
		ctx.Stop(ref)
	})
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("lost a %d", i))
	}
	got := slices.DeleteFunc(l.all(), func(s string) bool { return !strings.HasPrefix(s, "lost") })
	if !slices.Equal(got, want) || l.sys.DeadLetters() != 100 {
		t.Fatalf("%d dead letters, got %q", l.sys.DeadLetters(), got)
	}
}

func TestTrap6_AnAskThatWaitsAtStopEndsAtOnce(t *testing.T) {
	gate := make(chan struct{})
	sys, top := realSystem(t, spec("top", func(ctx *Context, m any) {
		if m == "block and stop" {
			<-gate
			ctx.StopSelf()
		}
	}))
	sys.Tell(top, "block and stop")
	errs := make(chan error)
	for range 10 {
		go func() {
			_, err := sys.Ask(soon(t), top, "question")
			errs <- err
		}()
	}
	until(t, "all questions wait", func() bool { return sys.Tree().Mailbox == 10 })
	close(gate)
	for range 10 {
		if err := hear(t, errs); !errors.Is(err, ErrGone) {
			t.Fatalf("got %v, want ErrGone", err)
		}
	}
	if _, err := sys.Ask(soon(t), top, "later"); !errors.Is(err, ErrGone) {
		t.Fatalf("got %v, want ErrGone", err)
	}
}

func TestTrap7_NothingSpinsAfterARefusal(t *testing.T) {
	l := newLab(t, 1)
	s := l.counter("a")
	s.Mailbox = 2
	ref := l.spawn(s)
	for round := range 3 {
		for range 10 {
			l.sys.Tell(ref, "x")
		}
		l.settle()
		if n := l.find("top/a"); n.Mailbox != 0 || n.Handled != uint64(2*(round+1)) || n.Refused != uint64(8*(round+1)) {
			t.Fatalf("round %d: %+v", round, *n)
		}
		if steps := l.st.Steps(); l.st.Step(l.st.Now()) || l.st.Steps() != steps || !l.st.Idle() {
			t.Fatal("there is something to do, and nothing waits")
		}
	}
}

func TestTrap7_NothingSpinsAfterARefusalOfGoroutines(t *testing.T) {
	gate, blocked := make(chan struct{}), make(chan struct{}, 1)
	s := spec("top", func(_ *Context, m any) {
		if m == "block" {
			blocked <- struct{}{}
			<-gate
		}
	})
	s.Mailbox = 1
	sys, top := realSystem(t, s)
	sys.Tell(top, "block")
	hear(t, blocked)
	for range 5 {
		sys.Tell(top, "x")
	}
	close(gate)
	idle := func() bool {
		m := &sys.root.children["top"].mailbox
		m.mu.Lock()
		defer m.mu.Unlock()
		return !m.active && m.waiting() == 0
	}
	until(t, "the mailbox rests", idle)
	if sys.Refused() != 4 {
		t.Fatalf("%d refused, want 4", sys.Refused())
	}
}

func TestTrap8_AFullMailboxRefusesToTheSender(t *testing.T) {
	l := newLab(t, 1)
	s := l.counter("a")
	s.Mailbox, s.Control = 3, 1
	ref := l.spawn(s)
	l.do(func(ctx *Context) {
		for i := range 5 {
			ctx.Tell(ref, i)
			ctx.Tell(ref, urgent(i))
			ctx.Tell(ref, bulk(i))
		}
	})
	got := slices.DeleteFunc(l.all(), func(s string) bool { return !strings.HasPrefix(s, "busy") })
	slices.Sort(got)
	want := []string{"busy a 3", "busy a 4"}
	for i := range 5 {
		if i >= 1 {
			want = append(want, fmt.Sprintf("busy a urgent %d", i))
		}
		if i >= 3 {
			want = append(want, fmt.Sprintf("busy a bulk %d", i))
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	if n := l.find("top/a"); l.sys.Refused() != 8 || n.Refused != 8 || n.Handled != 7 || l.sys.DeadLetters() != 0 {
		t.Fatalf("%+v", *n)
	}
}

func TestTrap8_ATellToOneselfWhenFullDoesNotHang(t *testing.T) {
	type seen struct{ mine, busy int }
	result := make(chan seen, 1)
	var s seen
	top := spec("top", func(ctx *Context, m any) {
		switch m.(type) {
		case int:
			s.mine++
		case *Busy:
			s.busy++
		case string:
			for i := range 10 {
				ctx.Tell(ctx.Self(), i)
			}
		}
		if s.mine+s.busy == 10 {
			result <- s
		}
	})
	top.Mailbox = 4
	sys, ref := realSystem(t, top)
	sys.Tell(ref, "flood")
	if got := hear(t, result); got != (seen{mine: 4, busy: 6}) {
		t.Fatalf("got %+v", got)
	}
}

func TestTrap8_ABusyThatFindsAFullMailboxGoesNoFurther(t *testing.T) {
	l := newLab(t, 1, func(s *Spec) { s.Control = 1 })
	s := l.counter("a")
	s.Mailbox = 1
	ref := l.spawn(s)
	l.do(func(ctx *Context) {
		for i := range 10 {
			ctx.Tell(ref, i)
		}
	})
	if l.sys.Refused() != 9 || l.sys.DeadLetters() != 0 {
		t.Fatalf("%d refused, %d dead letters", l.sys.Refused(), l.sys.DeadLetters())
	}
	if n := len(l.all()); n < 2 || n > 3 { // the actor's start, the first Busy, and perhaps another
		t.Fatalf("%q", l.all())
	}
}

// A name is registered before its mailbox can run: in the engine, a send in between panics the sender.
func TestTrap9_ASendDuringASpawnIsSafe(t *testing.T) {
	const rounds, senders = 300, 4
	var handled atomic.Uint64
	var sent uint64
	s := spec("a", func(_ *Context, m any) {
		if _, is := m.(int); is {
			handled.Add(1)
		}
	})
	s.Mailbox = 3
	next := make(chan struct{})
	left := rounds
	sys, top := realSystem(t, spec("top", func(ctx *Context, m any) {
		switch m := m.(type) {
		case string:
			ref, err := ctx.Spawn(s)
			if err != nil {
				t.Error(err)
			}
			ctx.Stop(ref)
		case *ChildStopped:
			if left--; left == 0 {
				close(next)
				return
			}
			ctx.Tell(ctx.Self(), "again")
		case *Lost, *Busy:
			t.Errorf("not asked for: %v", m)
		}
	}))
	var wg sync.WaitGroup
	var count atomic.Uint64
	for range senders {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-next:
					return
				default:
					// Guessed names are nobody's to use; here they must do no harm.
					sys.Tell(actor.NewPID("nonhost", "real/top/a"), i)
					count.Add(1)
				}
			}
		})
	}
	sys.Tell(top, "go")
	wg.Wait()
	sent = count.Load()
	if got := handled.Load() + sys.Refused() + sys.DeadLetters(); got != sent {
		t.Fatalf("%d sent, %d accounted for", sent, got)
	}
}

// urgent and bulk messages of tests.
type (
	urgent int
	bulk   int
)

func (urgent) Lane() Lane       { return Control }
func (bulk) Lane() Lane         { return Bulk }
func (u urgent) String() string { return fmt.Sprintf("urgent %d", int(u)) }
func (b bulk) String() string   { return fmt.Sprintf("bulk %d", int(b)) }

// batch is what the engine would deliver in parts and whole.
type batch []any

func (b batch) GetMessages() []any { return b }

func TestTrap18_LanesAreReadInsideEnvelopes(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(_ *Context, m any) {
		if _, is := m.(Started); !is {
			l.add("%v", m)
		}
	}))
	l.do(func(ctx *Context) {
		ctx.Tell(ref, bulk(1))
		ctx.Tell(ref, "normal")
		ctx.Tell(ref, urgent(1))
		ctx.TellFrom(nil, ref, urgent(2))
	})
	l.want(t, "urgent 1", "urgent 2", "normal", "bulk 1")
}

func TestTrap18_ABatchIsDeliveredOnceAndWhole(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(_ *Context, m any) {
		if _, is := m.(Started); !is {
			l.add("%T %v", m, m)
		}
	}))
	l.do(func(ctx *Context) { ctx.Tell(ref, batch{1, 2}) })
	l.want(t, "kit.batch [1 2]")
}

func TestTrap22_CountersSurviveFailuresAndEndedActorsAreFreed(t *testing.T) {
	l := newLab(t, 1)
	before := l.sys.Stats()
	for i := range 50 {
		ref := l.spawn(l.counter(fmt.Sprintf("a%d", i)))
		l.do(func(ctx *Context) {
			ctx.Tell(ref, "boom")
			ctx.Tell(ref, "x")
			ctx.Tell(ref, &Shutdown{})
		})
		l.pass(DefaultLimit.Per) // not too many failures at once
	}
	got := l.sys.Stats()
	if got.Actors != before.Actors || got.Restarts != 50 || got.Failures != 50 {
		t.Fatalf("%+v, before %+v", got, before)
	}
	if len(l.sys.root.children["top"].children) != 0 {
		t.Fatal("ended actors are kept")
	}
	// 50 x (boom, x, Shutdown), and 100 do of the test.
	if d := got.Handled - before.Handled; d != 250 {
		t.Fatalf("%d handled, want 250", d)
	}
}

func TestTrap25_ADeadLetterSaysWhoseItIs(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(l.counter("a"))
	l.do(func(ctx *Context) { ctx.Stop(ref) })
	l.on = func(_ *Context, m any) {
		if to, ok := Undelivered(m); ok {
			l.add("undelivered %s", NameOf(to))
		}
	}
	l.do(func(ctx *Context) {
		ctx.Tell(ref, "x")
		ctx.Tell(nil, "y")
		ctx.Stop(ref) // no message to anybody: not counted
		ctx.Stop(nil)
	})
	got := l.all()[3:]
	want := []string{"lost a x", "undelivered a", "lost nobody y", "undelivered nobody"}
	if !slices.Equal(got, want) || l.sys.DeadLetters() != 2 {
		t.Fatalf("%d dead letters, got %q", l.sys.DeadLetters(), got)
	}
}

func TestTrap26_AContextOutsideReceiveIsRefused(t *testing.T) {
	l := newLab(t, 1)
	var kept *Context
	l.do(func(ctx *Context) { kept = ctx })
	defer func() {
		if reason := recover(); reason == nil || !strings.Contains(fmt.Sprint(reason), "outside Receive") {
			t.Fatalf("got %v", reason)
		}
	}()
	kept.Tell(l.top, "x")
}

func TestUnhandledIsCountedAndLifeIsNot(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(ctx *Context, m any) { ctx.Unhandled(m) }))
	l.do(func(ctx *Context) {
		ctx.Tell(ref, "x")
		ctx.Tell(ref, &Shutdown{})
	})
	if n := l.sys.Stats().Unhandled; n != 1 || !strings.Contains(l.logs.String(), "unknown message") {
		t.Fatalf("%d unhandled, log %s", n, l.logs.String())
	}
}
