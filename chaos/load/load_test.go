package load

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// plain is a cell that takes jobs and runs none; some submits it does not answer.
type plain struct {
	api.Cell
	mu   sync.Mutex
	uids map[string]uint64 // by key
	mute int               // every so manyth submit
}

func (p *plain) Submit(_ context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.uids[req.GetKey()]; !ok {
		p.uids[req.GetKey()] = uint64(len(p.uids) + 1)
	}
	if p.mute > 0 && len(p.uids)%p.mute == 0 {
		return nil, errors.New("no answer")
	}
	return &v1.SubmitReply{Uid: p.uids[req.GetKey()], Created: true}, nil
}

func (p *plain) JobStatus(_ context.Context, ref *v1.JobRef) (*v1.JobStatus, error) {
	if ref.GetName() != ServiceName {
		return nil, &model.Fault{Code: 404, Err: model.ErrNotFound}
	}
	return &v1.JobStatus{Name: ref.GetName(), Uid: 1, Phase: "running", Counts: &v1.Counts{Running: 3}}, nil
}

func (p *plain) ListJobs(context.Context, *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	return &v1.ListJobsReply{}, nil
}

func (p *plain) StopJob(context.Context, *v1.StopRequest) (*v1.StopReply, error) {
	return nil, errors.New("no answer")
}

func TestB42_WhatWasToldIsKept(t *testing.T) {
	p := &plain{uids: map[string]uint64{}, mute: 3}
	ms := func(n int) scenario.Duration { return scenario.Duration(time.Duration(n) * time.Millisecond) }
	l := New(p, scenario.Workload{Services: 3, Every: ms(2), Instances: 2, Work: ms(1), Clients: 3, Think: ms(2)}, Files{Effects: "/e", Leash: "/l"})
	if err := l.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	l.Run(ctx)
	acks, unanswered := l.Acks()
	if len(acks) < 2 || len(unanswered) < 1 || acks[0].Job != ServiceName || acks[0].Instances != 3 || acks[1].Instances != 2 {
		t.Fatalf("acks %+v, unanswered %v", acks, unanswered)
	}
	for _, ack := range acks {
		if p.uids[ack.Key] != ack.UID {
			t.Errorf("%+v is not what was told", ack)
		}
	}
	operations, ops := l.Operations()
	if len(operations) != len(acks)+len(unanswered)+len(ops) {
		t.Errorf("%d operations, %d submits and %d of clients", len(operations), len(acks)+len(unanswered), len(ops))
	}
	kinds := map[history.Kind]int{}
	for _, op := range ops {
		kinds[op.Kind]++
		if err := op.Check(); err != nil {
			t.Errorf("%+v: %v", op, err)
		}
	}
	if kinds[history.Submit] == 0 || kinds[history.Status] == 0 {
		t.Errorf("clients asked %v", kinds)
	}
}

func TestBeginSaysWhatIsMissing(t *testing.T) {
	p := &plain{uids: map[string]uint64{}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := New(p, scenario.Workload{Services: 4}, Files{}).Begin(ctx); err == nil || err.Error()[:6] != "3 of 4" {
		t.Errorf("it begins without all services: %v", err)
	}
}

func write(t *testing.T, dir, node, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, node), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEffectsAreReadFromAllNodes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "b 3000000000 7 work 0 1 11\nb 1000000000 7 work 1 1 12\ne 4000000000 7 work 1 1 12\n")
	write(t, dir, "b", "b 2000000000 7 work 0 2 13\ne 5000000000 7 work 0 1 11\nb 6000000000 7 work 0 2 13\n")
	all, err := Effects(dir)
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []Attempt{
		{Node: "a", Stage: "work", UID: 7, Index: 1, Fence: 12, Number: 1, Begun: time.Unix(1, 0), Ended: time.Unix(4, 0), Begins: 1, Ends: 1},
		{Node: "a", Stage: "work", UID: 7, Index: 0, Fence: 11, Number: 1, Begun: time.Unix(3, 0), Ended: time.Unix(5, 0), Begins: 1, Ends: 1},
		{Node: "b", Stage: "work", UID: 7, Index: 0, Fence: 13, Number: 2, Begun: time.Unix(6, 0), Begins: 2},
	} {
		if all[i] != want {
			t.Errorf("attempt %d is %+v, want %+v", i, all[i], want)
		}
	}
	for _, wrong := range []string{"x 1 7 work 0 1 11\n", "b 1 7 work 0 1\n", "b one 7 work 0 1 11\n", "b 1 7 work 0 1 -11\n"} {
		write(t, dir, "c", wrong)
		if all, err := Effects(dir); err == nil {
			t.Errorf("%q is read as %+v", wrong, all)
		}
	}
	if _, err := Effects(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there is read")
	}
}

func TestPathsAreQuoted(t *testing.T) {
	if got := quote("it's $HOME"); got != `'it'\''s $HOME'` {
		t.Errorf("quoted as %s", got)
	}
}
