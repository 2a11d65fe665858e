package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ErrChain: a record does not follow the one before it, by sequence, hash or epoch. The log is damaged, or two masters
// have written to it.
var ErrChain = errors.New("record breaks the chain")

// MaxEpoch is the last epoch whose ids (NewID) fit into 64 bits.
const MaxEpoch = uint64(1)<<28 - 1

// State is the hard state of a cell: all that must survive the death of every process, and nothing else. It changes
// only by Apply, so that a restart is a replay. One goroutine owns it; what it hands out by pointer belongs to it and
// others get a Clone, while protos, strings and bytes in it are frozen and may be shared.
type State struct {
	seq, epoch uint64
	head       [32]byte
	nextUID    UID
	queues     map[string]*QueueState
	jobs       map[UID]*JobState
	// named are the jobs of one name, oldest first; only the last can be live.
	named map[JobID][]UID
	live  int
	nodes map[NodeID]*NodeState
}

// NewState is the state of a cell before its first record.
func NewState() *State {
	return &State{
		nextUID: 1,
		queues:  map[string]*QueueState{},
		jobs:    map[UID]*JobState{},
		named:   map[JobID][]UID{},
		nodes:   map[NodeID]*NodeState{},
	}
}

// Seq is the sequence of the last record applied.
func (s *State) Seq() uint64 { return s.seq }

// Epoch is the epoch of the last record applied, the highest there was.
func (s *State) Epoch() uint64 { return s.epoch }

// Head is the hash of the last record applied, zero before the first: what the next record must carry as prev.
func (s *State) Head() [32]byte { return s.head }

// NextUID is greater than the uid of every job there ever was.
func (s *State) NextUID() UID { return s.nextUID }

// LiveJobs counts the jobs that have not ended, EndedJobs the ended ones that are not forgotten.
func (s *State) LiveJobs() int { return s.live }

// EndedJobs counts the ended jobs that are not forgotten.
func (s *State) EndedJobs() int { return len(s.jobs) - s.live }

// Job returns the job of that uid, nil if there is none.
func (s *State) Job(uid UID) *JobState { return s.jobs[uid] }

// Newest returns the newest job of that name, live or ended, nil if there is none.
func (s *State) Newest(id JobID) *JobState {
	if uids := s.named[id]; len(uids) > 0 {
		return s.jobs[uids[len(uids)-1]]
	}
	return nil
}

// Queue returns the queue of that name, nil if there is none.
func (s *State) Queue(name string) *QueueState { return s.queues[name] }

// Node returns the node of that id, nil if there is none.
func (s *State) Node(id NodeID) *NodeState { return s.nodes[id] }

// Jobs lists all jobs by uid.
func (s *State) Jobs() []*JobState { return sortedValues(s.jobs) }

// Queues lists all queues by name.
func (s *State) Queues() []*QueueState { return sortedValues(s.queues) }

// Nodes lists all nodes by id.
func (s *State) Nodes() []*NodeState { return sortedValues(s.nodes) }

func sortedValues[K cmp.Ordered, V any](m map[K]V) []V {
	list := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[k])
	}
	return list
}

// Clone is a copy that shares only what is frozen.
func (s *State) Clone() *State {
	c := *s
	c.queues = make(map[string]*QueueState, len(s.queues))
	for name, q := range s.queues {
		c.queues[name] = q.Clone()
	}
	c.jobs = make(map[UID]*JobState, len(s.jobs))
	for uid, j := range s.jobs {
		c.jobs[uid] = j.Clone()
	}
	c.named = make(map[JobID][]UID, len(s.named))
	for id, uids := range s.named {
		c.named[id] = slices.Clone(uids)
	}
	c.nodes = make(map[NodeID]*NodeState, len(s.nodes))
	for id, n := range s.nodes {
		c.nodes[id] = n.Clone()
	}
	return &c
}

// Apply changes the state by the next record, whose encoding hashes to hash. It is the only thing that does, for the
// master that writes and for everyone who replays.
//
// It is total: whatever the record holds, the answer is an error and never a panic. A record that does not follow the
// last one gives ErrChain and changes nothing. That holds for a lower epoch, too: each append expects the log's last
// sequence, so after a higher EpochStarted no older master can have stored anything, and a record that claims so is
// damage. An event that contradicts the state gives a *Fault of ErrConflict, a malformed one a *Fault of ErrInvalid;
// that event changes nothing, the events before it in the record have. A master applies a record before it
// appends it, and gives itself up on an error: such a record must never become durable.
func (s *State) Apply(rec *v1.Record, hash [32]byte) error {
	if err := s.checkChain(rec); err != nil {
		return err
	}
	for i, ev := range rec.GetEvents() {
		if err := s.applyEvent(rec, i, ev); err != nil {
			return fmt.Errorf("record %d, event %d: %w", rec.GetSeq(), i, err)
		}
	}
	s.seq, s.epoch, s.head = rec.GetSeq(), rec.GetEpoch(), hash
	return nil
}

func (s *State) checkChain(rec *v1.Record) error {
	if rec.GetSeq() != s.seq+1 {
		return fmt.Errorf("record %d follows record %d: %w", rec.GetSeq(), s.seq, ErrChain)
	}
	prev := s.head[:]
	if s.seq == 0 {
		prev = nil
	}
	if !slices.Equal(rec.GetPrev(), prev) {
		return fmt.Errorf("record %d: it follows a record of hash %x, but the last one has %x: %w", rec.GetSeq(), rec.GetPrev(), prev, ErrChain)
	}
	started := len(rec.GetEvents()) > 0 && rec.GetEvents()[0].GetEpochStarted() != nil
	switch {
	case started && rec.GetEpoch() <= s.epoch:
		return fmt.Errorf("record %d: epoch %d starts, but epoch %d has been: %w", rec.GetSeq(), rec.GetEpoch(), s.epoch, ErrChain)
	case started && rec.GetEpoch() > MaxEpoch:
		return fmt.Errorf("record %d: epoch %d is beyond the last possible one, %d: %w", rec.GetSeq(), rec.GetEpoch(), MaxEpoch, ErrChain)
	case !started && rec.GetEpoch() != s.epoch:
		return fmt.Errorf("record %d: it is of epoch %d, but this is epoch %d: %w", rec.GetSeq(), rec.GetEpoch(), s.epoch, ErrChain)
	case !started && s.seq == 0:
		return fmt.Errorf("record 1 does not start an epoch: %w", ErrChain)
	}
	return nil
}

func (s *State) applyEvent(rec *v1.Record, i int, ev *v1.Event) error {
	switch k := ev.GetKind().(type) {
	case *v1.Event_EpochStarted:
		if i != 0 || k.EpochStarted.GetEpoch() != rec.GetEpoch() {
			return Invalid(fmt.Sprintf("epoch_started of epoch %d: it must come first in a record of its epoch", k.EpochStarted.GetEpoch()))
		}
		s.nextUID = max(s.nextUID, UID(k.EpochStarted.GetNextUid()))
		return nil
	case *v1.Event_QueueSet:
		return s.setQueue(k.QueueSet)
	case *v1.Event_QueueRemoved:
		return s.removeQueue(k.QueueRemoved)
	case *v1.Event_JobSubmitted:
		return s.submit(k.JobSubmitted)
	case *v1.Event_JobStopRequested:
		return s.change(UID(k.JobStopRequested.GetUid()), ev)
	case *v1.Event_JobProgressed:
		return s.change(UID(k.JobProgressed.GetUid()), ev)
	case *v1.Event_JobEnded:
		return s.change(UID(k.JobEnded.GetUid()), ev)
	case *v1.Event_JobForgotten:
		return s.forget(k.JobForgotten)
	case *v1.Event_NodeJoined:
		return s.joinNode(k.NodeJoined)
	case *v1.Event_NodeDrained:
		return s.drainNode(k.NodeDrained)
	case *v1.Event_NodeRemoved:
		return s.removeNode(k.NodeRemoved)
	case *v1.Event_NodeTainted:
		return s.taintNode(k.NodeTainted)
	case *v1.Event_InstancesEvicted:
		return s.change(UID(k.InstancesEvicted.GetUid()), ev)
	}
	return Invalid("event of a kind that this version does not know; a newer version wrote it")
}

func (s *State) submit(e *v1.JobSubmitted) error {
	job, err := NewJobState(e)
	if err != nil {
		return err
	}
	queue := s.queues[job.ID.Queue]
	newest := s.Newest(job.ID)
	switch {
	case queue == nil:
		return Conflict("job %s: there is no queue %q", job.ID, job.ID.Queue)
	case s.jobs[job.UID] != nil:
		return Conflict("job %s: uid %d is taken by job %s", job.ID, job.UID, s.jobs[job.UID].ID)
	case newest != nil && !newest.Ended():
		return Conflict("job %s lives already, as uid %d", job.ID, newest.UID)
	case newest != nil && newest.UID > job.UID:
		return Conflict("job %s: uid %d is older than %d, the one before it", job.ID, job.UID, newest.UID)
	}
	if err := queue.admit(job); err != nil {
		return err
	}
	s.jobs[job.UID] = job
	s.named[job.ID] = append(s.named[job.ID], job.UID)
	s.nextUID = max(s.nextUID, job.UID+1)
	s.live++
	return nil
}

// change applies an event of one job.
func (s *State) change(uid UID, ev *v1.Event) error {
	job := s.jobs[uid]
	if job == nil {
		return Conflict("there is no job of uid %d", uid)
	}
	ended := job.Ended()
	if err := job.Apply(ev); err != nil {
		return err
	}
	if !ended && job.Ended() {
		s.live--
		s.queues[job.ID.Queue].live--
	}
	return nil
}

func (s *State) forget(e *v1.JobForgotten) error {
	job := s.jobs[UID(e.GetUid())]
	if job == nil {
		return Conflict("there is no job of uid %d to forget", e.GetUid())
	}
	if err := job.named(e.GetQueue(), e.GetName()); err != nil {
		return err
	}
	if !job.Ended() {
		return Conflict("job %s (uid %d) lives and cannot be forgotten", job.ID, job.UID)
	}
	s.drop(job)
	s.queues[job.ID.Queue].forget(job)
	return nil
}

// drop takes an ended job out of the indexes.
func (s *State) drop(job *JobState) {
	delete(s.jobs, job.UID)
	uids := s.named[job.ID]
	if len(uids) == 1 {
		delete(s.named, job.ID)
		return
	}
	if i, found := slices.BinarySearch(uids, job.UID); found {
		s.named[job.ID] = slices.Delete(uids, i, i+1)
	}
}

func (s *State) setQueue(e *v1.QueueSet) error {
	name := e.GetSpec().GetName()
	if name == "" {
		return Invalid("queue_set without a queue name")
	}
	if q := s.queues[name]; q != nil {
		q.Spec = e.GetSpec()
		return nil
	}
	s.queues[name] = newQueueState(e.GetSpec())
	return nil
}

// removeQueue forgets a queue together with its ended jobs.
func (s *State) removeQueue(e *v1.QueueRemoved) error {
	q := s.queues[e.GetQueue()]
	switch {
	case q == nil:
		return Conflict("there is no queue %q to remove", e.GetQueue())
	case q.live > 0:
		return Conflict("queue %q has %d live jobs and cannot be removed", e.GetQueue(), q.live)
	}
	for _, job := range s.jobs { //order: each is dropped on its own
		if job.ID.Queue == e.GetQueue() {
			s.drop(job)
		}
	}
	delete(s.queues, e.GetQueue())
	return nil
}

func (s *State) joinNode(e *v1.NodeJoined) error {
	id := NodeID(e.GetInfo().GetId())
	if id == "" {
		return Invalid("node_joined without a node id")
	}
	if n := s.nodes[id]; n != nil {
		n.Info = e.GetInfo()
		return nil
	}
	s.nodes[id] = &NodeState{ID: id, Info: e.GetInfo()}
	return nil
}

func (s *State) drainNode(e *v1.NodeDrained) error {
	n := s.nodes[NodeID(e.GetNode())]
	if n == nil {
		return Conflict("there is no node %q to drain", e.GetNode())
	}
	n.Drained, n.DrainReason, n.Maintenance, n.Evict = e.GetDrained(), e.GetReason(), e.GetMaintenance(), e.GetEvict()
	return nil
}

func (s *State) taintNode(e *v1.NodeTainted) error {
	n := s.nodes[NodeID(e.GetNode())]
	if n == nil {
		return Conflict("there is no node %q to taint", e.GetNode())
	}
	n.Taints = e.GetTaints()
	return nil
}

func (s *State) removeNode(e *v1.NodeRemoved) error {
	if s.nodes[NodeID(e.GetNode())] == nil {
		return Conflict("there is no node %q to remove", e.GetNode())
	}
	delete(s.nodes, NodeID(e.GetNode()))
	return nil
}
