package job

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
)

// An instance avoids the nodes on which it has failed (B44). While it waits, its stage asks the placer for slots
// elsewhere; slots that only such instances could use go back, and one that is granted on such a node all the same is
// taken: the placer has nothing better. A node on which several attempts in a row have failed while others succeed
// elsewhere is avoided by the whole stage for a while. All of it is soft state, bounded in number and in time, so no node
// is lost to a job for long.
const (
	// avoidMax bounds the nodes that a stage asks to avoid, failuresKept those that one instance remembers.
	avoidMax, failuresKept = 64, 4
	// avoidFor is how long an instance avoids a node.
	avoidFor = 10 * time.Minute
	// avoidEvery bounds how often a stage says what it avoids, and avoidHeard is when that has reached the placer.
	avoidEvery, avoidHeard = 250 * time.Millisecond, 50 * time.Millisecond
	// strikesOut is how many attempts in a row make a node bad, and strikesMax bounds the nodes that are watched.
	strikesOut, strikesMax = 3, 1024
	// lookMax bounds the instances that are looked at for one slot.
	lookMax = 64
)

// avoidance is what one stage knows of nodes on which its instances have failed.
type avoidance struct {
	// failed are the nodes of an instance, newest last.
	failed map[uint64][]failedOn
	// banned counts, for each node, the instances in the line of retries that avoid it.
	banned map[model.NodeID]int
	// yielded is when slots of a node were given back because of it, by IDs.Order.
	yielded map[model.NodeID]uint64
	// strikes are the nodes on which the newest attempts have failed, and good is the node of the newest success.
	strikes map[model.NodeID]strike
	good    model.NodeID
	// said is what the placer was told last, and when; stale says that it may have changed since.
	said   []model.NodeID
	saidAt time.Time
	stale  bool
}

// strike counts failures in a row; the node is bad until then.
type strike struct {
	n     int
	until time.Time
}

type failedOn struct {
	node model.NodeID
	at   time.Time
}

// fail notes that an instance, which is not in the line of retries, has failed on a node.
func (v *avoidance) fail(index uint64, node model.NodeID, at time.Time) {
	if v.failed == nil {
		v.failed = map[uint64][]failedOn{}
	}
	list := slices.DeleteFunc(v.failed[index], func(f failedOn) bool { return f.node == node || at.Sub(f.at) > avoidFor })
	list = append(list, failedOn{node, at})
	v.failed[index] = list[max(0, len(list)-failuresKept):]
}

// strike counts a failure against its node, if the program works elsewhere.
func (v *avoidance) strike(node model.NodeID, at time.Time) {
	delete(v.yielded, node) // who was granted a slot there since has tried it
	k, known := v.strikes[node]
	if !known && len(v.strikes) >= strikesMax {
		return
	}
	if k.n++; k.n >= strikesOut && v.good != "" && v.good != node {
		k.until, v.stale = at.Add(avoidFor), true
	}
	if v.strikes == nil {
		v.strikes = map[model.NodeID]strike{}
	}
	v.strikes[node] = k
}

// succeed notes that an attempt has succeeded on a node.
func (v *avoidance) succeed(node model.NodeID) {
	v.good = node
	if k, struck := v.strikes[node]; struck {
		delete(v.strikes, node)
		v.stale = v.stale || !k.until.IsZero()
	}
}

// expire forgets strikes whose time is over.
func (v *avoidance) expire(now time.Time) {
	for node, k := range v.strikes { //order: each for itself
		if !k.until.IsZero() && !now.Before(k.until) {
			delete(v.strikes, node)
			v.stale = true
		}
	}
}

// bad reports whether nothing of the stage would better run in that slot.
func (v *avoidance) bad(sl *slot, now time.Time) bool {
	return now.Before(v.strikes[sl.node].until) && v.mayYield(sl)
}

// mayYield is false for a slot that was granted on a node although slots there had been given back.
func (v *avoidance) mayYield(sl *slot) bool {
	order, yielded := v.yielded[sl.node]
	return !yielded || sl.granted < order
}

// forgive forgets an instance that is done.
func (v *avoidance) forgive(index uint64) { delete(v.failed, index) }

// queued and unqueued count an instance that comes into the line of retries, and leaves it.
func (v *avoidance) queued(index uint64) {
	for _, f := range v.failed[index] {
		if v.banned == nil {
			v.banned = map[model.NodeID]int{}
		}
		v.banned[f.node]++
		v.stale = v.stale || v.banned[f.node] == 1
	}
}

func (v *avoidance) unqueued(index uint64) {
	for _, f := range v.failed[index] {
		if v.banned[f.node]--; v.banned[f.node] <= 0 {
			delete(v.banned, f.node)
			delete(v.yielded, f.node)
			v.stale = true
		}
	}
}

// avoids reports whether an instance would better run elsewhere than in that slot.
func (v *avoidance) avoids(index uint64, sl *slot, now time.Time) bool {
	for _, f := range v.failed[index] {
		if f.node == sl.node && now.Sub(f.at) < avoidFor {
			return v.mayYield(sl)
		}
	}
	return false
}

// list is the nodes to avoid: if there are too many, bad ones first, then those that most of the waiting instances avoid.
func (v *avoidance) list(now time.Time) []model.NodeID {
	weight := maps.Clone(v.banned)
	for node, k := range v.strikes { //order: each for itself
		if now.Before(k.until) {
			if weight == nil {
				weight = map[model.NodeID]int{}
			}
			weight[node] += 1 << 30
		}
	}
	nodes := slices.SortedFunc(maps.Keys(weight), func(x, y model.NodeID) int {
		return cmp.Or(cmp.Compare(weight[y], weight[x]), cmp.Compare(x, y))
	})
	nodes = nodes[:min(len(nodes), avoidMax)]
	slices.Sort(nodes)
	return nodes
}

// refresh makes up what the placer is to be told; it returns whether that has changed.
func (v *avoidance) refresh(now time.Time) (changed bool) {
	if !v.stale || now.Sub(v.saidAt) < avoidEvery {
		return false
	}
	before := v.said
	v.said, v.saidAt, v.stale = v.list(now), now, false
	return !slices.Equal(before, v.said)
}

// heard reports whether the placer knows that a node is avoided, or will not be told.
func (v *avoidance) heard(node model.NodeID, now time.Time) bool {
	return now.Sub(v.saidAt) >= avoidHeard && (!v.stale || slices.Contains(v.said, node))
}

// clear ends all avoidance.
func (v *avoidance) clear() {
	*v = avoidance{stale: len(v.said) > 0, said: v.said, saidAt: v.saidAt}
}

// retry takes an instance out of the line of retries that is due and does not avoid the slot.
func (s *stage) retry(sl *slot, now time.Time) (uint64, bool) {
	best := -1
	for i := range s.retries[:min(len(s.retries), lookMax)] {
		r := s.retries[i]
		if !r.due.After(now) && (best < 0 || s.retries.Less(i, best)) && !s.avoid.avoids(r.index, sl, now) {
			best = i
		}
		if best == 0 || i == 0 && r.due.After(now) {
			break // the first is the one that is due first
		}
	}
	if best < 0 {
		return 0, false
	}
	index := s.retries[best].index
	heap.Remove(&s.retries, best)
	s.leaveLine(index)
	return index, true
}

// due counts the retries that are due, up to a bound.
func (s *stage) due(now time.Time) (n int) {
	for _, r := range s.retries[:min(len(s.retries), lookMax)] {
		if !r.due.After(now) {
			n++
		}
	}
	return n
}

// moveOn gives slots back that are idle because those who wait avoid their nodes, as soon as the placer knows of it.
func (a *Actor) moveOn(ctx *kit.Context, st *stage, idle []*slot) {
	due := 0
	if len(idle) > 0 && len(st.avoid.failed) > 0 {
		due = st.due(ctx.Now())
	}
	for _, sl := range idle {
		bad := st.avoid.bad(sl, ctx.Now())
		if !bad && due == 0 || !st.avoid.heard(sl.node, ctx.Now()) {
			st.idle = append(st.idle, sl)
			continue
		}
		if !bad {
			due--
		}
		if st.avoid.yielded == nil {
			st.avoid.yielded = map[model.NodeID]uint64{}
		}
		st.avoid.yielded[sl.node] = a.env.IDs.Order()
		a.yield(ctx, sl)
	}
}

// patience ends avoidance that has left instances without a slot for too long.
func (a *Actor) patience(ctx *kit.Context) {
	for _, st := range a.stages {
		st.avoid.expire(ctx.Now())
		if len(st.avoid.banned) > 0 && len(st.retries) > 0 && ctx.Now().Sub(st.retries[0].due) > healBeats*a.env.Heartbeat {
			st.avoid.clear()
		}
	}
}
