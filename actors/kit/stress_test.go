package kit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A wake-up that is lost shows as a message that is never handled: with one message at a time in flight a pair, every
// send finds a mailbox that is just going to rest.
func TestNoWakeUpIsLostBetweenPairs(t *testing.T) {
	const pairs, rounds = 16, 3000
	type ball struct{ left int }
	done := make(chan int, pairs)
	bounce := spec("", func(ctx *Context, m any) {
		if b, is := m.(ball); is {
			if b.left == 0 {
				done <- 1
				return
			}
			ctx.Reply(ball{b.left - 1})
		}
	})
	sys, top := realSystem(t, spec("top", func(ctx *Context, m any) {
		if _, is := m.(string); !is {
			return
		}
		for i := range pairs {
			var pair [2]Ref
			for j := range pair {
				s := bounce
				s.Name = fmt.Sprintf("%d-%d", i, j)
				var err error
				if pair[j], err = ctx.Spawn(s); err != nil {
					t.Error(err)
				}
			}
			ctx.TellFrom(pair[0], pair[1], ball{rounds})
		}
	}))
	sys.Tell(top, "go")
	for range pairs {
		hear(t, done)
	}
}

// The sender answers the very moment the message is handled, so that its next one meets the mailbox while it looks
// whether it may rest.
func TestNoWakeUpIsLostWhenAMailboxComesToRest(t *testing.T) {
	const rounds = 100_000
	var handled atomic.Int64
	sys, top := realSystem(t, spec("top", func(_ *Context, m any) {
		if _, is := m.(int); is {
			handled.Add(1)
		}
	}))
	for i := range rounds {
		sys.Tell(top, i)
		for spin := 1; handled.Load() == int64(i); spin++ {
			if spin%100 == 0 {
				runtime.Gosched()
			}
			if spin > 1_000_000_000 {
				t.Fatalf("message %d is never handled", i)
			}
		}
	}
}

func TestNoWakeUpIsLostUnderManySenders(t *testing.T) {
	const actors, senders, messages = 8, 8, 4000
	var handled atomic.Int64
	done := make(chan struct{})
	count := func(_ *Context, m any) {
		switch m.(type) {
		case int, urgent, bulk:
			if handled.Add(1) == senders*messages {
				close(done)
			}
		}
	}
	refs := make([]Ref, actors)
	ready := make(chan struct{})
	sys, _ := realSystem(t, spec("top", func(ctx *Context, m any) {
		if _, is := m.(Started); is {
			for i := range refs {
				s := spec(fmt.Sprint(i), count)
				s.Mailbox, s.Control = messages*senders, messages*senders
				refs[i], _ = ctx.Spawn(s)
			}
			close(ready)
		}
	}))
	hear(t, ready)
	for s := range senders {
		go func() {
			rng := rand.New(rand.NewPCG(uint64(s), 1))
			for i := range messages {
				to := refs[rng.IntN(actors)]
				switch rng.IntN(4) {
				case 0:
					sys.Tell(to, urgent(i))
				case 1:
					sys.Tell(to, bulk(i))
				default:
					sys.Tell(to, i)
				}
				if rng.IntN(64) == 0 {
					runtime.Gosched() // let the mailboxes come to rest now and then
				}
			}
		}()
	}
	hear(t, done)
	if sys.Refused()+sys.DeadLetters() != 0 {
		t.Fatalf("%d refused, %d lost", sys.Refused(), sys.DeadLetters())
	}
}

// A mailbox is suspended between a failure and the restart; what came meanwhile must wake it after.
func TestNoWakeUpIsLostOverRestarts(t *testing.T) {
	const messages = 2000
	var handled atomic.Int64
	done := make(chan struct{})
	child := spec("a", func(_ *Context, m any) {
		n, is := m.(int)
		if !is {
			return
		}
		if handled.Add(1) == messages {
			close(done)
		}
		if n%100 == 0 {
			panic(n)
		}
	})
	var ref Ref
	ready := make(chan struct{})
	top := spec("top", func(ctx *Context, m any) {
		if _, is := m.(Started); is {
			ref, _ = ctx.Spawn(child)
			close(ready)
		}
	})
	top.Limit = Limit{Max: messages, Per: time.Hour}
	sys, _ := realSystem(t, top)
	hear(t, ready)
	var wg sync.WaitGroup
	for s := range 4 {
		wg.Go(func() {
			for i := range messages / 4 {
				sys.Tell(ref, s*messages/4+i)
			}
		})
	}
	wg.Wait()
	hear(t, done)
}

// busyWorld has actors that talk, set timers, spawn, stop and fail without end.
func busyWorld(t *testing.T) (*System, *atomic.Int64) {
	turns := &atomic.Int64{}
	var life func(depth int) act
	life = func(depth int) act {
		return func(ctx *Context, m any) {
			turns.Add(1)
			switch m := m.(type) {
			case Started:
				ctx.After("tick", time.Microsecond, 0)
				if depth < 3 {
					for i := range 3 {
						if _, err := ctx.Spawn(spec(fmt.Sprint(i), life(depth+1))); err != nil && !errors.Is(err, ErrKilled) {
							t.Error(err)
						}
					}
				}
			case *ChildStopped:
				if _, err := ctx.Spawn(spec(m.Name, life(depth+1))); err != nil && !errors.Is(err, ErrKilled) {
					t.Error(err)
				}
			case int:
				ctx.After("tick", time.Microsecond, m+1)
				ctx.Tell(ctx.Parent(), "hello")
				switch r := ctx.Draw() % 200; {
				case r == 0 && depth == 3:
					ctx.StopSelf()
				case r < 3 && depth == 3:
					panic("unlucky")
				}
			}
		}
	}
	s := spec("top", life(0))
	s.Limit = Limit{Max: 1 << 30, Per: time.Hour}
	sys := New(Config{Name: "busy"})
	if _, err := sys.Start(s); err != nil {
		t.Fatal(err)
	}
	return sys, turns
}

func TestKillOfABusySystemIsSafe(t *testing.T) {
	for range 10 {
		sys, turns := busyWorld(t)
		until(t, "it is busy", func() bool { return turns.Load() > 500 || sys.Err() != nil })
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(sys.Kill)
		}
		wg.Go(func() {
			for range 10 {
				_, _ = sys.Tree(), sys.Stats()
			}
		})
		wg.Wait()
		<-sys.Done()
		until(t, "nothing runs", func() bool {
			n := turns.Load()
			for range 1000 {
				runtime.Gosched()
			}
			return turns.Load() == n
		})
		if _, err := sys.Ask(soon(t), sys.top, "question"); !errors.Is(err, ErrGone) {
			t.Fatalf("got %v", err)
		}
		if sys.Tree().Children != nil {
			t.Fatal("something was spawned after the end")
		}
	}
}

func TestStopOfABusySystemEndsEverything(t *testing.T) {
	for range 10 {
		sys, turns := busyWorld(t)
		until(t, "it is busy", func() bool { return turns.Load() > 500 || sys.Err() != nil })
		if err := sys.Stop(soon(t)); err != nil {
			t.Fatal(err)
		}
		until(t, "the root is gone", func() bool { return sys.Stats().Actors <= 0 })
		if n := turns.Load(); sys.Tree().Children != nil {
			t.Fatalf("actors are left after %d turns", n)
		}
	}
}

// Goroutines return to where they were after Stop and after Kill, with timers set and asks under way.
func TestGoroutinesReturnToTheBaseline(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 20 {
		gate := make(chan struct{})
		sys := New(Config{})
		top, err := sys.Start(spec("top", func(ctx *Context, m any) {
			switch m {
			case Started{Incarnation: 1}:
				ctx.After("far", time.Hour, "x")
			case "block":
				<-gate
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		sys.Tell(top, "block")
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := sys.Ask(soon(t), top, "question"); !errors.Is(err, ErrGone) {
					t.Errorf("got %v", err)
				}
			})
		}
		until(t, "all wait", func() bool { return sys.Tree().Mailbox == 5 })
		if i%2 == 0 {
			sys.Kill()
			close(gate)
		} else {
			stopped := make(chan error, 1)
			sys.engine.Root.Stop(top)
			go func() { stopped <- sys.Stop(soon(t)) }()
			close(gate)
			if err := hear(t, stopped); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
	}
	until(t, "all goroutines are gone", func() bool { return runtime.NumGoroutine() <= before })
}
