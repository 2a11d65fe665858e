package model

import (
	"errors"
	"math/rand"
	"slices"
	"testing"

	v1 "github.com/troupe-sched/troupe/protos/v1"
	"pgregory.net/rapid"
)

func newJob(t testing.TB, instances ...int64) *JobState {
	t.Helper()
	spec := &v1.JobSpec{Queue: "q", Name: "j"}
	for _, n := range instances {
		spec.Stages = append(spec.Stages, &v1.StageSpec{Instances: n})
	}
	job, err := NewJobState(&v1.JobSubmitted{Uid: 7, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func progressed(p *v1.JobProgressed) *v1.Event {
	p.Uid, p.Queue, p.Name = 7, "q", "j"
	return &v1.Event{Kind: &v1.Event_JobProgressed{JobProgressed: p}}
}

func ended(phase string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{Uid: 7, Queue: "q", Name: "j", Phase: phase}}}
}

func done(from, to uint64) *v1.JobProgressed {
	return &v1.JobProgressed{Done: []*v1.Range{{From: from, To: to}}}
}

func failure(index uint64, failures uint32, final bool) *v1.InstanceFailure {
	return &v1.InstanceFailure{Index: index, Failures: failures, Final: final}
}

func TestB7_TerminalStatesAreFinal(t *testing.T) {
	conflict := &Fault{Err: ErrConflict}
	invalid := &Fault{Err: ErrInvalid}
	tests := []struct {
		name  string
		setup []*v1.Event
		event *v1.Event
		want  error
	}{
		{"done twice", []*v1.Event{progressed(done(3, 5))}, progressed(done(4, 6)), conflict},
		{"done twice, the stage being done", []*v1.Event{progressed(done(0, 100))}, progressed(done(99, 100)), conflict},
		{"done twice in one event", nil, progressed(&v1.JobProgressed{Done: []*v1.Range{{From: 5, To: 9}, {From: 1, To: 6}}}), conflict},
		{"failed after done", []*v1.Event{progressed(done(3, 4))}, progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 1, false)}}), conflict},
		{"failed after dead", []*v1.Event{progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 1, true)}})},
			progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 2, false)}}), conflict},
		{"done after dead", []*v1.Event{progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 1, true)}})}, progressed(done(0, 10)), conflict},
		{"dead and done in one event", nil, progressed(&v1.JobProgressed{Done: []*v1.Range{{From: 3, To: 4}}, Failures: []*v1.InstanceFailure{failure(3, 1, true)}}), conflict},
		{"S18: the same failure counted twice", []*v1.Event{progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 1, false)}})},
			progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 1, false)}}), conflict},
		{"a failure left out", nil, progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 2, false)}}), conflict},
		{"no failure at all", nil, progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(3, 0, false)}}), conflict},
		{"result of an instance that is not done", nil, progressed(&v1.JobProgressed{Results: []*v1.InstanceResult{{Index: 3, Data: []byte("x")}}}), conflict},
		{"two results", nil, progressed(&v1.JobProgressed{Done: []*v1.Range{{From: 3, To: 4}},
			Results: []*v1.InstanceResult{{Index: 3, Data: []byte("x")}, {Index: 3, Data: []byte("x")}}}), conflict},
		{"range beyond the stage", nil, progressed(done(99, 101)), invalid},
		{"empty range", nil, progressed(done(3, 3)), invalid},
		{"range backwards", nil, progressed(done(1<<63, 1)), invalid},
		{"failure beyond the stage", nil, progressed(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(100, 1, false)}}), invalid},
		{"no such stage", nil, progressed(&v1.JobProgressed{Stage: 1 << 31}), invalid},
		{"success with open instances", nil, ended(PhaseSucceeded), conflict},
		{"end of no known kind", nil, ended("running"), invalid},
		{"ended twice", []*v1.Event{ended(PhaseFailed)}, ended(PhaseStopped), conflict},
		{"progress after the end", []*v1.Event{ended(PhaseFailed)}, progressed(done(0, 1)), conflict},
		{"stop after the end", []*v1.Event{ended(PhaseFailed)},
			&v1.Event{Kind: &v1.Event_JobStopRequested{JobStopRequested: &v1.JobStopRequested{Uid: 7, Queue: "q", Name: "j"}}}, conflict},
		{"another uid", nil, &v1.Event{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{Uid: 8, Queue: "q", Name: "j", Phase: PhaseFailed}}}, conflict},
		{"another name", nil, &v1.Event{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{Uid: 7, Queue: "q", Name: "k", Phase: PhaseFailed}}}, conflict},
		{"an event of a node", nil, &v1.Event{Kind: &v1.Event_NodeRemoved{}}, invalid},
		{"nothing", nil, nil, invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			job := newJob(t, 100)
			for _, ev := range test.setup {
				if err := job.Apply(ev); err != nil {
					t.Fatal(err)
				}
			}
			before := job.proto()
			if err := job.Apply(test.event); !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want.(*Fault).Err)
			}
			if after := job.proto(); after.String() != before.String() {
				t.Fatalf("refused, yet changed:\n%v\n%v", before, after)
			}
		})
	}
}

func TestB7_FailThenSucceedInOneEvent(t *testing.T) {
	job := newJob(t, 2)
	err := job.Apply(progressed(&v1.JobProgressed{
		Done:     []*v1.Range{{From: 1, To: 2}},
		Failures: []*v1.InstanceFailure{failure(1, 1, false), failure(1, 2, false), failure(0, 1, false)},
		Results:  []*v1.InstanceResult{{Index: 1, Data: []byte("one")}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := StageCounts{Instances: 2, Done: 1, FailedAttempts: 3, ResultBytes: 3}
	if got := job.Counts(0); got != want || got.Open() != 1 {
		t.Fatalf("counts %+v, want %+v", got, want)
	}
	if !job.Done(0, 1) || job.Done(0, 0) || job.Done(0, 2) || job.StageDone(0) || job.Failures(0, 1) != 0 || job.Failures(0, 0) != 1 {
		t.Fatal("instance 1 is not done, or its failures are still held")
	}
	if list := job.StageFailures(0); len(list) != 1 || list[0] != job.LastFailure(0, 0) {
		t.Fatalf("failures %v", list)
	}
	if err := job.Apply(progressed(done(0, 1))); err != nil {
		t.Fatal(err)
	}
	if !job.StageDone(0) || !job.AllDone() || job.Apply(ended(PhaseSucceeded)) != nil || !job.Ended() {
		t.Fatal("all instances are done, the job cannot succeed")
	}
}

// The stage of bits and words does what a stage of maps does.
func TestS18_StageAgainstNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := uint64(rapid.SampledFrom([]int{1, 2, 63, 64, 65, 127, 128, 130}).Draw(t, "instances"))
		s := stageState{instances: n}
		doneSet, fails, dead, results := map[uint64]bool{}, map[uint64]uint32{}, map[uint64]bool{}, map[uint64]string{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			from := uint64(rapid.IntRange(0, int(n)-1).Draw(t, "from"))
			if rapid.Bool().Draw(t, "fail") {
				final := rapid.Bool().Draw(t, "final")
				err := s.progress(&v1.JobProgressed{Failures: []*v1.InstanceFailure{failure(from, fails[from]+1, final)}})
				if want := !doneSet[from] && !dead[from]; want != (err == nil) {
					t.Fatalf("failure of %d: %v", from, err)
				} else if want {
					fails[from]++
					dead[from] = final
				}
			} else {
				to := from + uint64(rapid.IntRange(1, int(n-from)).Draw(t, "len"))
				p := done(from, to)
				p.Results = []*v1.InstanceResult{{Index: from, Data: []byte("r")}}
				want := true
				for i := from; i < to; i++ {
					want = want && !doneSet[i] && !dead[i]
				}
				if err := s.progress(p); want != (err == nil) {
					t.Fatalf("done %d to %d: %v", from, to, err)
				}
				for i := from; want && i < to; i++ {
					doneSet[i] = true
					delete(fails, i)
					results[from] = "r"
				}
			}
			compareStage(t, &s, doneSet, fails, dead, results)
		}
	})
}

func compareStage(t *rapid.T, s *stageState, doneSet map[uint64]bool, fails map[uint64]uint32, dead map[uint64]bool, results map[uint64]string) {
	nDone, nDead, next, found := uint64(0), uint64(0), uint64(0), false
	for i := s.instances; i > 0; i-- {
		i := i - 1
		if s.isDone(i) != doneSet[i] || s.isDead(i) != dead[i] || s.failures[i].GetFailures() != fails[i] {
			t.Fatalf("instance %d: done %v, dead %v, failures %v; want %v, %v, %d", i, s.isDone(i), s.isDead(i), s.failures[i], doneSet[i], dead[i], fails[i])
		}
		if doneSet[i] {
			nDone++
		} else if dead[i] {
			nDead++
		} else {
			next, found = i, true
		}
		if at, ok := s.nextOpen(i); at != next || ok != found {
			t.Fatalf("next open from %d is %d %v, want %d %v", i, at, ok, next, found)
		}
	}
	if s.doneCount != nDone || s.deadCount != nDead || len(s.sortedResults()) != len(results) {
		t.Fatalf("counts %d done, %d dead, %d results; want %d, %d, %d", s.doneCount, s.deadCount, len(s.results), nDone, nDead, len(results))
	}
	if !slices.IsSortedFunc(s.sortedResults(), func(a, b Result) int { return int(a.Index) - int(b.Index) }) {
		t.Fatal("results are not sorted")
	}
}

func TestS16_ResultsAreFrozen(t *testing.T) {
	job := newJob(t, 1000)
	finish := func(job *JobState, i uint64, data string) {
		t.Helper()
		p := done(i, i+1)
		p.Results = []*v1.InstanceResult{{Index: i, Data: []byte(data)}}
		if err := job.Apply(progressed(p)); err != nil {
			t.Fatal(err)
		}
	}
	order := rand.New(rand.NewSource(1)).Perm(1000)
	for _, i := range order[:500] {
		finish(job, uint64(i), "before")
	}
	held, clone := job.Results(0), job.Clone()
	want := slices.Clone(held)
	// The clone and its original go different ways, beside a reader of what was handed out.
	read := make(chan bool)
	go func() {
		same := true
		for range 100 {
			same = same && slices.EqualFunc(held, want, func(a, b Result) bool { return a.Index == b.Index && string(a.Data) == string(b.Data) })
		}
		read <- same
	}()
	type copied struct{ held, want []Result }
	var handedOut []copied
	for _, i := range order[500:] {
		finish(job, uint64(i), "original")
		finish(clone, uint64(i), "clone")
		list := job.Results(0)
		handedOut = append(handedOut, copied{list, slices.Clone(list)})
	}
	if !<-read {
		t.Fatal("a list that was handed out has changed")
	}
	for n, c := range handedOut {
		if !slices.EqualFunc(c.held, c.want, func(a, b Result) bool { return a.Index == b.Index }) {
			t.Fatalf("the list handed out after %d results has changed since", 501+n)
		}
	}
	for _, r := range job.Results(0) {
		if string(r.Data) == "clone" {
			t.Fatal("the clone has written into its original")
		}
	}
	if got := len(clone.Results(0)); got != 1000 || job.Counts(0).ResultBytes != 500*6+500*8 {
		t.Fatalf("%d results of the clone, counts %+v of the original", got, job.Counts(0))
	}
}

func TestTenMillionInstancesCostABitEach(t *testing.T) {
	const n = 10_000_000
	job := newJob(t, n)
	s := &job.stages[0]
	if s.done != nil {
		t.Fatal("a bitmap before anything is done")
	}
	for i := uint64(1); i < n; i += n / 10 {
		if err := job.Apply(progressed(done(i, i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.done) * 8; got > 1_250_008 {
		t.Fatalf("%d bytes of bitmap, want 1.25 MB", got)
	}
	if i, found := job.NextOpen(0, 1); !found || i != 2 {
		t.Fatalf("next open is %d", i)
	}
	for i := uint64(0); i < n; i += n / 10 {
		p := &v1.JobProgressed{Done: []*v1.Range{{From: i + 2, To: i + n/10}, {From: i, To: i + 1}}}
		if err := job.Apply(progressed(p)); err != nil {
			t.Fatal(err)
		}
	}
	if !job.StageDone(0) || s.done != nil {
		t.Fatal("all are done, the bitmap must go")
	}
	if _, found := job.NextOpen(0, 0); found {
		t.Fatal("an open instance in a stage that is done")
	}
}

// Applying the progress of a million instances, a hundred an event.
func BenchmarkApplyProgress(b *testing.B) {
	for b.Loop() {
		job := newJob(b, 1_000_000)
		for i := uint64(0); i < 1_000_000; i += 100 {
			if err := job.Apply(progressed(done(i, i+100))); err != nil {
				b.Fatal(err)
			}
		}
	}
}
