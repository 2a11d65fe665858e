package nemesis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/chaos/cell"
	"github.com/troupe-sched/troupe/chaos/link"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// act is how a kind of fault is done.
type act struct {
	// side is what of a part it takes while it lasts.
	side string
	do   func(*effort) error
}

// The sides of a part.
const (
	processSide = "process"
	linkSide    = "link"
	diskSide    = "disk"
	clockSide   = "clock"
	noSide      = "" // it takes nothing that another fault could hold
)

var acts = map[string]act{
	"kill":           {processSide, kill},
	"term":           {processSide, term},
	"stop":           {processSide, stop},
	"partition":      {linkSide, partition},
	"delay":          {linkSide, delay},
	"reset":          {linkSide, reset},
	"disk-full":      {diskSide, diskFull},
	"disk-slow":      {diskSide, diskSlow},
	"power-cut":      {processSide, powerCut},
	"clock":          {clockSide, clock},
	"step-down":      {noSide, stepDown},
	"reconnect":      {noSide, reconnect},
	"duplicate-node": {linkSide, duplicate},
	"swap":           {processSide, swap},
	"resign":         {noSide, resign},
	"leader-stall":   {noSide, leaderStall},
}

// effort is the doing of one fault.
type effort struct {
	nemesis *Nemesis
	fault   scenario.Fault
	targets []target
	// ctx ends when its time is over; undo is run then, last first, even if doing it failed in the middle.
	ctx  context.Context
	stop context.CancelFunc
	undo []func(context.Context) error
	// during are what goes on as long as it lasts.
	during sync.WaitGroup
	mu     sync.Mutex
	errs   []error
}

func (e *effort) after(undo func(context.Context) error) { e.undo = append(e.undo, undo) }

func (e *effort) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.errs...)
}

// while runs fn beside until the time is over.
func (e *effort) while(fn func(context.Context) error) {
	e.during.Add(1)
	go func() {
		defer e.during.Done()
		if err := fn(e.ctx); err != nil && e.ctx.Err() == nil {
			e.mu.Lock()
			e.errs = append(e.errs, err)
			e.mu.Unlock()
		}
	}()
}

// parts does the same to every part.
func (e *effort) parts(fn func(*cell.Part) error) error {
	var errs []error
	for _, t := range e.targets {
		errs = append(errs, fn(t.part))
	}
	return errors.Join(errs...)
}

func compare(a, b string) int { return cmp.Compare(a, b) }

func kill(e *effort) error {
	var errs []error
	for _, t := range e.targets {
		if t.pid != 0 {
			if err := syscall.Kill(t.pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, err)
			}
			continue
		}
		errs = append(errs, e.end(t.part, syscall.SIGKILL))
	}
	return errors.Join(errs...)
}

func term(e *effort) error {
	return e.parts(func(p *cell.Part) error { return e.end(p, syscall.SIGTERM) })
}

// end ends a process until the fault is undone.
func (e *effort) end(p *cell.Part, sig syscall.Signal) error {
	e.after(func(context.Context) error { return p.Proc.Start() })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), undoWithin)
	defer cancel()
	code, err := p.Proc.End(ctx, sig)
	if err == nil && sig == syscall.SIGTERM && code != 0 {
		err = fmt.Errorf("%s ends with exit code %d after SIGTERM", p.ID, code)
	}
	return err
}

func stop(e *effort) error {
	return e.parts(func(p *cell.Part) error {
		pid := p.Proc.PID()
		if err := p.Proc.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		e.after(func(context.Context) error {
			if p.Proc.PID() != pid {
				return nil // it is another life, which nobody stopped
			}
			return p.Proc.Signal(syscall.SIGCONT)
		})
		return nil
	})
}

func partition(e *effort) error {
	out := e.fault.How != "in"
	in := e.fault.How != "out"
	return e.parts(func(p *cell.Part) error {
		if p.Host != nil {
			e.after(func(context.Context) error { return p.Host.Cut(false, false) })
			return p.Host.Cut(out, in)
		}
		e.after(func(context.Context) error { return p.Link(link.State{}) })
		if e.fault.How == "half-open" {
			return p.Link(link.State{HalfOpen: true})
		}
		return p.Link(link.State{CutOut: out, CutIn: in})
	})
}

func delay(e *effort) error {
	return e.parts(func(p *cell.Part) error {
		e.after(func(context.Context) error { return p.Link(link.State{}) })
		return p.Link(link.State{Delay: e.fault.By.Std()})
	})
}

func reset(e *effort) error {
	return e.parts(func(p *cell.Part) error { p.Reset(); return nil })
}

func diskFull(e *effort) error {
	return e.parts(func(p *cell.Part) error {
		e.after(func(context.Context) error { return p.Disk.Full(false) })
		return p.Disk.Full(true)
	})
}

func diskSlow(e *effort) error {
	return e.parts(func(p *cell.Part) error {
		e.after(func(context.Context) error { return p.Disk.Slow(0) })
		return p.Disk.Slow(e.fault.By.Std())
	})
}

// powerCut takes the power from all of them at once: first every process dies, then every disk forgets.
func powerCut(e *effort) error {
	if err := e.parts(func(p *cell.Part) error { return e.end(p, syscall.SIGKILL) }); err != nil {
		return err
	}
	return e.parts(func(p *cell.Part) error {
		proc.KillBelow(p.Data) // the machine is without power, so nothing that an agent has started lives on
		return p.Disk.Cut()
	})
}

func clock(e *effort) error {
	return e.parts(func(p *cell.Part) error {
		e.after(func(context.Context) error { return os.WriteFile(p.Clock, []byte("0s\n"), 0o600) })
		return os.WriteFile(p.Clock, []byte(e.fault.By.String()+"\n"), 0o600)
	})
}

// stepDown lets the leader of the journal's stream step down again and again.
func stepDown(e *effort) error {
	every := e.fault.For.Std() / time.Duration(e.fault.Times)
	subject := "$JS.API.STREAM.LEADER.STEPDOWN." + jetstreamlog.StreamName(e.nemesis.cell.Name)
	e.while(func(ctx context.Context) error {
		for range e.fault.Times {
			// Between two leaders nobody answers; that is what a storm is about, and no failure of it.
			asking, cancel := context.WithTimeout(ctx, every)
			_, _ = e.nemesis.cell.Conn().RequestWithContext(asking, subject, nil)
			cancel()
			if pause.For(ctx, every) != nil {
				return nil
			}
		}
		return nil
	})
	return nil
}

// reconnect lets many clients come, ask one thing and go, at once and again.
func reconnect(e *effort) error {
	for range e.fault.Times {
		e.while(func(ctx context.Context) error {
			for pause.For(ctx, 0) == nil {
				// One that is refused or gets no answer comes again: there is no other way to behave for a client.
				nc, err := e.nemesis.cell.Dial("storm", nats.NoReconnect())
				if err != nil {
					_ = pause.For(ctx, 100*time.Millisecond)
					continue
				}
				asking, cancel := context.WithTimeout(ctx, 5*time.Second)
				_, _ = nc.RequestWithContext(asking, "troupe.v1."+e.nemesis.cell.Name+"._.cell.status", nil)
				cancel()
				nc.Close()
			}
			return nil
		})
	}
	return nil
}

// duplicate runs a second agent under the id of one that lives.
func duplicate(e *effort) error {
	return e.parts(func(p *cell.Part) error {
		double, dir := e.nemesis.cell.Double(p)
		e.after(func(ctx context.Context) error {
			_, err := double.End(ctx, syscall.SIGKILL)
			proc.KillBelow(dir) // its machine goes with it: nobody would ever come for what it has started
			return err
		})
		return double.Start()
	})
}

func swap(e *effort) error {
	if err := e.parts(func(p *cell.Part) error { return e.nemesis.cell.Swap(p, true) }); err != nil {
		return err
	}
	err := term(e)
	return errors.Join(err, e.parts(func(p *cell.Part) error {
		if e.fault.For > 0 {
			e.after(func(ctx context.Context) error {
				_, err := p.Proc.End(ctx, syscall.SIGTERM)
				return errors.Join(err, e.nemesis.cell.Swap(p, false))
			})
		}
		return p.Proc.Start()
	}))
}

func resign(e *effort) error {
	ctx, cancel := context.WithTimeout(e.ctx, undoWithin)
	defer cancel()
	_, err := e.nemesis.cell.Client().Resign(ctx, &v1.ResignRequest{Reason: "chaos"})
	return err
}

func leaderStall(e *effort) error {
	ctx, cancel := context.WithTimeout(e.ctx, undoWithin)
	defer cancel()
	_, err := e.nemesis.cell.Client().Drill(ctx, &v1.DrillRequest{Kind: "leader-stall", ForMs: e.fault.For.Std().Milliseconds(), Reason: "chaos"})
	return err
}
