package gofunc_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/drivertest"
	"github.com/troupe-sched/troupe/node/driver/gofunc"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// gate holds stubborn functions until it is opened.
type gate struct {
	mu sync.Mutex
	ch chan struct{}
}

func (g *gate) wait() {
	g.mu.Lock()
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	ch := g.ch
	g.mu.Unlock()
	<-ch
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch != nil {
		close(g.ch)
		g.ch = nil
	}
}

func subject() *drivertest.Subject {
	stubborn := &gate{}
	registry := gofunc.NewRegistry()
	for name, f := range map[drivertest.Behaviour]gofunc.Func{
		drivertest.Succeed:      func(context.Context, *gofunc.Call) error { return nil },
		drivertest.Fail:         func(context.Context, *gofunc.Call) error { return errors.New("it is broken") },
		drivertest.Crash:        func(context.Context, *gofunc.Call) error { panic("it is broken") },
		drivertest.Hang:         hang,
		drivertest.Stubborn:     func(_ context.Context, c *gofunc.Call) error { c.Logf("ready"); stubborn.wait(); return nil },
		drivertest.WriteLargest: func(_ context.Context, c *gofunc.Call) error { return c.SetResult(make([]byte, driver.ResultMax)) },
		drivertest.WriteTooLarge: func(_ context.Context, c *gofunc.Call) error {
			_ = c.SetResult(make([]byte, driver.ResultMax+1))
			return nil
		},
		drivertest.WriteResult: func(_ context.Context, c *gofunc.Call) error {
			return c.SetResult(fmt.Appendf(nil, "result of %d", c.Index))
		},
		drivertest.ReportProgress: func(ctx context.Context, c *gofunc.Call) error { c.Progress(1, 4); return hang(ctx, c) },
		drivertest.PrintEnv: func(_ context.Context, c *gofunc.Call) error {
			c.Logf("cell=%s node=%s queue=%s job=%s uid=%d stage=%s index=%d count=%d attempt=%d fence=%d COLOR=%s",
				c.Cell, c.Node, c.Queue, c.Job, c.JobUID, c.Stage, c.Index, c.Count, c.Attempt, c.Fence, c.Env["COLOR"])
			return nil
		},
		drivertest.Print: func(_ context.Context, c *gofunc.Call) error {
			_, err := c.Write([]byte(drivertest.OutText))
			return err
		},
		drivertest.Flood:     flood,
		drivertest.SumInputs: sum,
	} {
		if err := registry.Register(string(name), f); err != nil {
			panic(err)
		}
	}
	return &drivertest.Subject{
		New: func(t *testing.T, _ string) driver.Driver {
			d, err := gofunc.New(gofunc.Options{Registry: registry})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Command: func(_ *testing.T, b drivertest.Behaviour, spec *v1.StageSpec) { spec.Func = string(b) },
		Unblock: stubborn.open, MemoryInputs: true,
	}
}

func hang(ctx context.Context, c *gofunc.Call) error {
	c.Logf("ready")
	<-ctx.Done()
	return context.Cause(ctx)
}

func flood(_ context.Context, c *gofunc.Call) error {
	for i := range drivertest.FloodLines {
		text := "line"
		if i == drivertest.FloodLines-1 {
			text = "the end"
		}
		c.Logf("%s", text+strings.Repeat(".", 63-len(text)))
	}
	return nil
}

func sum(_ context.Context, c *gofunc.Call) error {
	all, err := c.Inputs("before")
	if err != nil {
		return err
	}
	var joined []byte
	for i := range uint64(len(all)) {
		data, ok := c.Input("before", i)
		if !ok {
			return fmt.Errorf("no input %d", i)
		}
		joined = append(joined, data...)
	}
	return c.SetResult(joined)
}

func TestX7_Conformance(t *testing.T) { drivertest.Run(t, subject()) }

func TestX7_PanicLeavesItsStackInTheLog(t *testing.T) {
	r := drivertest.NewRig(t, subject())
	task := r.Task(1, drivertest.Crash)
	r.AwaitEnd(r.Start(task))
	stack, _ := r.Output(&v1.LogsRequest{Fence: task.Fence}, "stderr")
	if !strings.Contains(stack, "panic: it is broken") || !strings.Contains(stack, "gofunc_test.subject") {
		t.Errorf("stack %q", stack)
	}
}

func TestX7_UnreadableInputsMakeTheAttemptFail(t *testing.T) {
	registry := gofunc.NewRegistry()
	s := subject()
	s.New = func(t *testing.T, _ string) driver.Driver {
		d, err := gofunc.New(gofunc.Options{Registry: registry})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := registry.Register("careless", func(_ context.Context, c *gofunc.Call) error {
		c.Input("before", 0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r := drivertest.NewRig(t, s)
	task := r.Task(1, drivertest.SumInputs)
	task.Template.Spec.Func = "careless"
	task.Results = func(string) (map[uint64][]byte, error) { return nil, errors.New("the disk is gone") }
	if o := r.AwaitEnd(r.Start(task)); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_FAILED || o.Reason != "the disk is gone" {
		t.Errorf("outcome %+v", o)
	}
}

func TestX7_GoexitIsAFailure(t *testing.T) {
	s := subject()
	registry := gofunc.NewRegistry()
	if err := registry.Register("exit", func(context.Context, *gofunc.Call) error { runtime.Goexit(); return nil }); err != nil {
		t.Fatal(err)
	}
	s.New = func(t *testing.T, _ string) driver.Driver {
		d, err := gofunc.New(gofunc.Options{Registry: registry})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	r := drivertest.NewRig(t, s)
	task := r.Task(1, drivertest.Succeed)
	task.Template.Spec.Func = "exit"
	if o := r.AwaitEnd(r.Start(task)); o.Phase != v1.AttemptPhase_ATTEMPT_PHASE_FAILED || !strings.Contains(o.Reason, "Goexit") {
		t.Errorf("outcome %+v", o)
	}
}

func TestX7_LeaksAreCounted(t *testing.T) {
	s := subject()
	r := drivertest.NewRig(t, s)
	d := r.D.(*gofunc.Driver)
	task := r.Task(1, drivertest.Stubborn)
	task.Template.GraceMs = 1
	r.StartReady(task)
	r.D.Stop(1, task.Fence, "enough")
	if o := r.AwaitEnd(task); !strings.Contains(o.Reason, "did not return within 1ms") {
		t.Errorf("reason %q", o.Reason)
	}
	if n := d.Leaked(); n != 1 {
		t.Errorf("%d functions leaked, want 1", n)
	}
	s.Unblock()
	r.D.Release(1, "done")
	r.Await(1, "released", func(e driver.Event) bool { return e.Released })
	if n := d.Leaked(); n != 0 {
		t.Errorf("%d functions leaked after they returned", n)
	}
}

func TestX7_CloseSaysWhatDidNotReturn(t *testing.T) {
	s := subject()
	defer s.Unblock()
	d := s.New(t, "")
	if _, err := d.Open(context.Background(), func(driver.Event) {}); err != nil {
		t.Fatal(err)
	}
	for fence, b := range []drivertest.Behaviour{drivertest.Stubborn, drivertest.Hang} {
		task := driver.Task{Slot: uint64(fence), Fence: uint64(fence + 1), JobUID: 1,
			Template: &v1.Template{Spec: &v1.StageSpec{Name: "a", Func: string(b)}, GraceMs: 20}}
		d.Start(task)
	}
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "1 functions did not return") {
		t.Errorf("close: %v", err)
	}
}

func TestX7_RegistryRefuses(t *testing.T) {
	r := gofunc.NewRegistry()
	f := func(context.Context, *gofunc.Call) error { return nil }
	if err := r.Register("a", f); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]gofunc.Func{"a": f, "": f, "b": nil} {
		if err := r.Register(name, f); err == nil {
			t.Errorf("registered %q", name)
		}
	}
	if _, err := gofunc.New(gofunc.Options{}); err == nil || !strings.Contains(err.Error(), "registry") {
		t.Errorf("new without a registry: %v", err)
	}
}
