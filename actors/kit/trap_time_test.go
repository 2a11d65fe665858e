package kit

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// echo answers n times.
func echo(n int) act {
	return func(ctx *Context, m any) {
		if _, is := m.(string); is {
			for range n {
				ctx.Reply(m)
			}
		}
	}
}

func TestTrap11_AskTakesTheFirstReplyAndDropsLaterOnes(t *testing.T) {
	sys, top := realSystem(t, spec("top", echo(3)))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				question := fmt.Sprintf("%d/%d", i, j)
				got, err := sys.Ask(soon(t), top, question)
				if err != nil || got != question {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestTrap11_ALateReplyIsDroppedAndItsSenderNotBothered(t *testing.T) {
	gate, asked, told := make(chan struct{}), make(chan struct{}, 1), make(chan any, 4)
	sys, top := realSystem(t, spec("top", func(ctx *Context, m any) {
		switch m := m.(type) {
		case string:
			asked <- struct{}{}
			<-gate
			ctx.Reply("late")
			ctx.Tell(ctx.Self(), 1)
		case int, *Lost:
			told <- m
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	errs := make(chan error)
	go func() {
		_, err := sys.Ask(ctx, top, "question")
		errs <- err
	}()
	hear(t, asked)
	cancel()
	if err := hear(t, errs); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(gate)
	if m := hear(t, told); m != 1 {
		t.Fatalf("told %v", m)
	}
	if sys.DeadLetters() != 1 {
		t.Fatalf("%d dead letters, want 1", sys.DeadLetters())
	}
}

func TestTrap11_AskWithoutADeadlineIsRefused(t *testing.T) {
	sys, top := realSystem(t, spec("top", echo(1)))
	if _, err := sys.Ask(context.Background(), top, "question"); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Fatalf("got %v", err)
	}
	past, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := sys.Ask(past, nil, "question"); err == nil {
		t.Fatal("answered after the deadline, by nobody")
	}
}

func TestTrap11_AskUnderAStepperIsRefused(t *testing.T) {
	l := newLab(t, 1)
	if _, err := l.sys.Ask(soon(t), l.top, "question"); err == nil || !strings.Contains(err.Error(), "stepper") {
		t.Fatalf("got %v", err)
	}
}

func TestTrap11_AskLeavesNothingBehind(t *testing.T) {
	sys, top := realSystem(t, spec("top", echo(1)))
	before := addresses(sys)
	for range 20 {
		if _, err := sys.Ask(soon(t), top, "question"); err != nil {
			t.Fatal(err)
		}
	}
	if after := addresses(sys); after != before {
		t.Fatalf("%d addresses, %d before", after, before)
	}
}

// addresses counts what the engine's registry holds.
func addresses(sys *System) (n int) {
	for _, b := range sys.engine.ProcessRegistry.LocalPIDs.LocalPIDs {
		n += b.Count()
	}
	return n
}

func TestAskTellsBusyGoneAndErrors(t *testing.T) {
	refusal := errors.New("no such job")
	gate, blocked := make(chan struct{}), make(chan struct{}, 1)
	s := spec("top", func(ctx *Context, m any) {
		switch m {
		case "block":
			blocked <- struct{}{}
			<-gate
		case "refuse":
			ctx.Reply(refusal)
		}
	})
	s.Mailbox = 1
	sys, top := realSystem(t, s)
	if _, err := sys.Ask(soon(t), top, "refuse"); !errors.Is(err, refusal) {
		t.Fatalf("got %v", err)
	}
	sys.Tell(top, "block")
	hear(t, blocked)
	sys.Tell(top, "fills the mailbox")
	if _, err := sys.Ask(soon(t), top, "question"); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v", err)
	}
	close(gate)
	if _, err := sys.Ask(soon(t), nil, "question"); !errors.Is(err, ErrGone) {
		t.Fatalf("got %v", err)
	}
}

func TestAClosedPortIsADeadLetterEvenForOldAddresses(t *testing.T) {
	l := newLab(t, 1)
	heard, before := 0, addresses(l.sys)
	port := l.sys.Port("edge", func(any, Ref) { heard++ })
	l.do(func(ctx *Context) { ctx.Tell(port, "one") })
	l.sys.ClosePort(port)
	l.sys.ClosePort(port)
	l.sys.ClosePort(l.top) // is no port: nothing happens
	l.sys.ClosePort(nil)
	if after := addresses(l.sys); after != before {
		t.Fatalf("%d addresses, %d before", after, before)
	}
	l.do(func(ctx *Context) { ctx.Tell(port, "two") })
	l.want(t, "lost edge-"+NameOf(port)[len("edge-"):]+" two")
	if heard != 1 || l.sys.DeadLetters() != 1 {
		t.Fatalf("heard %d, %d dead letters", heard, l.sys.DeadLetters())
	}
}

func TestTrap12_TimersComeInTheActorsOwnTurn(t *testing.T) {
	const want = 200
	done := make(chan int)
	n := 0 // not guarded: the race detector tells if two goroutines run the actor
	sys, top := realSystem(t, spec("top", func(ctx *Context, m any) {
		switch m.(type) {
		case Started:
			ctx.After("tick", 0, 1)
		case int:
			if n++; n == want {
				done <- n
				return
			}
			ctx.After("tick", time.Microsecond, 1)
		case string:
			n += 0
		}
	}))
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			sys.Tell(top, "x")
		}
	})
	hear(t, done)
	stop.Store(true)
	wg.Wait()
}

func TestTrap13_TimersOfAnOldIncarnationNeverArrive(t *testing.T) {
	for seed := range uint64(200) {
		l := newLab(t, seed)
		ref := l.spawn(spec("a", func(ctx *Context, m any) {
			switch m := m.(type) {
			case Started:
				if m.Incarnation == 1 {
					ctx.After("same name", time.Second, "old")
					ctx.After("other", 2*time.Second, "old")
					ctx.After("due", 0, "old")
				} else {
					ctx.After("same name", 3*time.Second, "new")
				}
			case string:
				l.add("%s", m)
				if m == "boom" {
					panic("boom")
				}
			}
		}))
		// The timer that is due has fired, and waits in the mailbox while the actor fails.
		l.sys.Tell(ref, "boom")
		for _, m := range []*mailbox{&l.sys.root.children["top"].children["a"].mailbox} {
			m.mu.Lock()
			waiting := m.lane[Control].n
			m.mu.Unlock()
			if waiting != 0 {
				t.Fatal("the timer came before its time")
			}
		}
		l.pass(time.Hour)
		got := l.all()
		if len(got) != 3 && len(got) != 2 || got[len(got)-1] != "new" || strings.Count(strings.Join(got, " "), "new") != 1 {
			t.Fatalf("seed %d: %q", seed, got)
		}
		if len(got) == 3 && got[0] != "old" { // before the failure it may come
			t.Fatalf("seed %d: %q", seed, got)
		}
		if len(l.st.timers) != 0 {
			t.Fatalf("seed %d: %d timers left", seed, len(l.st.timers))
		}
	}
}

// A timer may have fired, and be waiting behind the message that makes it void.
func TestTrap13_AFiredTimerIsVoidOnceCancelledOrSetAgain(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(ctx *Context, m any) {
		switch m {
		case "set":
			ctx.After("t", time.Second, "first")
		case "cancel":
			ctx.Cancel("t")
			ctx.Cancel("never set")
		case "set again":
			ctx.After("t", time.Second, "second")
		case "first", "second":
			l.add("%v", m)
		}
	}))
	u := l.sys.root.children["top"].children["a"]
	for _, then := range []string{"cancel", "set again"} {
		l.sys.Tell(ref, "set")
		l.settle()
		stale := &fired{unit: u, name: "t", number: u.timers.next}
		l.sys.Tell(ref, then)
		l.settle()
		handled := l.find("top/a").Handled
		stale.post()
		l.settle()
		if now := l.find("top/a").Handled; now != handled {
			t.Fatalf("%s: a void timer counts as handled", then)
		}
	}
	l.want(t)
	l.pass(time.Minute)
	l.want(t, "second")
}

func TestTrap13_TimersEndWithTheActor(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(ctx *Context, m any) {
		switch m.(type) {
		case Started:
			ctx.After("t", time.Second, "x")
			ctx.After("fires meanwhile", time.Second, "x")
		case Stopping:
			ctx.After("u", time.Second, "y")
		case string:
			t.Errorf("got %v", m)
		}
	}))
	a := l.sys.root.children["top"].children["a"]
	l.do(func(ctx *Context) { ctx.Stop(ref) })
	if len(l.st.timers) != 0 {
		t.Fatalf("%d timers left", len(l.st.timers))
	}
	(&fired{unit: a, name: "fires meanwhile", number: 2}).post()
	l.pass(time.Hour)
	if l.sys.DeadLetters() != 0 {
		t.Fatal("a timer became a dead letter")
	}
}

func TestATimerIsNeverRefused(t *testing.T) {
	l := newLab(t, 1)
	var got []string
	s := spec("a", func(ctx *Context, m any) {
		switch m := m.(type) {
		case Started:
			ctx.After("t", time.Second, "timer")
		case string, urgent:
			got = append(got, fmt.Sprint(m))
		}
	})
	s.Control = 1
	ref := l.spawn(s)
	l.do(func(ctx *Context) { // while this runs, nothing leaves the mailbox of a
		ctx.Tell(ref, urgent(1))
		ctx.Tell(ref, urgent(2))
		alarm := l.st.timers[0]
		alarm.fn()
		heap.Remove(&l.st.timers, alarm.index)
	})
	if !slices.Equal(got, []string{"urgent 1", "timer"}) || l.sys.Refused() != 1 {
		t.Fatalf("%d refused, got %q", l.sys.Refused(), got)
	}
}

func TestTheTimersOfAnActorAreBounded(t *testing.T) {
	l := newLab(t, 1)
	l.spawn(spec("a", func(ctx *Context, m any) {
		if m == (Started{Incarnation: 1}) {
			for i := range timersMax {
				ctx.After(fmt.Sprint(i), time.Hour, i)
			}
			ctx.After("0", time.Hour, "again: not one more")
			l.add("full")
			ctx.After("one more", time.Hour, "x")
		}
	}))
	l.want(t, "full")
	if !strings.Contains(l.logs.String(), "65536 timers") || len(l.st.timers) != 0 {
		t.Fatalf("%d timers, log %s", len(l.st.timers), l.logs.String())
	}
}
