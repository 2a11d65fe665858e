package kit

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Each benchmark does the same work through the kit and through the bare engine in turns, in one run, and reports how
// many times longer the kit takes. The engine's mailboxes have no bound and no lanes there.

// turns is how often the two change places: what else the machine does then burdens both.
const turns = 10

// against runs n operations of both and reports the ratio; ns/op is the kit's.
func against(b *testing.B, kit, bare func(n int)) {
	b.Helper()
	b.ReportAllocs()
	var took [2]time.Duration
	n := max(b.N/turns, 1)
	kit(n)
	bare(n)
	b.ResetTimer()
	for range turns {
		for i, fn := range []func(int){kit, bare} {
			if i == 1 {
				b.StopTimer()
			}
			start := time.Now()
			fn(n)
			took[i] += time.Since(start)
			b.StartTimer()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(took[0])/float64(took[1]), "x-bare")
	b.ReportMetric(float64(took[1].Nanoseconds())/float64(n*turns), "bare-ns/op")
}

// goal closes a gate when it has counted down.
type goal struct {
	left int
	done chan struct{}
}

func (g *goal) hit() {
	if g.left--; g.left == 0 {
		g.done <- struct{}{}
	}
}

// aim sets the next goal; it is a message.
type aim int

type bareActor func(ctx actor.Context)

func (a bareActor) Receive(ctx actor.Context) { a(ctx) }

func benchSystem(b *testing.B, a act) (*System, Ref) {
	s := spec("top", a)
	s.Mailbox = mailboxMax
	return realSystem(b, s)
}

func bareSystem(b *testing.B, a bareActor) (*actor.ActorSystem, *actor.PID) {
	e := freshEngine()
	pid := e.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return a }))
	b.Cleanup(func() { e.Root.Stop(pid) })
	return e, pid
}

func BenchmarkTell(b *testing.B) {
	g, h := &goal{done: make(chan struct{})}, &goal{done: make(chan struct{})}
	message := new(int)
	sys, top := benchSystem(b, func(_ *Context, m any) {
		switch m := m.(type) {
		case aim:
			g.left = int(m)
		case *int:
			g.hit()
		}
	})
	e, pid := bareSystem(b, func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case aim:
			h.left = int(m)
		case *int:
			h.hit()
		}
	})
	against(b, func(n int) {
		sys.Tell(top, aim(n))
		for range n {
			sys.Tell(top, message)
		}
		<-g.done
	}, func(n int) {
		e.Root.Send(pid, aim(n))
		for range n {
			e.Root.Send(pid, message)
		}
		<-h.done
	})
}

// Two actors hand one message back and forth: nothing overlaps.
func BenchmarkPingPong(b *testing.B) {
	done := make(chan struct{})
	sys, top := benchSystem(b, func(ctx *Context, m any) {
		switch m := m.(type) {
		case Started:
			if _, err := ctx.Spawn(spec("pong", func(ctx *Context, m any) {
				if _, is := m.(int); is {
					ctx.Reply(m)
				}
			})); err != nil {
				b.Error(err)
			}
		case aim:
			ctx.Tell(ctx.system().root.children["top"].children["pong"].ref, int(m))
		case int:
			if m == 0 {
				done <- struct{}{}
				return
			}
			ctx.Reply(m - 1)
		}
	})
	pong := new(*actor.PID)
	e, pid := bareSystem(b, func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			*pong = ctx.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if n, is := ctx.Message().(int); is {
					ctx.RequestWithCustomSender(ctx.Sender(), n, ctx.Self())
				}
			}))
		case aim:
			ctx.Request(*pong, int(m))
		case int:
			if m == 0 {
				done <- struct{}{}
				return
			}
			ctx.Request(ctx.Sender(), m-1)
		}
	})
	against(b, func(n int) {
		sys.Tell(top, aim(n))
		<-done
	}, func(n int) {
		e.Root.Send(pid, aim(n))
		<-done
	})
}

func BenchmarkAsk(b *testing.B) {
	sys, top := benchSystem(b, func(ctx *Context, m any) {
		if _, is := m.(int); is {
			ctx.Reply(m)
		}
	})
	e, pid := bareSystem(b, func(ctx actor.Context) {
		if n, is := ctx.Message().(int); is {
			ctx.Respond(n)
		}
	})
	against(b, func(n int) {
		for i := range n {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			if _, err := sys.Ask(ctx, top, i); err != nil {
				b.Fatal(err)
			}
			cancel()
		}
	}, func(n int) {
		for i := range n {
			if _, err := e.Root.RequestFuture(pid, i, patience).Result(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSpawnStop(b *testing.B) {
	done := make(chan struct{})
	idle := func(*Context, any) {}
	left, serial := 0, 0
	sys, top := benchSystem(b, func(ctx *Context, m any) {
		switch m := m.(type) {
		case aim:
			left = int(m)
			for range int(m) {
				serial++
				ref, err := ctx.Spawn(spec(strconv.Itoa(serial), idle))
				if err != nil {
					b.Error(err)
				}
				ctx.Stop(ref)
			}
		case *ChildStopped:
			if left--; left == 0 {
				done <- struct{}{}
			}
		}
	})
	bareLeft, bareSerial := 0, 0
	props := actor.PropsFromFunc(func(actor.Context) {})
	e, pid := bareSystem(b, func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case aim:
			bareLeft = int(m)
			for range int(m) {
				bareSerial++
				child, err := ctx.SpawnNamed(props, strconv.Itoa(bareSerial))
				if err != nil {
					b.Error(err)
				}
				ctx.Stop(child)
			}
		case *actor.Terminated:
			if bareLeft--; bareLeft == 0 {
				done <- struct{}{}
			}
		}
	})
	against(b, func(n int) {
		sys.Tell(top, aim(n))
		<-done
	}, func(n int) {
		e.Root.Send(pid, aim(n))
		<-done
	})
}

// BenchmarkMemory reports the heap that one idle actor holds, which has handled a few messages.
func BenchmarkMemory(b *testing.B) {
	const actors = 20_000
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for range b.N {
		idle := func(*Context, any) {}
		ready := make(chan struct{})
		sys, top := benchSystem(b, func(ctx *Context, m any) {
			if _, is := m.(aim); is {
				for i := range actors {
					ref, err := ctx.Spawn(spec(strconv.Itoa(i), idle))
					if err != nil {
						b.Error(err)
					}
					ctx.Tell(ref, 1)
					ctx.Tell(ref, 2)
				}
				close(ready)
			}
		})
		base := heap()
		sys.Tell(top, aim(0))
		<-ready
		until(b, "all is handled", func() bool { return sys.Stats().Handled == 1+2*actors })
		b.ReportMetric((heap()-base)/actors, "B/actor")

		bareReady := make(chan struct{})
		props := actor.PropsFromFunc(func(actor.Context) {})
		e, pid := bareSystem(b, func(ctx actor.Context) {
			if _, is := ctx.Message().(aim); is {
				for i := range actors {
					child, err := ctx.SpawnNamed(props, strconv.Itoa(i))
					if err != nil {
						b.Error(err)
					}
					ctx.Send(child, 1)
					ctx.Send(child, 2)
				}
				close(bareReady)
			}
		})
		base = heap()
		e.Root.Send(pid, aim(0))
		<-bareReady
		b.ReportMetric((heap()-base)/actors, "bare-B/actor")
		runtime.KeepAlive(sys)
		runtime.KeepAlive(e)
	}
}

// BenchmarkStep is one message on a stepper, chosen among 100 mailboxes.
func BenchmarkStep(b *testing.B) {
	st := NewStepper(1, epoch)
	sys := New(Config{Stepper: st})
	var refs []Ref
	sup := &Supervisor{Ready: func(_ *Context, r []Ref) { refs = r }}
	for i := range 100 {
		sup.Children = append(sup.Children, spec(fmt.Sprint(i), func(ctx *Context, m any) {
			if _, is := m.(int); is {
				ctx.Tell(refs[ctx.Draw()%100], m)
			}
		}))
	}
	if _, err := sys.Start(Spec{Name: "top", New: func() Behavior { return sup }}); err != nil {
		b.Fatal(err)
	}
	for st.Step(epoch) {
	}
	for i, ref := range refs {
		sys.Tell(ref, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		st.Step(epoch)
	}
}

// BenchmarkNewSystem is what opening a system costs: alone, and on a stepper that has made others.
func BenchmarkNewSystem(b *testing.B) {
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			New(Config{})
		}
	})
	b.Run("stepper", func(b *testing.B) {
		st := NewStepper(1, epoch)
		b.ReportAllocs()
		for b.Loop() {
			New(Config{Stepper: st})
		}
	})
}
