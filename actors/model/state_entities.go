package model

import (
	"crypto/sha256"
	"maps"

	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/proto"
)

// QueueState is the hard state of one queue.
type QueueState struct {
	Spec *v1.QueueSpec
	// keys are the idempotency keys of the jobs that are not forgotten: a key lives as long as its job.
	keys map[string]*v1.JobKey
	live int
}

func newQueueState(spec *v1.QueueSpec) *QueueState {
	return &QueueState{Spec: spec, keys: map[string]*v1.JobKey{}}
}

// LiveJobs counts the jobs of the queue that have not ended.
func (q *QueueState) LiveJobs() int { return q.live }

// Key returns the job that an idempotency key has made, nil if it has made none.
func (q *QueueState) Key(key string) *v1.JobKey { return q.keys[key] }

// Clone is a copy that shares only what is frozen.
func (q *QueueState) Clone() *QueueState {
	c := *q
	c.keys = maps.Clone(q.keys)
	return &c
}

func (q *QueueState) admit(job *JobState) error {
	if made := q.keys[job.Key]; made != nil && job.Key != "" {
		return Conflict("job %s: key %q has made job %q (uid %d) already", job.ID, job.Key, made.GetName(), made.GetUid())
	}
	if job.Key != "" {
		sum := SpecSum(job.Spec)
		q.keys[job.Key] = &v1.JobKey{Key: job.Key, Uid: uint64(job.UID), Name: job.ID.Name, SpecSha256: sum[:]}
	}
	q.live++
	return nil
}

func (q *QueueState) forget(job *JobState) {
	if made := q.keys[job.Key]; made != nil && made.GetUid() == uint64(job.UID) {
		delete(q.keys, job.Key)
	}
}

// SpecSum is the hash by which two specs are found equal, as JobKey keeps it. Defaults must be filled in.
func SpecSum(spec *v1.JobSpec) [32]byte {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec)
	if err != nil {
		// Only text that is not UTF-8 fails; such a spec can reach no journal, so any sum but that of another will do.
		data = []byte(err.Error())
	}
	return sha256.Sum256(data)
}

// NodeState is the hard state of one node.
type NodeState struct {
	ID   NodeID
	Info *v1.NodeInfo
	// Drained keeps new work away.
	Drained     bool
	DrainReason string
	// Maintenance says that it is out for a while; Evict that what runs there is moved away. Both mean nothing to a node
	// that is not drained.
	Maintenance, Evict bool
	// Taints that operators have put on it, beside those of its own agent (Info).
	Taints []*v1.Taint
}

// Clone is a copy that shares only what is frozen.
func (n *NodeState) Clone() *NodeState {
	c := *n
	return &c
}
