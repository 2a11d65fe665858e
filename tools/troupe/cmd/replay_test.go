package cmd

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// decided leaves the directory of a master that has placed some jobs.
func decided(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	rec, err := decisions.Open(decisions.Options{Dir: filepath.Join(dir, "decisions"), Size: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var cell atomic.Pointer[actors.Cell]
	fleet := hollow.New(hollow.Options{
		Nodes: 3, Info: &v1.NodeInfo{CpuMilli: 4000, MemoryBytes: 8 << 30, Drivers: []string{"process"}},
		Deliver: func(m *v1.FromAgent) {
			if c := cell.Load(); c != nil {
				c.Deliver(m)
			}
		},
	})
	c, err := actors.Open(t.Context(), actors.Options{Name: "local", Host: "box", Fabric: fleet, Record: rec.Tap})
	if err != nil {
		t.Fatal(err)
	}
	cell.Store(c)
	fleet.Start()
	for _, name := range []string{"one", "two"} {
		job := &v1.JobSpec{Name: name, Stages: []*v1.StageSpec{{Name: "s", Command: []string{"x"}, Instances: 4, Resources: &v1.Resources{Cpu: "1", Memory: "1Gi"}}}}
		if _, err := c.Submit(t.Context(), &v1.SubmitRequest{Job: job}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Wait(t.Context(), &v1.JobRef{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestX2_S17_DecisionsAreReplayedAndToldFromTheCommandLine(t *testing.T) {
	h, dir := newHarness(t), decided(t)
	var all struct {
		Same     bool       `json:"same"`
		Segments []replayed `json:"segments"`
	}
	h.told(&all, "replay", "--dir", dir)
	if !all.Same || len(all.Segments) != 1 || all.Segments[0].Slots != 8 || all.Segments[0].Host != "box" {
		t.Fatalf("%+v", all)
	}
	code, out, stderr := h.run("decisions", "tail", "--dir", dir, "--job", "two")
	if code != exitOK || !strings.Contains(out, "placed") || !strings.Contains(out, "default/two/s on node-0000") || strings.Contains(out, "~") || strings.Contains(out, "default/one") {
		t.Fatalf("exit code %d, %s%s", code, out, stderr)
	}
	code, out, _ = h.run("decisions", "tail", "--dir", dir, "--json", "-n", "1")
	var d struct {
		What string `json:"what"`
		Job  string `json:"job"`
	}
	if err := json.Unmarshal([]byte(out), &d); code != exitOK || err != nil || d.What != "placed" || d.Job != "two" {
		t.Fatalf("exit code %d, %s, %v", code, out, err)
	}
	if code, out, _ = h.run("replay", "--dir", dir, "--score", "epvm"); code != exitFailed || !strings.Contains(out, "the first difference is at message") {
		t.Fatalf("exit code %d, %s", code, out)
	}
	if code, _, stderr = h.run("replay", "--dir", t.TempDir()); code == exitOK || !strings.Contains(stderr, "holds no recorded decisions") {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
}
