package model

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/proto"
)

// Entries is the snapshot form of the state: one encoded v1.SnapshotEntry for the cell, then one each queue by name, job
// by uid and node by id. Equal states give equal bytes.
func (s *State) Entries() [][]byte {
	list := make([][]byte, 0, 1+len(s.queues)+len(s.jobs)+len(s.nodes))
	add := func(e *v1.SnapshotEntry) {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
		if err != nil {
			// Only text that is not UTF-8 fails, and what came through the encoding of a record is UTF-8.
			panic(fmt.Sprintf("model: snapshot of record %d: a state that came from no record: %v", s.seq, err))
		}
		list = append(list, data)
	}
	cell := &v1.CellState{Seq: s.seq, Epoch: s.epoch, NextUid: uint64(s.nextUID)}
	if s.seq > 0 {
		cell.Head = s.head[:]
	}
	add(&v1.SnapshotEntry{Kind: &v1.SnapshotEntry_Cell{Cell: cell}})
	for _, q := range s.Queues() {
		add(&v1.SnapshotEntry{Kind: &v1.SnapshotEntry_Queue{Queue: &v1.QueueState{Spec: q.Spec, Keys: sortedValues(q.keys)}}})
	}
	for _, j := range s.Jobs() {
		add(&v1.SnapshotEntry{Kind: &v1.SnapshotEntry_Job{Job: j.proto()}})
	}
	for _, n := range s.Nodes() {
		add(&v1.SnapshotEntry{Kind: &v1.SnapshotEntry_Node{Node: n.proto()}})
	}
	return list
}

// Digest is a hash over the whole state: equal states, equal digests.
func (s *State) Digest() [32]byte {
	sum := sha256.New()
	for _, e := range s.Entries() {
		sum.Write(binary.AppendUvarint(nil, uint64(len(e))))
		sum.Write(e)
	}
	return [32]byte(sum.Sum(nil))
}

func (j *JobState) proto() *v1.JobState {
	p := &v1.JobState{
		Uid: uint64(j.UID), Spec: j.Spec, Key: j.Key, SubmittedUnixNano: j.SubmittedUnixNano,
		StopRequested: j.StopRequested, StopReason: j.StopReason,
		Phase: j.Phase, Reason: j.Reason, EndedUnixNano: j.EndedUnixNano,
	}
	for i := range j.stages {
		s := &j.stages[i]
		results := make([]*v1.InstanceResult, 0, len(s.results))
		for _, r := range s.sortedResults() {
			results = append(results, &v1.InstanceResult{Index: r.Index, Data: r.Data})
		}
		p.Stages = append(p.Stages, &v1.StageState{
			DoneCount: s.doneCount, Done: s.done, DeadCount: s.deadCount, FailedAttempts: s.failedAttempts,
			Failures: sortedValues(s.failures), Results: results, Evicted: s.evicted, Evictions: s.evictions,
		})
	}
	return p
}

func (n *NodeState) proto() *v1.NodeState {
	return &v1.NodeState{
		Info: n.Info, Drained: n.Drained, DrainReason: n.DrainReason,
		Maintenance: n.Maintenance, Evict: n.Evict, Taints: n.Taints,
	}
}

// LoadState is the state whose Entries these are. It believes nothing: entries that no state could have given are
// refused.
func LoadState(entries [][]byte) (*State, error) {
	s := NewState()
	l := loader{State: s}
	for i, data := range entries {
		var e v1.SnapshotEntry
		if err := UnmarshalExact(data, &e); err != nil {
			return nil, fmt.Errorf("snapshot entry %d: %w", i, err)
		}
		if err := l.add(i, &e); err != nil {
			return nil, fmt.Errorf("snapshot entry %d: %w", i, err)
		}
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("snapshot without entries")
	}
	return s, s.checkKeys()
}

// checkKeys holds keys and jobs against each other.
func (s *State) checkKeys() error {
	keys := 0
	for _, q := range s.queues { //order: a sum
		keys += len(q.keys)
	}
	for _, j := range s.Jobs() {
		if j.Key == "" {
			continue
		}
		if keys--; s.queues[j.ID.Queue].Key(j.Key).GetUid() != uint64(j.UID) {
			return fmt.Errorf("snapshot: key %q of job %s (uid %d) is not with its queue", j.Key, j.ID, j.UID)
		}
	}
	if keys != 0 {
		return fmt.Errorf("snapshot: %d idempotency keys without their jobs", keys)
	}
	return nil
}

// UnmarshalExact decodes data and refuses fields that this version does not know, which a plain decode would pass
// over: what a newer version has written must fail loudly, for its meaning would be lost. Go encodes every message in
// the one shortest form of its fields, so anything that was not understood shows in the size.
func UnmarshalExact(data []byte, m proto.Message) error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return err
	}
	if n := proto.Size(m); n != len(data) {
		return fmt.Errorf("%d of its %d bytes are understood by this version: a newer version has written it", n, len(data))
	}
	return nil
}

// loader adds entries to a state in the order in which Entries gives them.
type loader struct {
	*State
	kind  int
	queue string
	uid   UID
	node  NodeID
}

func (l *loader) add(i int, e *v1.SnapshotEntry) error {
	kind := 0
	var err error
	switch k := e.GetKind().(type) {
	case *v1.SnapshotEntry_Cell:
		if i != 0 {
			return fmt.Errorf("a second cell")
		}
		return l.addCell(k.Cell)
	case *v1.SnapshotEntry_Queue:
		kind, err = 1, l.addQueue(k.Queue)
	case *v1.SnapshotEntry_Job:
		kind, err = 2, l.addJob(k.Job)
	case *v1.SnapshotEntry_Node:
		kind, err = 3, l.addNode(k.Node)
	default:
		return fmt.Errorf("of a kind that this version does not know")
	}
	if err != nil {
		return err
	}
	if i == 0 || kind < l.kind {
		return fmt.Errorf("out of order: the order is cell, queues, jobs, nodes")
	}
	l.kind = kind
	return nil
}

func (l *loader) addCell(c *v1.CellState) error {
	if c.GetEpoch() > MaxEpoch || c.GetNextUid() == 0 || UID(c.GetNextUid()) > uidMax || (c.GetSeq() == 0) != (len(c.GetHead()) == 0) {
		return fmt.Errorf("cell with seq %d, epoch %d, next uid %d, head %x is impossible", c.GetSeq(), c.GetEpoch(), c.GetNextUid(), c.GetHead())
	}
	if n := len(c.GetHead()); n > 0 && n != len(l.head) {
		return fmt.Errorf("cell with a head of %d bytes, it must be %d", n, len(l.head))
	}
	l.seq, l.epoch, l.nextUID = c.GetSeq(), c.GetEpoch(), UID(c.GetNextUid())
	copy(l.head[:], c.GetHead())
	return nil
}

func (l *loader) addQueue(p *v1.QueueState) error {
	name := p.GetSpec().GetName()
	if name <= l.queue {
		return fmt.Errorf("queue %q after queue %q", name, l.queue)
	}
	l.queue = name
	q := newQueueState(p.GetSpec())
	last := ""
	for _, k := range p.GetKeys() {
		if k.GetKey() <= last {
			return fmt.Errorf("queue %q: key %q after key %q", name, k.GetKey(), last)
		}
		last = k.GetKey()
		q.keys[last] = k
	}
	l.queues[name] = q
	return nil
}

func (l *loader) addJob(p *v1.JobState) error {
	j, err := NewJobState(&v1.JobSubmitted{Uid: p.GetUid(), Spec: p.GetSpec(), Key: p.GetKey(), TimeUnixNano: p.GetSubmittedUnixNano()})
	if err != nil {
		return err
	}
	q, newest := l.queues[j.ID.Queue], l.Newest(j.ID)
	switch {
	case j.UID <= l.uid || j.UID >= l.nextUID:
		return fmt.Errorf("job uid %d after %d, below %d", j.UID, l.uid, l.nextUID)
	case q == nil || newest != nil && !newest.Ended():
		return fmt.Errorf("job %s has no queue, or an older job of its name lives", j.ID)
	case len(p.GetStages()) != len(j.stages):
		return fmt.Errorf("job %s has %d stages, their state is %d", j.ID, len(j.stages), len(p.GetStages()))
	}
	for i := range j.stages {
		if err := j.stages[i].load(p.GetStages()[i]); err != nil {
			return fmt.Errorf("job %s, stage %d: %w", j.ID, i, err)
		}
	}
	j.StopRequested, j.StopReason = p.GetStopRequested(), p.GetStopReason()
	if p.GetPhase() != "" {
		err := j.end(&v1.JobEnded{
			Uid: p.GetUid(), Queue: j.ID.Queue, Name: j.ID.Name,
			Phase: p.GetPhase(), Reason: p.GetReason(), TimeUnixNano: p.GetEndedUnixNano(),
		})
		if err != nil {
			return err
		}
	}
	l.uid = j.UID
	l.jobs[j.UID] = j
	l.named[j.ID] = append(l.named[j.ID], j.UID)
	if !j.Ended() {
		l.live++
		q.live++
	}
	return nil
}

func (l *loader) addNode(p *v1.NodeState) error {
	id := NodeID(p.GetInfo().GetId())
	if id <= l.node {
		return fmt.Errorf("node %q after node %q", id, l.node)
	}
	l.node = id
	l.nodes[id] = &NodeState{
		ID: id, Info: p.GetInfo(), Drained: p.GetDrained(), DrainReason: p.GetDrainReason(),
		Maintenance: p.GetMaintenance(), Evict: p.GetEvict(), Taints: p.GetTaints(),
	}
	return nil
}

func (s *stageState) load(p *v1.StageState) error {
	s.done, s.doneCount, s.deadCount, s.failedAttempts = p.GetDone(), p.GetDoneCount(), p.GetDeadCount(), p.GetFailedAttempts()
	if err := s.checkBitmap(); err != nil {
		return err
	}
	dead, last, first := uint64(0), uint64(0), true
	for _, f := range p.GetFailures() {
		i := f.GetIndex()
		if !first && i <= last || i >= s.instances || s.isDone(i) || f.GetFailures() == 0 {
			return fmt.Errorf("impossible failure of instance %d", i)
		}
		if f.GetFinal() {
			dead++
		}
		last, first = i, false
		if s.failures == nil {
			s.failures = make(map[uint64]*v1.InstanceFailure, len(p.GetFailures()))
		}
		s.failures[i] = f
	}
	if dead != s.deadCount {
		return fmt.Errorf("%d instances are dead, but %d are counted", dead, s.deadCount)
	}
	for _, r := range p.GetResults() {
		i := r.GetIndex()
		if n := len(s.results); n > 0 && s.results[n-1].Index >= i || !s.isDone(i) || len(r.GetData()) == 0 {
			return fmt.Errorf("impossible result of instance %d", i)
		}
		s.addResult(i, r.GetData())
	}
	return s.loadEvictions(p)
}

func (s *stageState) loadEvictions(p *v1.StageState) error {
	if n := len(p.GetEvictions()); uint64(n) != min(p.GetEvicted(), EvictionsKept) {
		return fmt.Errorf("%d evictions kept of %d", n, p.GetEvicted())
	}
	for _, e := range p.GetEvictions() {
		if e.GetIndex() >= s.instances {
			return fmt.Errorf("impossible eviction of instance %d", e.GetIndex())
		}
	}
	s.evicted, s.evictions = p.GetEvicted(), p.GetEvictions()
	return nil
}

func (s *stageState) checkBitmap() error {
	words := (s.instances + 63) / 64
	if s.doneCount == 0 || s.doneCount == s.instances {
		words = 0
	}
	if s.doneCount > s.instances || uint64(len(s.done)) != words {
		return fmt.Errorf("%d of %d instances done in %d words", s.doneCount, s.instances, len(s.done))
	}
	if words == 0 {
		s.done = nil
		return nil
	}
	n := uint64(0)
	for _, w := range s.done {
		n += uint64(bits.OnesCount64(w))
	}
	if tail := s.instances % 64; tail != 0 && s.done[words-1]>>tail != 0 || n != s.doneCount {
		return fmt.Errorf("%d instances done of %d counted, or some beyond the last", n, s.doneCount)
	}
	return nil
}
