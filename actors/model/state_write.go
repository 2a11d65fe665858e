package model

import (
	"cmp"
	"maps"
	"slices"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Stage applies one event ahead of the record that will hold it, so that the journal can refuse a commit that
// contradicts the state without harm to the commits beside it. An event that is refused changes nothing.
// Seal must follow with the record before anything else reads Seq, Epoch or Head.
func (s *State) Stage(ev *v1.Event) error {
	if ev.GetEpochStarted() != nil {
		return Invalid("epoch_started must come first in a record of its own epoch")
	}
	return s.applyEvent(nil, 0, ev)
}

// Seal makes rec, whose events were staged and whose encoding hashes to hash, the last record applied.
func (s *State) Seal(rec *v1.Record, hash [32]byte) error {
	if err := s.checkChain(rec); err != nil {
		return err
	}
	s.seq, s.epoch, s.head = rec.GetSeq(), rec.GetEpoch(), hash
	return nil
}

// Keys returns a copy of the queue's idempotency keys.
func (q *QueueState) Keys() map[string]*v1.JobKey { return maps.Clone(q.keys) }

// RecentFailures returns the newest failures of instances that are not done, at most n: dead instances first, then the
// newest.
func (j *JobState) RecentFailures(stage, n int) []*v1.InstanceFailure {
	list := slices.SortedFunc(maps.Values(j.stages[stage].failures), func(a, b *v1.InstanceFailure) int {
		if a.GetFinal() != b.GetFinal() {
			if a.GetFinal() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.GetTimeUnixNano(), a.GetTimeUnixNano()), cmp.Compare(a.GetIndex(), b.GetIndex()))
	})
	return list[:min(max(n, 0), len(list))]
}
