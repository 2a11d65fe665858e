package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestB42_AKeyMakesOneJobAlsoAfterItsQueueHasFailed(t *testing.T) {
	b := newBench(t)
	p := plan(t, "default", "a", 3)
	uid := b.admit(p, "k")
	b.crash("test/top/queues/default~")
	b.tell("default", &msg.GetQueue{}) // it fails over this one
	b.settle()
	again, ok := b.submit(p, "k").(*v1.SubmitReply)
	if !ok || again.Created || again.Uid != uint64(uid) {
		t.Errorf("the key was answered by %v", b.answers)
	}
	b.end(p, uid)
	if after := b.submit(p, "k").(*v1.SubmitReply); after.Created || after.Uid != uint64(uid) {
		t.Errorf("after its end the key was answered by %v", after)
	}
	b.refused(b.submit(plan(t, "default", "b", 3), "k"), model.Conflict(""))
	b.refused(b.submit(plan(t, "default", "a", 4), "k"), model.Conflict(""))
	if len(b.started) != 1 {
		t.Errorf("%d jobs were started", len(b.started))
	}
}

func TestB42_AnEqualSpecOfALiveJobIsThatJob(t *testing.T) {
	b := newBench(t)
	p := plan(t, "default", "a", 3)
	uid := b.admit(p, "")
	for _, crash := range []bool{false, true} {
		if crash {
			b.crash("test/top/queues/default~")
			b.tell("default", &msg.GetQueue{})
			b.settle()
		}
		if r, ok := b.submit(p, "").(*v1.SubmitReply); !ok || r.Created || r.Uid != uint64(uid) {
			t.Errorf("restarted %v: answered %v", crash, b.answers)
		}
		b.refused(b.submit(plan(t, "default", "a", 4), ""), model.Conflict(""))
	}
	b.end(p, uid)
	if next := b.admit(p, ""); next <= uid {
		t.Errorf("uid %d after %d", next, uid)
	}
}

func TestB14_ASubmitIsAnsweredWhenItIsDurable(t *testing.T) {
	b := newBench(t)
	b.settle()
	b.log.slow = true
	p := plan(t, "default", "a", 3)
	for range 3 { // the second and third find a job that is not durable yet
		b.tell("default", &msg.Submit{Plan: p, Key: "k"})
	}
	b.pass(time.Minute)
	if len(b.answers) > 0 || len(b.started) > 0 {
		t.Fatalf("before anything was durable: %v, %d jobs started", b.answers, len(b.started))
	}
	b.log.answer()
	b.settle()
	made := 0
	for _, answer := range b.answers {
		if answer.(*v1.SubmitReply).Created {
			made++
		}
	}
	if len(b.answers) != 3 || made != 1 || len(b.started) != 1 || !b.started[0].Fresh {
		t.Errorf("answers %v, started %v", b.answers, b.started)
	}
}

// What is on its way to the disk may get lost there: nobody is told of it before, neither by a list nor by a conflict. While
// the disk is full lists are answered all the same.
func TestB14_NobodyHearsOfAJobThatIsNotDurable(t *testing.T) {
	b := newBench(t)
	b.settle()
	b.log.slow = true
	all := &v1.ListJobsRequest{Limit: 9}
	b.tell("default", &msg.Submit{Plan: plan(t, "default", "a", 3), Key: "k"})
	b.tell("default", &msg.Submit{Plan: plan(t, "default", "a", 4), Key: "other"})
	b.tell("default", &msg.Submit{Plan: plan(t, "default", "b", 4), Key: "k"})
	b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.ListJobs{Request: all})
	b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.ListJobs{Request: &v1.ListJobsRequest{Limit: 1, Queue: "default"}})
	b.pass(time.Second)
	if len(b.answers) > 0 {
		t.Fatalf("before anything was durable: %v", b.answers)
	}
	if list := b.ask(&msg.ListJobs{Request: all, Now: true}).(*v1.ListJobsReply); len(list.Jobs) != 1 {
		t.Errorf("asked at once: %v", list)
	}
	b.answers = nil
	b.log.answer()
	b.settle()
	if len(b.answers) != 5 {
		t.Errorf("answers %v", b.answers)
	}
}

func TestM3_MaxJobsRefusesWithATimeToTryAgain(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q", MaxJobs: 2})
	first := plan(t, "q", "a", 1)
	uid := b.admit(first, "ka")
	b.admit(plan(t, "q", "b", 1), "kb")
	if f := b.refused(b.submit(plan(t, "q", "c", 1), "kc"), model.Busy(0, "")); f.RetryAfter <= 0 || !strings.Contains(f.Description, "2 live jobs") {
		t.Errorf("refused with %+v", f)
	}
	if r := b.submit(first, "ka").(*v1.SubmitReply); r.Created { // what is there is no new work
		t.Errorf("answered %v", r)
	}
	b.end(first, uid)
	b.admit(plan(t, "q", "c", 1), "kc")
}

func TestM3_TheCellsLimitOfJobsHolds(t *testing.T) {
	b := newBench(t, func(l *msg.Limits) { l.Jobs = 2 })
	b.admit(plan(t, "default", "a", 1), "")
	b.admit(plan(t, "default", "b", 1), "")
	if f := b.refused(b.submit(plan(t, "default", "c", 1), ""), model.Busy(0, "")); f.RetryAfter <= 0 {
		t.Errorf("refused with %+v", f)
	}
}

func TestF20_F21_SlotsAreAllottedByPriorityThenAge(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q", MaxSlots: 10})
	old, young, first := plan(t, "q", "old", 8), plan(t, "q", "young", 8), plan(t, "q", "first", 8)
	first.Priority.Rank = -1
	o, y := b.admit(old, ""), b.admit(young, "")
	f := b.admit(first, "")
	at := func(uid model.UID) uint64 { return b.targets[model.StageID{Job: uid}] }
	b.want(young, y, 8)
	b.want(old, o, 8)
	if at(o) != 8 || at(y) != 2 {
		t.Errorf("of 10 the older gets %d of 8 and the younger %d", at(o), at(y))
	}
	b.want(first, f, 8)
	if at(f) != 8 || at(o) != 2 || at(y) != 0 {
		t.Errorf("the one of higher priority gets %d, the others %d and %d", at(f), at(o), at(y))
	}
	b.end(first, f)
	if at(f) != 0 || at(o) != 8 || at(y) != 2 {
		t.Errorf("after its end the others get %d and %d", at(o), at(y))
	}
	b.want(old, o, 1)
	if at(o) != 1 || at(y) != 8 {
		t.Errorf("what one gives back the other gets: %d and %d", at(o), at(y))
	}
	b.set(&v1.QueueSpec{Name: "q", MaxSlots: 4})
	if at(o) != 1 || at(y) != 3 {
		t.Errorf("a lower limit leaves %d and %d", at(o), at(y))
	}
	b.set(&v1.QueueSpec{Name: "q"})
	if at(o) != 1 || at(y) != 8 {
		t.Errorf("no limit leaves %d and %d", at(o), at(y))
	}
}

func TestF35_AWantIsATarget(t *testing.T) {
	b := newBench(t)
	p := plan(t, "default", "a", 100)
	uid := b.admit(p, "")
	for range 5 {
		b.want(p, uid, 100)
	}
	if b.demands != 1 || b.targets[model.StageID{Job: uid}] != 100 {
		t.Errorf("%d demands for one target said five times: %v", b.demands, b.targets)
	}
	b.want(p, uid+7, 3) // of no job that lives
	b.want(p, uid, 0)
	if len(b.targets) != 0 {
		t.Errorf("a job that wants nothing leaves %v", b.targets)
	}
}

func TestF31_ARestartedPlacerHearsAllDemandsAgain(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q", MaxSlots: 5})
	p, r := plan(t, "q", "a", 3), plan(t, "q", "b", 9)
	x, y := b.admit(p, ""), b.admit(r, "")
	b.want(p, x, 3)
	b.want(r, y, 9)
	clear(b.targets)
	b.sys.Tell(b.env.Refs.Queues, &msg.DemandRequest{})
	b.settle()
	if b.targets[model.StageID{Job: x}] != 3 || b.targets[model.StageID{Job: y}] != 2 {
		t.Errorf("told again: %v", b.targets)
	}
}

func TestF31_B57_ARestartedQueueAsksItsJobsAndForgetsThoseThatHaveEnded(t *testing.T) {
	for _, path := range []string{"test/top/queues/q~", "test/top/queues"} {
		b := newBench(t)
		b.set(&v1.QueueSpec{Name: "q", MaxSlots: 5})
		p, r := plan(t, "q", "a", 3), plan(t, "q", "b", 9)
		x, y := b.admit(p, ""), b.admit(r, "")
		b.want(p, x, 3)
		b.want(r, y, 9)
		b.crash(path)
		delete(b.jobs, x)
		b.end(p, x) // nobody hears of it
		b.pass(time.Second)
		if len(b.targets) != 1 || b.targets[model.StageID{Job: y}] != 5 {
			t.Errorf("%s: after the restart the placer knows %v", path, b.targets)
		}
		if s := b.status("q"); s.LiveJobs != 1 || s.EndedJobs != 1 || s.Spec.MaxSlots != 5 {
			t.Errorf("%s: after the restart the queue is %v", path, s)
		}
	}
}

func TestB42_AQueueWithLiveJobsIsNotRemoved(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q"})
	p := plan(t, "q", "a", 3)
	uid := b.admit(p, "")
	remove := &msg.ToQueue{Name: "q", Message: &msg.RemoveQueue{Name: "q"}}
	b.refused(b.ask(remove), model.Conflict(""))
	b.end(p, uid)
	if s, ok := b.ask(remove).(*v1.QueueStatus); !ok {
		t.Fatalf("the removal is answered by %v", s)
	}
	b.refused(b.submit(p, ""), model.NotFound(""))
	b.refused(b.ask(remove), model.NotFound(""))
	b.refused(b.ask(&msg.ToQueue{Name: "default", Message: &msg.RemoveQueue{Name: "default"}}), model.Conflict(""))
	if l := b.ask(&msg.ListQueues{}).(*v1.ListQueuesReply); len(l.Queues) != 1 {
		t.Errorf("queues are left: %v", l)
	}
	b.set(&v1.QueueSpec{Name: "q"})
	b.admit(p, "")
}

// A queue that is removed and made again at the same moment has an actor in the end.
func TestB42_RemovedAndMadeAgainAtOnce(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q", MaxJobs: 1})
	b.log.slow = true
	b.tell("q", &msg.RemoveQueue{Name: "q"})
	b.settle()
	b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.SetQueue{Spec: &v1.QueueSpec{Name: "q", MaxJobs: 7}})
	b.settle()
	b.log.slow = false
	b.log.answer()
	b.pass(time.Second)
	if s := b.status("q"); s.Spec.MaxJobs != 7 {
		t.Errorf("the queue is %v", s)
	}
	b.admit(plan(t, "q", "a", 3), "")
	if l := b.ask(&msg.ListQueues{}).(*v1.ListQueuesReply); len(l.Queues) != 2 {
		t.Errorf("listed %v", l)
	}
}

// A supervisor that fails while a queue is being made still knows all the others.
func TestB57_TheSupervisorMayFailWhileAQueueIsMade(t *testing.T) {
	b := newBench(t)
	b.set(&v1.QueueSpec{Name: "q"})
	b.log.slow = true
	b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.SetQueue{Spec: &v1.QueueSpec{Name: "r"}})
	b.settle()
	b.crash("test/top/queues")
	b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.ListQueues{})
	b.settle()
	b.log.slow = false
	b.log.answer()
	b.pass(time.Second)
	for _, name := range []string{"default", "q", "r"} {
		b.status(name)
	}
}

func TestM3_QueuesAreBounded(t *testing.T) {
	b := newBench(t, func(l *msg.Limits) { l.Queues = 3 })
	b.set(&v1.QueueSpec{Name: "a"})
	b.set(&v1.QueueSpec{Name: "b"})
	if f := b.refused(b.ask(&msg.SetQueue{Spec: &v1.QueueSpec{Name: "c"}}), model.Busy(0, "")); f.RetryAfter <= 0 {
		t.Errorf("refused with %+v", f)
	}
	b.set(&v1.QueueSpec{Name: "a", MaxJobs: 3}) // no new one
	b.refused(b.ask(&msg.ToQueue{Name: "c", Message: &msg.GetQueue{}}), model.NotFound(""))
}

func TestB12_B53_ListsPageAcrossQueuesAndSelectByLabel(t *testing.T) {
	b := newBench(t)
	for _, q := range []string{"a", "a-b", "b"} {
		b.set(&v1.QueueSpec{Name: q})
		for i := range 3 {
			p := plan(t, q, fmt.Sprintf("j%d", i), 1)
			p.Spec.Labels = map[string]string{"odd": fmt.Sprint(i % 2)}
			b.admit(p, "")
		}
	}
	page := func(r *v1.ListJobsRequest) (names []string, next string) {
		t.Helper()
		reply := b.ask(&msg.ListJobs{Request: r}).(*v1.ListJobsReply)
		for _, j := range reply.Jobs {
			names = append(names, j.Queue+"/"+j.Name)
		}
		return names, reply.Next
	}
	var all []string
	for after := ""; ; {
		names, next := page(&v1.ListJobsRequest{Limit: 2, After: after})
		if all = append(all, names...); next == "" {
			break
		}
		if len(names) != 2 {
			t.Fatalf("a page that is not the last has %v", names)
		}
		after = next
	}
	if got := strings.Join(all, " "); got != "a/j0 a/j1 a/j2 a-b/j0 a-b/j1 a-b/j2 b/j0 b/j1 b/j2" {
		t.Errorf("listed %s", got)
	}
	if names, _ := page(&v1.ListJobsRequest{Limit: 9, Labels: map[string]string{"odd": "1"}}); len(names) != 3 {
		t.Errorf("by label: %v", names)
	}
	if names, _ := page(&v1.ListJobsRequest{Limit: 9, Queue: "b"}); len(names) != 3 {
		t.Errorf("by queue: %v", names)
	}
	b.refused(b.ask(&msg.ListJobs{Request: &v1.ListJobsRequest{Limit: 9, Queue: "none"}}), model.NotFound(""))
}

// What comes while a queue reads its state waits for it, in order; nothing is answered from nothing.
func TestB42_RequestsWaitWhileAQueueStarts(t *testing.T) {
	b := newBench(t)
	p := plan(t, "default", "a", 1)
	b.admit(p, "k")
	b.log.slow = true
	other := plan(t, "default", "b", 1)
	b.tell("default", &msg.Submit{Plan: other, Key: "k2"})
	b.settle() // not durable yet: the read of a restarted queue waits behind it
	b.crash("test/top/queues/default~")
	b.tell("default", &msg.GetQueue{})
	b.tell("default", &msg.Submit{Plan: p, Key: "k"})
	b.tell("default", &msg.Submit{Plan: other, Key: "k2"})
	b.answers = nil
	b.pass(time.Minute)
	if len(b.answers) > 0 {
		t.Fatalf("a queue that does not know its state answers %v", b.answers)
	}
	b.log.slow = false
	b.log.answer()
	b.pass(time.Second)
	made := 0
	for _, a := range b.answers {
		r, ok := a.(*v1.SubmitReply)
		if !ok {
			t.Fatalf("answered %v", a)
		}
		if r.Created {
			made++
		}
	}
	if len(b.answers) != 3 || made != 1 {
		t.Errorf("answers %v", b.answers)
	}
}

// A queue that was built on what is not true is built again.
func TestB42_ARefusedCommitLeadsToARebuild(t *testing.T) {
	b := newBench(t)
	b.settle()
	// Another hand has made the job: the queue does not know, and its own commit is refused.
	p := plan(t, "default", "a", 1)
	b.sys.TellFrom(b.asker, b.env.Refs.Journal, &msg.Commit{Events: []*v1.Event{{Kind: &v1.Event_JobSubmitted{
		JobSubmitted: &v1.JobSubmitted{Uid: 77, Spec: p.Spec, Key: "k"},
	}}}})
	b.settle()
	b.tell("default", &msg.Submit{Plan: p, Key: "k"})
	b.pass(time.Second)
	if len(b.answers) > 0 {
		t.Fatalf("a refused commit is answered by %v", b.answers)
	}
	if r, ok := b.submit(p, "k").(*v1.SubmitReply); !ok || r.Created || r.Uid != 77 {
		t.Errorf("after the rebuild: %v", b.answers)
	}
	if len(b.started) != 0 {
		t.Errorf("started %v", b.started)
	}
}

func TestB12_ALateReportDoesNotBringAJobBack(t *testing.T) {
	b := newBench(t)
	p := plan(t, "default", "a", 1)
	uid := b.admit(p, "")
	b.end(p, uid)
	b.tell("default", &msg.JobChanged{Summary: &v1.JobSummary{Queue: "default", Name: "a", Uid: uint64(uid), Phase: "running"}})
	b.settle()
	l := b.ask(&msg.ListJobs{Request: &v1.ListJobsRequest{Limit: 9, Ended: true}}).(*v1.ListJobsReply)
	if len(l.Jobs) != 1 || l.Jobs[0].Phase != model.PhaseStopped || l.Jobs[0].EndedUnixMs == 0 {
		t.Errorf("listed %v", l)
	}
}

// Who has set a queue sees in the list what was set, however short the time since the last change.
func TestF25_AListShowsWhatWasSetBefore(t *testing.T) {
	b := newBench(t)
	for i := range int64(3) {
		b.answers = nil
		b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.SetQueue{Spec: &v1.QueueSpec{Name: "q", MaxJobs: i + 1}})
		b.settle()
		b.sys.TellFrom(b.asker, b.env.Refs.Queues, &msg.ListQueues{})
		b.settle()
		if len(b.answers) != 2 {
			t.Fatalf("answers: %v", b.answers)
		}
		for _, s := range b.answers[1].(*v1.ListQueuesReply).Queues {
			if s.Spec.Name == "q" && s.Spec.MaxJobs != i+1 {
				t.Errorf("set to %d, listed %v", i+1, s.Spec)
			}
		}
	}
}
