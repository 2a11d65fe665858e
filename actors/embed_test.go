package actors_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestX5_X7_ACellInsideATestRunsFunctions(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cell, err := actors.Open(ctx, actors.Options{Agent: &actors.AgentOptions{Funcs: map[string]actors.Func{
		"work": func(_ context.Context, c *actors.Call) error {
			c.Progress(1, 2)
			c.Logf("instance %d of %d", c.Index, c.Count)
			return c.SetResult([]byte{byte(c.Index)})
		},
		"forever": func(ctx context.Context, _ *actors.Call) error { <-ctx.Done(); return ctx.Err() },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cell.Submit(ctx, funcJob("work", "work", 50)); err != nil {
		t.Fatal(err)
	}
	if _, err := cell.Submit(ctx, funcJob("forever", "forever", 2)); err != nil {
		t.Fatal(err)
	}
	status, err := cell.Wait(ctx, &v1.JobRef{Name: "work"})
	if err != nil || status.GetCounts().GetDone() != 50 {
		t.Fatalf("%v, %v", status, err)
	}
	var out []byte
	err = cell.Logs(ctx, &v1.LogsRequest{Name: "work", Index: 7}, func(c *v1.LogChunk) error { out = append(out, c.GetData()...); return nil })
	if err != nil || string(out) != "instance 7 of 50\n" {
		t.Fatalf("log is %q, %v", out, err)
	}
	if _, err := cell.StopJob(ctx, &v1.StopRequest{Name: "forever"}); err != nil {
		t.Fatal(err)
	}
	if status, err = cell.Wait(ctx, &v1.JobRef{Name: "forever"}); err != nil || status.GetPhase() != "stopped" {
		t.Fatalf("%v, %v", status, err)
	}
	for range 2 { // the second time only waits
		if err := cell.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkX5_OpenAndClose shows what a cell inside a test costs.
func BenchmarkX5_OpenAndClose(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		cell, err := actors.Open(ctx, actors.Options{Agent: &actors.AgentOptions{}})
		if err != nil {
			b.Fatal(err)
		}
		if err := cell.Close(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
