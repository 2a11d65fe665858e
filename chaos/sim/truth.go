package sim

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// truth is what really happened: what the durable records say, read apart from the state machine that is under test, and
// what attempts did on the machines.
type truth struct {
	w *world
	// shadow is the replay of every durable record; behind is the same, as far as the last snapshot.
	shadow, behind *model.State
	epoch          uint64
	tells          map[uint64]int // events of each record that watchers are told
	jobs           map[uint64]*job
	uids           []uint64          // in the order of submission
	keys           map[string]uint64 // queue/key of jobs that are not forgotten
	names          map[string]uint64 // newest job of queue/name
	queues         map[string]bool
	attempts       map[uint64]*attempt // that have begun, by fence
	launched       map[place]launch    // newest launch of each instance that a node was told of
	lives          map[string]int      // incarnation of each actor of a job
	called         map[string][]*job   // by queue/name
	limits         map[string][]limits // of queues, the newest last
	nodes          map[string]*emptied
	out            map[uint64]bool    // fences that were evicted
	gone           map[uint64]bool    // of those, whose node was taken for lost before they had ended
	asked          map[asked]int      // slots that jobs were asked to give up, by where
	beaten         map[pair]bool      // who has evicted whom by priority
	within         map[string]bool    // queues in which work has evicted other work of the same
	granted        map[stageOf]uint64 // slots that jobs were told of
	gangs          []*gang            // that have begun at this moment
}

type job struct {
	uid              uint64
	queue, name, key string
	spec             *v1.JobSpec
	plan             *model.Plan // nil if the spec is not valid, which other checks tell
	work             *work       // what it is made of; nil if the job is not of this world's making
	stop, forgotten  bool
	phase            string // how it ended
	seen             string // the end that a client has seen
	acked            bool
	lastFence        uint64 // no greater one was drawn before its stop was acknowledged; 0 if it was not
	// repeated: two attempts of one instance had the same number, because a master did not know of the first. Both may
	// fail, and both count, so that the tries can be used up by an instance that was bound to succeed.
	repeated bool
	stages   []stage
}

type stage struct {
	instances uint64
	done      map[uint64]uint64 // fence of the accepted attempt, 0 if it left no result
	dead      map[uint64]bool
	failures  map[uint64]int
	evicted   map[uint64]int
	begun     map[uint64]int // attempts
	numbers   map[numbered]bool
	gang      *gang             // its first launch
	narrow    bool              // some of it has begun when the cell had so few nodes that isolation cannot be seen
	survives  bool              // its attempts outlive the process of their agent
	failedOn  map[uint64]string // node of the newest failure of an instance
}

// numbered is one try of an instance as its master counts them.
type numbered struct {
	index  uint64
	number uint32
}

// place is one instance.
type place struct {
	uid   uint64
	stage uint32
	index uint64
}

type launch struct {
	fence uint64
	by    string
	life  int
}

// attempt is what ran.
type attempt struct {
	place
	fence, slot uint64
	number      uint32
	node        int
	phase       v1.AttemptPhase
	result      string
	accepted    bool // its end was taken into the journal
}

func newTruth(w *world) *truth {
	return &truth{
		w: w, shadow: model.NewState(), behind: model.NewState(), jobs: map[uint64]*job{}, keys: map[string]uint64{}, tells: map[uint64]int{},
		names: map[string]uint64{}, queues: map[string]bool{}, attempts: map[uint64]*attempt{},
		launched: map[place]launch{}, lives: map[string]int{}, called: map[string][]*job{}, limits: map[string][]limits{},
		nodes: map[string]*emptied{}, out: map[uint64]bool{}, gone: map[uint64]bool{}, asked: map[asked]int{}, granted: map[stageOf]uint64{}, within: map[string]bool{}, beaten: map[pair]bool{},
	}
}

// record takes in a record at the moment in which it is durable.
func (t *truth) record(seq uint64, data []byte) {
	w := t.w
	rec, hash, err := journal.DecodeRecord(data)
	if err == nil {
		err = t.shadow.Apply(rec, hash)
	}
	w.did(RecordsApply)
	if err != nil {
		w.fail(RecordsApply, "record %d is durable and cannot be replayed: %v", seq, err)
		return
	}
	w.did(EpochsGrow)
	if rec.GetEpoch() < t.epoch {
		w.fail(EpochsGrow, "record %d has epoch %d after epoch %d", seq, rec.GetEpoch(), t.epoch)
	}
	t.epoch = rec.GetEpoch()
	t.tells[seq] = tellsOf(rec)
	for _, ev := range rec.GetEvents() {
		t.event(ev)
	}
}

func (t *truth) event(ev *v1.Event) {
	switch k := ev.GetKind().(type) {
	case *v1.Event_QueueSet:
		t.queueSet(k.QueueSet.GetSpec())
	case *v1.Event_QueueRemoved:
		t.queueRemoved(k.QueueRemoved.GetQueue())
	case *v1.Event_JobSubmitted:
		t.submitted(k.JobSubmitted)
	case *v1.Event_JobStopRequested:
		if j := t.living(k.JobStopRequested.GetUid(), "a stop request"); j != nil {
			j.stop = true
			t.w.say("journal", "job %d %s is to stop", j.uid, j.name)
		}
	case *v1.Event_JobProgressed:
		t.progressed(k.JobProgressed)
	case *v1.Event_InstancesEvicted:
		t.evicted(k.InstancesEvicted)
	case *v1.Event_JobEnded:
		t.ended(k.JobEnded)
	case *v1.Event_NodeDrained:
		t.nodeDrained(k.NodeDrained)
	case *v1.Event_NodeTainted:
		t.nodeTainted(k.NodeTainted)
	case *v1.Event_JobForgotten:
		t.forget(k.JobForgotten.GetUid())
	}
}

func (t *truth) submitted(e *v1.JobSubmitted) {
	w, spec := t.w, e.GetSpec()
	j := &job{uid: e.GetUid(), queue: spec.GetQueue(), name: spec.GetName(), key: e.GetKey(), spec: spec, work: w.load.works[spec.GetLabels()["work"]]}
	for _, s := range spec.GetStages() {
		j.stages = append(j.stages, stage{
			instances: uint64(s.GetInstances()), done: map[uint64]uint64{}, dead: map[uint64]bool{}, failures: map[uint64]int{}, evicted: map[uint64]int{}, failedOn: map[uint64]string{}, begun: map[uint64]int{}, numbers: map[numbered]bool{},
			survives: s.GetFunc() == "",
		})
	}
	name, key := j.queue+"/"+j.name, j.queue+"/"+j.key
	if j.key != "" {
		w.did(OneKeyOneJob)
		if other, taken := t.keys[key]; taken {
			w.fail(OneKeyOneJob, "key %s has made job %d and then job %d", key, other, j.uid)
		}
		t.keys[key] = j.uid
	}
	w.did(OneTerminal)
	if old := t.jobs[t.names[name]]; old != nil && old.phase == "" {
		w.fail(OneTerminal, "job %d takes the name %s of job %d, which lives", j.uid, name, old.uid)
	}
	if t.jobs[j.uid] != nil {
		w.fail(OneTerminal, "uid %d is given twice", j.uid)
	}
	j.plan, _ = model.Compile(proto.CloneOf(spec))
	t.jobs[j.uid], t.names[name] = j, j.uid
	t.called[name] = append(t.called[name], j)
	t.uids = append(t.uids, j.uid)
	w.say("journal", "job %d %s is submitted, key %q: %v", j.uid, name, j.key, j.work)
}

// living finds a job that something durable is about; nothing may come after its end.
func (t *truth) living(uid uint64, what string) *job {
	j := t.jobs[uid]
	t.w.did(OneTerminal)
	switch {
	case j == nil:
		t.w.fail(OneTerminal, "%s of job %d, which was never submitted", what, uid)
	case j.phase != "":
		t.w.fail(OneTerminal, "%s of job %d comes after its end (%s)", what, uid, j.phase)
	}
	return j
}

func (t *truth) progressed(e *v1.JobProgressed) {
	j := t.living(e.GetUid(), "progress")
	if j == nil {
		return
	}
	st := &j.stages[e.GetStage()]
	results := map[uint64]string{}
	for _, r := range e.GetResults() {
		results[r.GetIndex()] = string(r.GetData())
	}
	for _, f := range e.GetFailures() {
		t.failed(j, e.GetStage(), f)
	}
	for _, r := range e.GetDone() {
		for i := r.GetFrom(); i < r.GetTo(); i++ {
			t.done(j, place{j.uid, e.GetStage(), i}, results[i])
		}
	}
	t.w.say("journal", "job %d stage %d: %d of %d done, %d dead, %d failures", j.uid, e.GetStage(), len(st.done), st.instances, len(st.dead), len(e.GetFailures()))
}

func (t *truth) done(j *job, at place, result string) {
	w, st := t.w, &j.stages[at.stage]
	w.did(OneTerminal)
	if _, twice := st.done[at.index]; twice || st.dead[at.index] {
		w.fail(OneTerminal, "%v is done after it was done or dead", at)
	}
	fence := t.accept(at, result)
	st.done[at.index] = fence
}

// accept holds an accepted result against the attempt that has left it.
func (t *truth) accept(at place, result string) uint64 {
	w := t.w
	if result == "" {
		return 0
	}
	w.did(AcceptedOnce)
	fence := fenceOf(result)
	a := t.attempts[fence]
	switch {
	case a == nil:
		w.fail(AcceptedOnce, "%v: the result %q is of no attempt that ever began", at, result)
		return 0
	case a.place != at || a.result != result || a.phase != v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED:
		w.fail(AcceptedOnce, "%v: the result %q is not what attempt %d has left (%v, %q)", at, result, fence, a.phase, a.result)
	case a.accepted:
		w.fail(AcceptedOnce, "%v: the end of attempt %d is accepted a second time", at, fence)
	}
	a.accepted = true
	w.did(AcceptedIsValid)
	mine := fmt.Sprintf("m%d/", t.epoch) // an earlier master may have known more
	if l := t.launched[at]; l.fence > fence && l.life == 1 && t.lives[l.by] == 1 && strings.HasPrefix(l.by, mine) {
		w.fail(AcceptedIsValid, "%v: attempt %d is accepted, though the same actor has replaced it by attempt %d", at, fence, l.fence)
	}
	return fence
}

// fenceOf reads the attempt out of a result; 0 if there is none in it.
func fenceOf(result string) uint64 {
	fence, _ := strconv.ParseUint(result[strings.LastIndexByte(result, ' ')+1:], 10, 64)
	return fence
}

func (t *truth) failed(j *job, number uint32, f *v1.InstanceFailure) {
	w, st := t.w, &j.stages[number]
	at := place{j.uid, number, f.GetIndex()}
	w.did(OneTerminal)
	if _, done := st.done[at.index]; done || st.dead[at.index] {
		w.fail(OneTerminal, "%v fails after it was done or dead", at)
	}
	st.failures[at.index]++
	st.failedOn[at.index] = f.GetNode()
	t.checkFailure(at, f)
	if f.GetFinal() {
		st.dead[at.index] = true
	}
	var fence uint64
	if _, err := fmt.Sscanf(f.GetReason(), "script of attempt %d", &fence); err != nil {
		return // the agent's reasons, or a time limit
	}
	w.did(FailureIsTrue)
	switch a := t.attempts[fence]; {
	case a == nil || a.place != at || a.phase != v1.AttemptPhase_ATTEMPT_PHASE_FAILED:
		w.fail(FailureIsTrue, "%v: attempt %d is said to have failed, but it has not", at, fence)
	case a.accepted:
		w.fail(FailureIsTrue, "%v: the failure of attempt %d is counted twice", at, fence)
	default:
		a.accepted = true
	}
}

func (t *truth) ended(e *v1.JobEnded) {
	j := t.living(e.GetUid(), "an end")
	if j == nil {
		return
	}
	j.phase = e.GetPhase()
	t.w.say("journal", "job %d %s has ended: %s %s", j.uid, j.name, j.phase, e.GetReason())
	done, dead := true, false
	for i := range j.stages {
		done = done && uint64(len(j.stages[i].done)) == j.stages[i].instances
		dead = dead || len(j.stages[i].dead) > 0
	}
	t.w.did(OneTerminal)
	switch {
	case j.phase == model.PhaseSucceeded && !done:
		t.w.fail(OneTerminal, "job %d has succeeded, but not all of its instances are done", j.uid)
	case j.phase == model.PhaseStopped && !j.stop:
		t.w.fail(OneTerminal, "job %d was stopped, but nobody asked for it", j.uid)
	case j.phase == model.PhaseFailed && !dead && j.spec.GetTimeLimit() == "":
		t.w.fail(OneTerminal, "job %d has failed, but none of its instances has", j.uid)
	}
}

func (t *truth) forget(uid uint64) {
	j := t.jobs[uid]
	t.w.did(OneTerminal)
	if j == nil || j.phase == "" {
		t.w.fail(OneTerminal, "job %d is forgotten before its end", uid)
		return
	}
	j.forgotten = true
	if key := j.queue + "/" + j.key; t.keys[key] == uid {
		delete(t.keys, key)
	}
}

func (t *truth) queueRemoved(queue string) {
	delete(t.queues, queue)
	t.queueUnset(queue)
	for _, uid := range t.uids {
		if j := t.jobs[uid]; j.queue == queue && !j.forgotten {
			t.forget(uid)
		}
	}
}

// snapshot holds a snapshot against the replay of the records up to it.
func (t *truth) snapshot(seq uint64, entries [][]byte) {
	w := t.w
	w.did(SnapshotIsReplay)
	if seq > uint64(w.disk.last()) {
		w.fail(SnapshotIsReplay, "a snapshot of record %d is saved, but the log ends with record %d", seq, w.disk.last())
		return
	}
	state, err := model.LoadState(entries)
	if err != nil {
		w.fail(SnapshotIsReplay, "the snapshot of record %d cannot be loaded: %v", seq, err)
		return
	}
	for t.behind.Seq() < seq {
		next := t.behind.Seq() + 1
		if err := journal.Replay(t.behind, next, w.disk.records[next-1]); err != nil {
			w.fail(RecordsApply, "record %d: %v", next, err)
			return
		}
	}
	if t.behind.Seq() == seq && state.Digest() != t.behind.Digest() {
		w.fail(SnapshotIsReplay, "the snapshot of record %d is not what the records make", seq)
	}
}

// heard looks at what actors are told.
func (t *truth) heard(tr kit.Trace) {
	switch m := tr.Message.(type) {
	case kit.Started:
		t.lives[tr.Actor] = m.Incarnation
	case kit.Stopping:
		delete(t.lives, tr.Actor) // its supervisor makes others
	case kit.Crash:
		t.crashed(tr, m)
	case *msg.Granted:
		t.granted[stageOf{uint64(m.Stage.Job), m.Stage.Stage}] += uint64(len(m.Slots))
	case *msg.SlotsLost:
		t.adrift(string(m.Node))
	case *msg.Evict:
		if j := t.jobs[uint64(m.Stage.Job)]; j != nil && j.queue == m.For.Queue {
			t.within[j.queue] = true
		}
		t.asked[asked{uint64(m.Stage.Job), m.Stage.Stage, string(m.Node)}] += m.Count
	case *msg.Work:
		for _, l := range m.Launch {
			t.gangLaunch(uint64(m.UID), l)
			at := place{uint64(m.UID), l.Stage, l.Index}
			if t.launched[at].fence < uint64(l.Fence) {
				t.launched[at] = launch{uint64(l.Fence), tr.From, t.lives[tr.From]}
			}
		}
	}
}

// crashed: an actor may fail because it was made to, or because the journal cannot be written.
func (t *truth) crashed(tr kit.Trace, m kit.Crash) {
	t.w.say("crash", "%s at %s: %s", tr.Actor, m.Message, m.Reason)
	t.w.did(NoPanic)
	for _, wanted := range []string{injected, errAppend.Error(), journal.ErrFenced.Error()} {
		if strings.Contains(m.Reason, wanted) {
			return
		}
	}
	t.w.fail(NoPanic, "%s fails at %s: %s", tr.Actor, m.Message, m.Reason)
}

// String is for people.
func (p place) String() string {
	return fmt.Sprintf("job %d stage %d instance %d", p.uid, p.stage, p.index)
}
