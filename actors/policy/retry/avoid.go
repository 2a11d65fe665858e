package retry

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

const (
	// avoidMax bounds the nodes that a stage asks to avoid, failuresKept those that one instance remembers, and failedMax
	// the instances that remember any.
	avoidMax, failuresKept, failedMax = 64, 4, 65_536
	// avoidFor is how long an instance avoids a node.
	avoidFor = 10 * time.Minute
	// avoidEvery bounds how often a stage says what it avoids, and avoidHeard is when that has reached the placer.
	avoidEvery, avoidHeard = 250 * time.Millisecond, 50 * time.Millisecond
	// strikesOut is how many attempts in a row make a node bad, and strikesMax bounds the nodes that are watched.
	strikesOut, strikesMax = 3, 1024
)

// Avoidance is what one stage knows of nodes on which its instances have failed. An instance avoids the nodes on which it
// has failed (B44). While it waits, its stage asks the placer for slots elsewhere; slots that only such instances could
// use go back, and one that is granted on such a node all the same is taken: the placer has nothing better. A node on
// which several attempts in a row have failed while others succeed elsewhere is bad: the whole stage avoids it for a
// while. All of it is bounded in number and in time, so no node is lost to a stage for long. The zero value knows nothing.
type Avoidance struct {
	// failed are the nodes of an instance, newest last.
	failed map[uint64][]failedOn
	// banned counts, for each node, the instances in the line of retries that avoid it.
	banned map[model.NodeID]int
	// yielded is when slots of a node were given back because of it, in the order of grants.
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

// Fail notes that an instance, which is not in the line of retries, has failed on a node.
func (v *Avoidance) Fail(index uint64, node model.NodeID, at time.Time) {
	if v.failed == nil {
		v.failed = map[uint64][]failedOn{}
	}
	if _, known := v.failed[index]; !known && len(v.failed) >= failedMax {
		return
	}
	list := slices.DeleteFunc(v.failed[index], func(f failedOn) bool { return f.node == node || at.Sub(f.at) > avoidFor })
	list = append(list, failedOn{node, at})
	v.failed[index] = list[max(0, len(list)-failuresKept):]
}

// Strike counts a failure against its node, if the program works elsewhere.
func (v *Avoidance) Strike(node model.NodeID, at time.Time) {
	delete(v.yielded, node) // who was granted a slot there since has tried it
	k, known := v.strikes[node]
	if !known && len(v.strikes) >= strikesMax {
		return
	}
	if !k.until.IsZero() && !at.Before(k.until) {
		k = strike{} // its time is over
	}
	if k.n++; k.n >= strikesOut && v.good != "" && v.good != node {
		k.until, v.stale = at.Add(avoidFor), true
	}
	if v.strikes == nil {
		v.strikes = map[model.NodeID]strike{}
	}
	v.strikes[node] = k
}

// Succeed notes that an attempt has succeeded on a node.
func (v *Avoidance) Succeed(node model.NodeID) {
	v.good = node
	if k, struck := v.strikes[node]; struck {
		delete(v.strikes, node)
		v.stale = v.stale || !k.until.IsZero()
	}
}

// Expire forgets strikes whose time is over.
func (v *Avoidance) Expire(now time.Time) {
	for node, k := range v.strikes { //order: each for itself
		if !k.until.IsZero() && !now.Before(k.until) {
			delete(v.strikes, node)
			if v.banned[node] == 0 {
				delete(v.yielded, node)
			}
			v.stale = true
		}
	}
}

// Bad reports whether nothing of the stage would better run in a slot of that node, granted at that order.
func (v *Avoidance) Bad(node model.NodeID, granted uint64, now time.Time) bool {
	return now.Before(v.strikes[node].until) && v.mayYield(node, granted)
}

// mayYield is false for a slot that was granted on a node although slots there had been given back.
func (v *Avoidance) mayYield(node model.NodeID, granted uint64) bool {
	order, yielded := v.yielded[node]
	return !yielded || granted < order
}

// Forgive forgets an instance that is done.
func (v *Avoidance) Forgive(index uint64) { delete(v.failed, index) }

// Queued counts an instance that comes into the line of retries.
func (v *Avoidance) Queued(index uint64) {
	for _, f := range v.failed[index] {
		if v.banned == nil {
			v.banned = map[model.NodeID]int{}
		}
		v.banned[f.node]++
		v.stale = v.stale || v.banned[f.node] == 1
	}
}

// Unqueued counts one that leaves it.
func (v *Avoidance) Unqueued(index uint64) {
	for _, f := range v.failed[index] {
		if v.banned[f.node]--; v.banned[f.node] <= 0 {
			delete(v.banned, f.node)
			if v.strikes[f.node].until.IsZero() {
				delete(v.yielded, f.node)
			}
			v.stale = true
		}
	}
}

// Avoids reports whether an instance would better run elsewhere than in a slot of that node, granted at that order.
func (v *Avoidance) Avoids(index uint64, node model.NodeID, granted uint64, now time.Time) bool {
	for _, f := range v.failed[index] {
		if f.node == node && now.Sub(f.at) < avoidFor {
			return v.mayYield(node, granted)
		}
	}
	return false
}

// Nodes are those that an instance avoids, in the order of its failures.
func (v *Avoidance) Nodes(index uint64, now time.Time) (nodes []model.NodeID) {
	for _, f := range v.failed[index] {
		if now.Sub(f.at) < avoidFor {
			nodes = append(nodes, f.node)
		}
	}
	return nodes
}

// list is the nodes to avoid: if there are too many, bad ones first, then those that most of the waiting instances avoid.
func (v *Avoidance) list(now time.Time) []model.NodeID {
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

// Refresh makes up what the placer is to be told, if enough time has passed since the last time; it returns whether that has changed.
func (v *Avoidance) Refresh(now time.Time) (changed bool) {
	if !v.stale || now.Sub(v.saidAt) < avoidEvery {
		return false
	}
	before := v.said
	v.said, v.saidAt, v.stale = v.list(now), now, false
	return !slices.Equal(before, v.said)
}

// Heard reports whether the placer knows that a node is avoided, or will not be told.
func (v *Avoidance) Heard(node model.NodeID, now time.Time) bool {
	return now.Sub(v.saidAt) >= avoidHeard && (!v.stale || slices.Contains(v.said, node))
}

// Clear ends all avoidance.
func (v *Avoidance) Clear() {
	*v = Avoidance{stale: len(v.said) > 0, said: v.said, saidAt: v.saidAt}
}

// Yield notes that a slot of a node is given back because the node is avoided: those granted after that order are taken.
func (v *Avoidance) Yield(node model.NodeID, order uint64) {
	if v.yielded == nil {
		v.yielded = map[model.NodeID]uint64{}
	}
	v.yielded[node] = order
}

// Said is what the placer is to be told, sorted; it is frozen. Stale says that it may have changed since.
func (v *Avoidance) Said() (nodes []model.NodeID, stale bool) { return v.said, v.stale }

// Wakes are the times at which more may be told, and at which what was told has been heard.
func (v *Avoidance) Wakes() [2]time.Time {
	return [2]time.Time{v.saidAt.Add(avoidEvery), v.saidAt.Add(avoidHeard)}
}

// Failed reports whether an instance is known to have failed on any node.
func (v *Avoidance) Failed() bool { return len(v.failed) > 0 }

// Any reports whether anything is, or may soon be, avoided.
func (v *Avoidance) Any() bool { return len(v.failed)+len(v.strikes) > 0 }

// Banned counts the instances in the line of retries that avoid a node.
func (v *Avoidance) Banned(node model.NodeID) int { return v.banned[node] }

// Waiting reports whether an instance in the line of retries avoids any node.
func (v *Avoidance) Waiting() bool { return len(v.banned) > 0 }
