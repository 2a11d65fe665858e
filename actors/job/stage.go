package job

import (
	"container/heap"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
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
	// leaving: released, and not yet reported as freed.
	leaving bool
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

// next is an instance to launch now: the retry that is due, else the first that was never launched.
func (s *stage) next(hard *model.JobState, now time.Time) (uint64, bool) {
	if len(s.retries) > 0 && !s.retries[0].due.After(now) {
		index := heap.Pop(&s.retries).(again).index
		delete(s.waiting, index)
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
}

// takeIdle returns a slot without an attempt, the one freed last, or nil.
func (s *stage) takeIdle() *slot {
	for n := len(s.idle); n > 0; n = len(s.idle) {
		sl := s.idle[n-1]
		s.idle[n-1] = nil
		s.idle = s.idle[:n-1]
		if !sl.gone && !sl.leaving && sl.attempt == nil {
			return sl
		}
	}
	return nil
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

// fix restores the order after an element was taken out of the middle.
func (r *retries) fix() { heap.Init(r) }
