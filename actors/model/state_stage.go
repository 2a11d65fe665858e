package model

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// instancesHeldMax bounds the instances of one stage, so that no event whatever makes a bitmap greater than 16 MiB.
const instancesHeldMax = 1 << 27

// stageState is the hard state of one stage. A million instances done cost a bit each, and none once all are done.
type stageState struct {
	instances uint64
	// done holds a bit an instance; nil when none or all are done.
	done                        []uint64
	doneCount, deadCount        uint64
	failedAttempts, resultBytes uint64
	// failures holds the newest failure of each instance that failed and is not done.
	failures map[uint64]*v1.InstanceFailure
	// results are in order of arrival, or by index if sorted. The array behind it is only ever appended to.
	results  []Result
	unsorted bool
	// evicted counts all evictions; evictions are the newest EvictionsKept of them, oldest first, in an array of its own.
	evicted   uint64
	evictions []*v1.Eviction
}

func (s *stageState) isDone(i uint64) bool {
	switch {
	case i >= s.instances || s.doneCount == 0:
		return false
	case s.doneCount == s.instances:
		return true
	}
	return s.done[i/64]>>(i%64)&1 != 0
}

func (s *stageState) isDead(i uint64) bool { return s.failures[i].GetFinal() }

func (s *stageState) nextOpen(from uint64) (uint64, bool) {
	if s.doneCount == s.instances {
		return 0, false
	}
	for i := from; i < s.instances; i++ {
		if s.doneCount > 0 {
			// Skip what is done a word at a time.
			open := ^s.done[i/64] >> (i % 64)
			if open == 0 {
				i |= 63
				continue
			}
			i += uint64(bits.TrailingZeros64(open))
		}
		if i < s.instances && !s.isDead(i) {
			return i, true
		}
	}
	return 0, false
}

func (s *stageState) clone() stageState {
	c := *s
	c.done = slices.Clone(s.done)
	c.failures = maps.Clone(s.failures)
	c.results = slices.Clip(s.results)
	return c
}

// sortedResults sorts into a new array: the old one may be in the hands of a clone or a reader.
func (s *stageState) sortedResults() []Result {
	if s.unsorted {
		s.results = slices.Clone(s.results)
		slices.SortFunc(s.results, func(a, b Result) int { return cmp.Compare(a.Index, b.Index) })
		s.unsorted = false
	}
	return slices.Clip(s.results)
}

// progress checks the whole event first and then applies it. Failures come before successes: an instance may have
// failed and then succeeded in one event.
func (s *stageState) progress(e *v1.JobProgressed) error {
	ranges := slices.Clone(e.GetDone())
	slices.SortFunc(ranges, func(a, b *v1.Range) int { return cmp.Compare(a.GetFrom(), b.GetFrom()) })
	if err := s.checkDone(ranges); err != nil {
		return err
	}
	if err := s.checkFailures(e.GetFailures(), ranges); err != nil {
		return err
	}
	if err := checkResults(e.GetResults(), ranges); err != nil {
		return err
	}
	for _, f := range e.GetFailures() {
		s.fail(f)
	}
	for _, r := range ranges {
		s.setDone(r.GetFrom(), r.GetTo())
	}
	for _, r := range e.GetResults() {
		s.addResult(r.GetIndex(), r.GetData())
	}
	return nil
}

func (s *stageState) checkDone(ranges []*v1.Range) error {
	end := uint64(0)
	for _, r := range ranges {
		from, to := r.GetFrom(), r.GetTo()
		if from >= to || to > s.instances {
			return Invalid(fmt.Sprintf("range %d to %d (exclusive) of instances done: the stage has %d instances", from, to, s.instances))
		}
		if from < end {
			return Conflict("instance %d is done twice in one event", from)
		}
		end = to
		if i, found := s.firstDone(from, to); found {
			return Conflict("instance %d is done already, which is final", i)
		}
		if i, found := s.firstDead(from, to); found {
			return Conflict("instance %d is dead, which is final: it cannot be done", i)
		}
	}
	return nil
}

// firstDone finds an instance of a range that is done.
func (s *stageState) firstDone(from, to uint64) (uint64, bool) {
	if s.doneCount == 0 {
		return 0, false
	}
	if s.doneCount == s.instances {
		return from, true
	}
	for w := from / 64; w <= (to-1)/64; w++ {
		if hit := s.done[w] & wordMask(w, from, to); hit != 0 {
			return w*64 + uint64(bits.TrailingZeros64(hit)), true
		}
	}
	return 0, false
}

// firstDead finds a dead instance of a range: the lowest, so that equal states give equal answers.
func (s *stageState) firstDead(from, to uint64) (first uint64, found bool) {
	if s.deadCount == 0 {
		return 0, false
	}
	if to-from <= uint64(len(s.failures)) {
		for i := from; i < to; i++ {
			if s.isDead(i) {
				return i, true
			}
		}
		return 0, false
	}
	for i, f := range s.failures { //order: the lowest, whatever comes first
		if i >= from && i < to && f.GetFinal() && (!found || i < first) {
			first, found = i, true
		}
	}
	return first, found
}

// wordMask has the bits of word w that lie in the range.
func wordMask(w, from, to uint64) uint64 {
	mask := ^uint64(0)
	if w == from/64 {
		mask <<= from % 64
	}
	if w == (to-1)/64 {
		mask &= ^uint64(0) >> (63 - (to-1)%64)
	}
	return mask
}

func inRanges(ranges []*v1.Range, i uint64) bool {
	n, found := slices.BinarySearchFunc(ranges, i, func(r *v1.Range, i uint64) int { return cmp.Compare(r.GetFrom(), i) })
	return found || n > 0 && i < ranges[n-1].GetTo()
}

func (s *stageState) checkFailures(failures []*v1.InstanceFailure, ranges []*v1.Range) error {
	newest := make(map[uint64]*v1.InstanceFailure, len(failures))
	for _, f := range failures {
		i := f.GetIndex()
		before, again := newest[i]
		if !again {
			before = s.failures[i]
		}
		switch {
		case i >= s.instances:
			return Invalid(fmt.Sprintf("failure of instance %d: the stage has %d instances", i, s.instances))
		case s.isDone(i):
			return Conflict("instance %d is done, which is final: it cannot fail", i)
		case before.GetFinal():
			return Conflict("instance %d is dead, which is final: it cannot fail again", i)
		case f.GetFailures() != before.GetFailures()+1 || f.GetFailures() == 0:
			return Conflict("failure %d of instance %d: it has failed %d times before", f.GetFailures(), i, before.GetFailures())
		case f.GetFinal() && inRanges(ranges, i):
			return Conflict("instance %d is both dead and done in one event", i)
		}
		newest[i] = f
	}
	return nil
}

func checkResults(results []*v1.InstanceResult, ranges []*v1.Range) error {
	seen := make(map[uint64]bool, len(results))
	for _, r := range results {
		if !inRanges(ranges, r.GetIndex()) {
			return Conflict("result of instance %d, which this event does not name as done", r.GetIndex())
		}
		if seen[r.GetIndex()] {
			return Conflict("instance %d has two results in one event", r.GetIndex())
		}
		seen[r.GetIndex()] = true
	}
	return nil
}

func (s *stageState) fail(f *v1.InstanceFailure) {
	if s.failures == nil {
		s.failures = map[uint64]*v1.InstanceFailure{}
	}
	s.failures[f.GetIndex()] = f
	s.failedAttempts++
	if f.GetFinal() {
		s.deadCount++
	}
}

// EvictionsKept is the number of evictions of a stage that are remembered one by one.
const EvictionsKept = 20

// evict remembers attempts that were ended for somebody else. What is final can have no attempt.
func (s *stageState) evict(list []*v1.Eviction) error {
	if len(list) == 0 {
		return Invalid("instances_evicted names no instance")
	}
	for _, e := range list {
		switch i := e.GetIndex(); {
		case i >= s.instances:
			return Invalid(fmt.Sprintf("eviction of instance %d: the stage has %d instances", i, s.instances))
		case s.isDone(i):
			return Conflict("instance %d is done, which is final: it cannot be evicted", i)
		case s.isDead(i):
			return Conflict("instance %d is dead, which is final: it cannot be evicted", i)
		}
	}
	s.evicted += uint64(len(list))
	all := slices.Concat(s.evictions, list)
	s.evictions = slices.Clone(all[max(0, len(all)-EvictionsKept):])
	return nil
}

func (s *stageState) setDone(from, to uint64) {
	if s.done == nil {
		s.done = make([]uint64, (s.instances+63)/64)
	}
	for w := from / 64; w <= (to-1)/64; w++ {
		s.done[w] |= wordMask(w, from, to)
	}
	s.doneCount += to - from
	if s.doneCount == s.instances {
		s.done = nil
	}
	if to-from < uint64(len(s.failures)) {
		for i := from; i < to; i++ {
			delete(s.failures, i)
		}
		return
	}
	maps.DeleteFunc(s.failures, func(i uint64, _ *v1.InstanceFailure) bool { return i >= from && i < to })
}

func (s *stageState) addResult(i uint64, data []byte) {
	if len(data) == 0 {
		return
	}
	if n := len(s.results); n > 0 && s.results[n-1].Index > i {
		s.unsorted = true
	}
	s.results = append(s.results, Result{Index: i, Data: data})
	s.resultBytes += uint64(len(data))
}
