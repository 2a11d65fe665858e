package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// source is results of stages that count how often they are fetched, and fail at first if told to.
type source struct {
	fetched atomic.Int64
	fails   atomic.Int64
}

func (s *source) results(_ context.Context, uid uint64, _, _, stage string, fn func(*v1.InstanceResult) error) error {
	s.fetched.Add(1)
	for i := range uint64(3) {
		if i == 2 && s.fails.Add(-1) >= 0 {
			return errors.New("cut off")
		}
		if err := fn(&v1.InstanceResult{Index: i, Data: fmt.Appendf(nil, "%d/%s/%d", uid, stage, i)}); err != nil {
			return err
		}
	}
	return nil
}

type fetchResult struct {
	given agent.Given
	err   error
}

func fetch(in *inputs, job uint64, stages ...string) fetchResult {
	return <-fetchLater(in, job, stages...)
}

func fetchLater(in *inputs, job uint64, stages ...string) chan fetchResult {
	done := make(chan fetchResult, 1)
	in.Fetch(agent.Wanted{JobUID: job, Queue: "q", Job: "j", Stages: stages}, func(g agent.Given, err error) { done <- fetchResult{g, err} })
	return done
}

func testInputs(t *testing.T, dir string, s *source) *inputs {
	ctx, cancel := context.WithCancel(t.Context())
	in := newInputs(ctx, dir, s.results, slog.New(slog.DiscardHandler))
	if err := in.sweep(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		in.wait()
	})
	return in
}

func checkGiven(t *testing.T, r fetchResult, job uint64, stages ...string) {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	for _, stage := range stages {
		data, err := r.given.Results(stage)
		if err != nil || len(data) != 3 || string(data[2]) != fmt.Sprintf("%d/%s/2", job, stage) {
			t.Fatalf("stage %s: %v, %v", stage, data, err)
		}
		if r.given.Dir == "" {
			continue
		}
		files, err := driver.ReadInputs(r.given.Dir, stage)
		if err != nil || len(files) != 3 || string(files[0]) != fmt.Sprintf("%d/%s/0", job, stage) {
			t.Fatalf("stage %s in %s: %v, %v", stage, r.given.Dir, files, err)
		}
	}
}

func TestInputsAreFetchedOnceAStage(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "files": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := &source{}
			in := testInputs(t, dir, s)
			var all []chan fetchResult
			for range 10 {
				all = append(all, fetchLater(in, 7, "one", "two"))
			}
			for _, done := range all {
				checkGiven(t, <-done, 7, "one", "two")
			}
			checkGiven(t, fetch(in, 8, "one"), 8, "one")
			if n := s.fetched.Load(); n != 3 {
				t.Errorf("fetched %d times for three stages", n)
			}
			if r := fetch(in, 7, "one"); dir == "" {
				if _, err := r.given.Results("two"); err == nil {
					t.Error("gave what was not asked for")
				}
			}
		})
	}
}

func TestF13_InputsThatFailAreFetchedAgain(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "files": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := &source{}
			s.fails.Store(1)
			in := testInputs(t, dir, s)
			if r := fetch(in, 7, "one"); r.err == nil || r.err.Error() != "results of stage one: cut off" {
				t.Fatal(r.err)
			}
			checkGiven(t, fetch(in, 7, "one"), 7, "one")
			if r := fetch(in, 7, "../x"); r.err == nil {
				t.Fatal("left its directory")
			}
		})
	}
}

func TestInputsOutliveTheProcessUntilTheirJobIsGone(t *testing.T) {
	dir, s := t.TempDir(), &source{}
	first := testInputs(t, dir, s)
	checkGiven(t, fetch(first, 7, "one"), 7, "one")
	checkGiven(t, fetch(first, 8, "one"), 8, "one")
	if err := os.Mkdir(filepath.Join(dir, ".part-9"), 0o700); err != nil {
		t.Fatal(err)
	}

	second := testInputs(t, dir, s)
	checkGiven(t, fetch(second, 7, "one"), 7, "one")
	if n := s.fetched.Load(); n != 2 {
		t.Errorf("fetched %d times", n)
	}
	second.Keep([]uint64{7})
	second.wait()
	if got := names(t, dir); got != "[7]" {
		t.Errorf("left %s", got)
	}
	checkGiven(t, fetch(second, 8, "one"), 8, "one")
	second.Keep(nil)
	second.wait()
	if got := names(t, dir); got != "[]" {
		t.Errorf("left %s", got)
	}
}

// A job that goes while its inputs are fetched leaves nothing behind.
func TestInputsOfAJobThatGoes(t *testing.T) {
	dir, begun, goOn := t.TempDir(), make(chan struct{}), make(chan struct{})
	in := testInputs(t, dir, &source{})
	in.results = func(_ context.Context, _ uint64, _, _, _ string, fn func(*v1.InstanceResult) error) error {
		close(begun)
		<-goOn
		return fn(&v1.InstanceResult{Data: []byte("x")})
	}
	done := fetchLater(in, 7, "one")
	<-begun
	in.Keep(nil)
	close(goOn)
	if r := <-done; r.err == nil {
		t.Error("inputs of a job that is gone")
	}
	in.wait()
	if got := names(t, dir); got != "[]" {
		t.Errorf("left %s", got)
	}
}

func TestInputsAreBounded(t *testing.T) {
	in := testInputs(t, "", &source{})
	in.results = func(_ context.Context, _ uint64, _, _, _ string, fn func(*v1.InstanceResult) error) error {
		data := make([]byte, 1<<20)
		for i := range uint64(memoryBytes>>20 + 1) {
			if err := fn(&v1.InstanceResult{Index: i, Data: data}); err != nil {
				return err
			}
		}
		return nil
	}
	if r := fetch(in, 7, "one"); r.err == nil {
		t.Error("took more than the limit")
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return fmt.Sprint(list)
}
