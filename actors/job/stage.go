package job

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/retry"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// slot is resources that the job holds on a node.
type slot struct {
	id      model.SlotID
	stage   *stage
	node    model.NodeID
	ref     kit.Ref // of the node's actor
	attempt *attempt
	// granted is the order of the grant: an older Inventory does not know of it.
	granted uint64
	// leaving: being given back, and not yet reported as freed. If that is not so at freeBy, its node is out of reach.
	leaving bool
	freeBy  time.Time
	gone    bool
}

// attempt is the one valid try of an instance.
type attempt struct {
	index  uint64
	fence  model.Fence
	number uint32
	slot   *slot
	state  *v1.AttemptState // as last reported; nil before
	// stopping: a stop was sent for another reason than the end of its slot.
	stopping bool
}

// stage is the soft state of one stage: what is in flight. Its size is that of the slots held, not of the instances.
type stage struct {
	number   int
	plan     *model.StagePlan
	template *v1.Template
	open     bool // the stages before it are done
	cursor   uint64
	retries  retries
	running  map[uint64]*attempt
	// settling are instances whose end is on its way through the journal.
	settling map[uint64]struct{}
	// waiting are instances in retries.
	waiting map[uint64]struct{}
	// outdated is the greatest fence of an instance that was given up or has ended otherwise than by the journal; what is
	// told of that fence or a smaller one is not accepted. Kept only for instances that have lost an attempt.
	outdated map[uint64]model.Fence
	idle     []*slot
	held     uint64 // slots that are neither leaving nor gone
	target   uint64 // as last sent to the queue
	avoid    retry.Avoidance
	gang     gang
	ran      ran
	// accepted are instances that have succeeded but are not durably done yet.
	accepted uint64
}

func newStage(number int, plan *model.StagePlan, template *v1.Template) *stage {
	return &stage{
		number: number, plan: plan, template: template,
		running: map[uint64]*attempt{}, settling: map[uint64]struct{}{}, waiting: map[uint64]struct{}{},
		outdated: map[uint64]model.Fence{},
	}
}

// freeBy is when a slot is expected to be free at the latest that goes back now.
func (s *stage) freeBy(now time.Time) time.Time { return now.Add(s.plan.Grace + overdueAfter) }

// ready reports whether any instance may be launched now, in some slot.
func (s *stage) ready(hard *model.JobState, now time.Time) bool {
	if len(s.retries) > 0 && !s.retries[0].due.After(now) {
		return true
	}
	_, fresh := hard.NextOpen(s.number, s.cursor)
	return fresh
}

// next is an instance to launch in a slot now: the retry that is due first, else the first that was never launched.
func (s *stage) next(hard *model.JobState, now time.Time, sl *slot) (uint64, bool) {
	if index, ok := s.retry(sl, now); ok {
		return index, true
	}
	for {
		index, ok := hard.NextOpen(s.number, s.cursor)
		if !ok {
			return 0, false
		}
		s.cursor = index + 1
		if _, taken := s.running[index]; taken {
			continue
		}
		if _, taken := s.settling[index]; taken {
			continue
		}
		if _, taken := s.waiting[index]; taken {
			continue
		}
		if s.avoid.Avoids(index, sl.node, sl.granted, now) { // it has failed before this actor began
			s.wait(index, now)
			continue
		}
		return index, true
	}
}

// wait puts an instance in line for another attempt.
func (s *stage) wait(index uint64, due time.Time) {
	if _, in := s.waiting[index]; in {
		return
	}
	s.waiting[index] = struct{}{}
	heap.Push(&s.retries, again{due, index})
	s.avoid.Queued(index)
}

// leaveLine notes that an instance is no longer in the line of retries.
func (s *stage) leaveLine(index uint64) {
	delete(s.waiting, index)
	s.avoid.Unqueued(index)
}

// unwait takes an instance out of the line of retries.
func (s *stage) unwait(index uint64) {
	if _, in := s.waiting[index]; !in {
		return
	}
	if i := slices.IndexFunc(s.retries, func(r again) bool { return r.index == index }); i >= 0 {
		heap.Remove(&s.retries, i)
	}
	s.leaveLine(index)
}

// takeIdle returns a slot without an attempt, or nil: one that is worth most of those freed last.
func (s *stage) takeIdle() *slot { return s.take(1) }

// takeWorst returns the one that is missed least.
func (s *stage) takeWorst() *slot { return s.take(-1) }

func (s *stage) take(sign int) *slot {
	if last := len(s.idle) - 1; last > 0 && (len(s.plan.Data) > 0 || s.avoid.Waiting()) {
		best := last
		for i := max(0, last-lookMax); i < last; i++ {
			sl := s.idle[i]
			if sl.usable() && (!s.idle[best].usable() || sign*s.compare(sl, s.idle[best]) > 0) {
				best = i
			}
		}
		s.idle[best], s.idle[last] = s.idle[last], s.idle[best]
	}
	for n := len(s.idle); n > 0; n = len(s.idle) {
		sl := s.idle[n-1]
		s.idle[n-1] = nil
		s.idle = s.idle[:n-1]
		if sl.usable() {
			return sl
		}
	}
	return nil
}

func (sl *slot) usable() bool { return !sl.gone && !sl.leaving && sl.attempt == nil }

// compare says which of two slots is worth more: one that no waiting instance avoids, then the one on the node that holds
// more of the stage's data (F11).
func (s *stage) compare(x, y *slot) int {
	return cmp.Or(cmp.Compare(s.avoid.Banned(y.node), s.avoid.Banned(x.node)), cmp.Compare(s.bytesOn(x.node), s.bytesOn(y.node)))
}

// bytesOn is how much of the stage's data a node holds.
func (s *stage) bytesOn(node model.NodeID) int64 {
	i, found := slices.BinarySearchFunc(s.plan.Data, node, func(d model.NodeBytes, id model.NodeID) int { return cmp.Compare(d.Node, id) })
	if !found {
		return 0
	}
	return s.plan.Data[i].Bytes
}

// blame notes that an instance has failed on a node.
func (s *stage) blame(index uint64, node model.NodeID, now time.Time) {
	_, in := s.waiting[index]
	if in {
		s.avoid.Unqueued(index)
	}
	if s.avoid.Fail(index, node, now); in {
		s.avoid.Queued(index)
	}
}

// ran is how long attempts ran that have succeeded.
type ran struct {
	sum time.Duration
	n   int64
}

// mean is 0 if nothing is known.
func (r ran) mean() time.Duration { return r.sum / time.Duration(max(r.n, 1)) }

// outdateBefore says that an attempt has replaced whatever was before it.
func (s *stage) outdateBefore(a *attempt) {
	s.outdated[a.index] = max(s.outdated[a.index], a.fence-1)
}

// outdate gives up an attempt whose end is not known: nothing that it reports later is accepted.
func (s *stage) outdate(a *attempt) {
	s.outdated[a.index] = max(s.outdated[a.index], a.fence)
}

// again is an instance that waits for another attempt.
type again struct {
	due   time.Time
	index uint64
}

type retries []again

func (r retries) Len() int { return len(r) }
func (r retries) Less(i, j int) bool {
	if !r[i].due.Equal(r[j].due) {
		return r[i].due.Before(r[j].due)
	}
	return r[i].index < r[j].index
}
func (r retries) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *retries) Push(v any)   { *r = append(*r, v.(again)) }
func (r *retries) Pop() any {
	old := *r
	v := old[len(old)-1]
	*r = old[:len(old)-1]
	return v
}
