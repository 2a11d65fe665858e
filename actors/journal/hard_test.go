package journal_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func hard[R proto.Message](t fataler, s *model.State, request proto.Message) R {
	t.Helper()
	reply, err := journal.Hard(s, request)
	if err != nil {
		t.Fatal(err)
	}
	return reply.(R)
}

// Whatever the journal holds: pages put together are the whole, every entity listed is told of one by one in the same
// way, sums of queues are those of their jobs, and nothing is changed by reading.
func TestB31_AnswersFromHardStateAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, s := journaltest.Draw(t, 40)
		before := s.Digest()
		limit := int32(rapid.IntRange(1, 5).Draw(t, "limit"))
		queues := hard[*v1.ListQueuesReply](t, s, &v1.ListQueuesRequest{}).GetQueues()
		live, ended, seen := uint64(0), uint64(0), 0
		for _, q := range queues {
			name := q.GetSpec().GetName()
			if !proto.Equal(q, hard[*v1.QueueStatus](t, s, &v1.QueueRef{Name: name})) {
				t.Fatalf("queue %s is told of in two ways", name)
			}
			jobs := pages(t, s, name, limit)
			seen += len(jobs)
			wanted := uint64(0)
			for _, j := range jobs {
				status := hard[*v1.JobStatus](t, s, &v1.JobRef{Queue: name, Name: j.GetName()})
				if status.GetUid() != j.GetUid() || status.GetPhase() != j.GetPhase() || !proto.Equal(status.GetCounts(), j.GetCounts()) {
					t.Fatalf("job %s is told of in two ways:\n%v\n%v", j.GetName(), status, j)
				}
				checkStages(t, s, status)
				if j.GetEndedUnixMs() == 0 && s.Job(model.UID(j.GetUid())).Ended() == false {
					wanted += j.GetCounts().GetWanted()
				}
			}
			if q.GetCounts().GetWanted() != wanted {
				t.Fatalf("queue %s wants %d, its jobs %d", name, q.GetCounts().GetWanted(), wanted)
			}
			live, ended = live+q.GetLiveJobs(), ended+q.GetEndedJobs()
		}
		if all := pages(t, s, "", limit); len(all) != seen || uint64(seen) != live+ended {
			t.Fatalf("%d jobs in all, %d by queues, %d by their counts", len(all), seen, live+ended)
		}
		cell := hard[*v1.CellStatus](t, s, &v1.CellStatusRequest{})
		if cell.GetSeq() != s.Seq() || cell.GetEpoch() != s.Epoch() || cell.GetJobsLive() != live || cell.GetQueues() != uint64(len(queues)) {
			t.Fatalf("the cell: %v", cell)
		}
		nodes, after := 0, ""
		for {
			page := hard[*v1.ListNodesReply](t, s, &v1.ListNodesRequest{Limit: limit, After: after})
			for _, n := range page.GetNodes() {
				if !proto.Equal(n, hard[*v1.NodeStatus](t, s, &v1.NodeRef{Id: n.GetInfo().GetId()})) {
					t.Fatalf("node %s is told of in two ways", n.GetInfo().GetId())
				}
			}
			if nodes += len(page.GetNodes()); page.GetNext() == "" {
				break
			}
			after = page.GetNext()
		}
		if nodes != len(s.Nodes()) {
			t.Fatalf("%d nodes of %d are listed", nodes, len(s.Nodes()))
		}
		if s.Digest() != before {
			t.Fatal("reading has changed the state")
		}
	})
}

// pages are all jobs of a queue, page by page.
func pages(t fataler, s *model.State, queue string, limit int32) (all []*v1.JobSummary) {
	t.Helper()
	for after := ""; ; {
		page := hard[*v1.ListJobsReply](t, s, &v1.ListJobsRequest{Queue: queue, Ended: true, Limit: limit, After: after})
		if all = append(all, page.GetJobs()...); len(page.GetJobs()) > int(limit) {
			t.Fatalf("a page has %d jobs, at most %d were asked for", len(page.GetJobs()), limit)
		}
		if after = page.GetNext(); after == "" {
			break
		}
	}
	if !slices.IsSortedFunc(all, func(a, b *v1.JobSummary) int {
		return compareText(a.GetQueue()+"\x00"+a.GetName(), b.GetQueue()+"\x00"+b.GetName())
	}) {
		t.Fatalf("not in order: %v", all)
	}
	return all
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1 // no two are equal
}

// checkStages compares the stages of a status, and the pages of their results, with the state.
func checkStages(t fataler, s *model.State, status *v1.JobStatus) {
	t.Helper()
	job := s.Job(model.UID(status.GetUid()))
	for i, stage := range status.GetStages() {
		c := job.Counts(i)
		if n := stage.GetCounts(); n.GetDone() != c.Done || n.GetDone()+n.GetDead()+n.GetWaiting() != c.Instances {
			t.Fatalf("stage %v, state %+v", stage, c)
		}
		if (stage.GetPhase() == "succeeded") != job.StageDone(i) {
			t.Fatalf("stage %d is %s", i, stage.GetPhase())
		}
		var got []string
		for from := uint64(0); ; {
			page := hard[*v1.ResultsReply](t, s, &v1.ResultsRequest{Queue: status.GetQueue(), Name: status.GetName(), Stage: stage.GetName(), From: from})
			for _, r := range page.GetResults() {
				got = append(got, fmt.Sprint(r.GetIndex(), string(r.GetData())))
			}
			if from = page.GetNext(); from == 0 {
				break
			}
		}
		var want []string
		for _, r := range job.Results(i) {
			want = append(want, fmt.Sprint(r.Index, string(r.Data)))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("results %v, want %v", got, want)
		}
	}
}

func TestB31_WhatHardStateDoesNotKnowIsRefused(t *testing.T) {
	s := model.NewState()
	for _, request := range []proto.Message{
		&v1.JobRef{Queue: "q", Name: "j"}, &v1.ResultsRequest{Name: "j"}, &v1.QueueRef{Name: "q"}, &v1.NodeRef{Id: "n"}, &v1.ListJobsRequest{Queue: "q"},
	} {
		if _, err := journal.Hard(s, request); !errors.Is(err, model.NotFound("")) {
			t.Errorf("%T: %v", request, err)
		}
	}
	if _, err := journal.Hard(s, &v1.SubmitRequest{}); !errors.Is(err, model.Invalid("")) {
		t.Errorf("a submit: %v", err)
	}
}

// The leader's own answers hold back what is not durable, and ask for no append.
func TestB14_HardAnswersOfTheLeaderAreDurable(t *testing.T) {
	r := newRig(t, 0)
	r.env.ReadLease = lease
	read := func() { r.sys.TellFrom(r.asker, r.ref, &msg.ReadHard{Request: &v1.ListQueuesRequest{}}) }
	read()
	r.run()
	if len(r.got) != 1 || len(r.log.waiting) != 0 {
		t.Fatalf("%d answers, %d appends", len(r.got), len(r.log.waiting))
	}
	r.commit(1, queueSet("a"))
	read()
	r.run()
	read()
	r.run()
	if len(r.got) != 1 {
		t.Fatal("an answer left with what is not durable")
	}
	r.settle()
	queues := 0
	for _, m := range r.got[1:] {
		if h, is := m.(*msg.HardRead); is {
			if queues++; len(h.Reply.(*v1.ListQueuesReply).GetQueues()) != 1 || h.Seq != 2 {
				t.Fatalf("answer %+v", h)
			}
		}
	}
	if queues != 2 {
		t.Fatalf("%d of 2 are answered", queues)
	}
}
