package preempt

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/share"
)

// world is a cell with queues that have quotas, and stages that all want more than there is. What is evicted waits again.
type world struct {
	*cell
	division *share.Division
	waits    []int // by stage
	evicted  int
}

func newWorld(seed uint64, sizes int64, quotas bool) *world {
	c := &cell{rng: rand.New(rand.NewPCG(seed, 9)), dims: 2, index: NewIndex(2)}
	w := &world{cell: c, division: share.New("cpu", "memory")}
	total := make([]int64, 2)
	const stages = 8
	for n := range 1 + c.rng.IntN(5) {
		capacity := []int64{5 + c.rng.Int64N(20), 5 + c.rng.Int64N(20)}
		c.capacity, c.open = append(c.capacity, capacity), append(c.open, true)
		c.counts, c.promised = append(c.counts, make([]int, stages)), append(c.promised, make([]int64, 2))
		c.index.SetNode(NodeIndex(n), capacity, true)
		for d := range total {
			total[d] += capacity[d]
		}
	}
	w.division.SetCapacity(total)
	for q := range 3 {
		w.division.Add(fmt.Sprint(q))
		if quotas && c.rng.IntN(4) > 0 {
			w.division.SetLimits(share.Queue(q), []int64{c.rng.Int64N(total[0]/2 + 1), c.rng.Int64N(total[1]/2 + 1)}, nil)
		}
	}
	for range stages {
		s := Stage{Priority: somePriority(c.rng), Queue: c.rng.Int32N(3), Evictable: NoLimit}
		s.Each = []int64{1 + c.rng.Int64N(sizes), 1 + c.rng.Int64N(sizes)}
		if sizes == 1 {
			s.Each = []int64{2, 2}
		}
		c.stages = append(c.stages, s)
		c.index.AddStage(s)
		w.waits = append(w.waits, 0)
	}
	return w
}

func (w *world) want(s, n int) {
	st := w.stages[s]
	w.waits[s] += n
	w.division.Wait(share.Queue(st.Queue), share.TenureOf(st.Priority.Band), st.Each, int64(n))
}

// rights are the claims that a stage may make for one more slot, in their order.
func (w *world) rights(s int) []*Claim {
	st := w.stages[s]
	q, tenure := share.Queue(st.Queue), share.TenureOf(st.Priority.Band)
	w.division.Divide(time.Time{}, nil)
	room := w.division.Fits(q, tenure, st.Each)
	claim := Claim{Priority: st.Priority, Need: st.Each, Slots: 1, Queue: st.Queue}
	byQuota, beyond, lower, within := claim, claim, claim, claim
	byQuota.Recall, byQuota.AnyRank = w.division.Recall(st.Each, share.FromOver, nil), true
	beyond.Recall, beyond.AnyRank = w.division.Recall(st.Each, share.FromBorrowers, nil), true
	lower.Recall = w.division.Recall(st.Each, share.FromBorrowers, nil)
	within.Within = true
	switch {
	case room.Own > 0:
		return []*Claim{&claim, &byQuota, &beyond}
	case room.Borrowed > 0:
		return []*Claim{&lower}
	case room.Yielded > 0:
		return []*Claim{&within}
	}
	return nil
}

// step places one slot of a stage, if any right lets it, and reports whether it did.
func (w *world) step(t *testing.T, s int) bool {
	if w.waits[s] == 0 {
		return false
	}
	for _, claim := range w.rights(s) {
		choices := w.index.Find(claim, nil)
		if len(choices) == 0 {
			continue
		}
		w.perform(t, s, claim, choices[0])
		return true
	}
	return false
}

func (w *world) perform(t *testing.T, s int, claim *Claim, choice Choice) {
	t.Helper()
	st, n := w.stages[s], int(choice.Node)
	for _, v := range choice.Victims {
		victim := w.stages[v.Stage]
		q := share.Queue(victim.Queue)
		if claim.Recall != nil {
			w.borrows(t, q, claim.Need)
		}
		if !Victimable(victim.Priority.Band) || (!claim.AnyRank && claim.Priority.Compare(victim.Priority) >= 0) {
			t.Fatalf("%v evicts %v", claim.Priority, victim.Priority)
		}
		w.put(n, int(v.Stage), -v.Count)
		w.division.Hold(q, share.Loose, victim.Each, -int64(v.Count))
		w.want(int(v.Stage), v.Count)
		w.evicted += v.Count
	}
	if !covers(w.free(n), claim.Need) {
		t.Fatalf("needs %v, free is %v", claim.Need, w.free(n))
	}
	w.put(n, s, 1)
	w.waits[s]--
	w.division.Grant(share.Queue(st.Queue), share.TenureOf(st.Priority.Band), st.Each, 1)
}

// borrows wants that a queue has borrowed something that is needed. Who is evicted is asked for one group after the other,
// so that the first of several has made the others' loan smaller; at least then it must borrow.
func (w *world) borrows(t *testing.T, q share.Queue, need []int64) {
	t.Helper()
	for d := range need {
		if need[d] > 0 && w.division.Account(q, d).Held > w.division.Account(q, d).Guaranteed+w.division.Account(q, d).Unclaimed {
			return
		}
	}
	t.Fatalf("queue %d gives back what is its own", q)
}

// end lets some slots of a stage end on a node.
func (w *world) end(n, s int) {
	count := w.rng.IntN(w.counts[n][s] + 1)
	w.put(n, s, -count)
	st := w.stages[s]
	w.division.Hold(share.Queue(st.Queue), share.TenureOf(st.Priority.Band), st.Each, -int64(count))
}

// settle lets stages claim in any order until none can, and fails if that takes too long.
func (w *world) settle(t *testing.T, seed uint64) {
	t.Helper()
	for steps, idle := 0, false; !idle; {
		idle = true
		for _, s := range w.rng.Perm(len(w.stages)) {
			for range 1 + w.rng.IntN(3) {
				if w.step(t, s) {
					idle = false
					steps++
				}
			}
		}
		if steps > 5000 {
			t.Fatalf("seed %d: %d steps, %d evictions in all, and no end", seed, steps, w.evicted)
		}
	}
}

// Claims in any order come to an end, though what is evicted claims again, with and without quotas, with slots of one
// size and of many.
func TestB6_F22_F27_EvictionsCannotCycle(t *testing.T) {
	evicted := 0
	for seed := range uint64(600) {
		w := newWorld(seed, []int64{1, 6}[seed%2], seed%3 > 0)
		for range 12 {
			w.end(w.rng.IntN(len(w.counts)), w.rng.IntN(len(w.stages)))
			w.want(w.rng.IntN(len(w.stages)), w.rng.IntN(12))
			w.settle(t, seed)
		}
		w.check(t)
		evicted += w.evicted
	}
	if evicted < 3000 {
		t.Fatalf("%d evictions in all: the test shows little", evicted)
	}
}

// An owner gets its quota back from work of a higher rank that has borrowed it, but not from work that has not; a gang
// gets all of it or nothing.
func TestF25_F26_S7_OwnerTakesBackWhatItLent(t *testing.T) {
	x, d := NewIndex(1), share.New("licence", "cpu")
	d.SetCapacity([]int64{0, 10})
	owner, borrower := d.Add("owner"), d.Add("borrower")
	d.SetLimits(owner, []int64{share.Unset, 6}, nil)
	d.SetLimits(borrower, []int64{share.Unset, 4}, nil)
	one, counts := []int64{1}, []int64{0, 1} // the dimensions of index and division need not be the same
	s := x.AddStage(Stage{Priority: model.Priority{Band: model.Batch}, Queue: int32(borrower), Each: one, Counts: counts, Evictable: NoLimit})
	for n := range NodeIndex(5) {
		x.SetNode(n, []int64{2}, true)
		x.Put(n, s, 2, uint64(n))
	}
	d.Hold(borrower, share.Loose, counts, 10)
	d.Wait(owner, share.Loose, counts, 20)
	d.Divide(time.Time{}, nil)
	if room := d.Fits(owner, share.Loose, counts); room.Own != 6 {
		t.Fatalf("room for %+v, 6 are its quota", room)
	}
	for _, test := range []struct {
		slots          int
		whole, anyRank bool
		want           int
	}{{20, false, true, 6}, {6, true, true, 6}, {7, true, true, 0}, {1, false, false, 0}} {
		claim := &Claim{
			Priority: model.Priority{Band: model.Free, Rank: 9}, Need: one, Slots: test.slots, Whole: test.whole, Queue: int32(owner),
			Recall: d.Recall(counts, share.FromOver, nil), AnyRank: test.anyRank,
		}
		if choices := x.Find(claim, nil); len(choices) != test.want {
			t.Errorf("%+v: %d slots", test, len(choices))
		}
	}
}
