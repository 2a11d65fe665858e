package share

// Recall counts what may be taken back: slots of loose work of queues that hold more than their own. It belongs to one
// claim, of a queue that has Room.Own for what it waits for and finds no node free; that queue itself has then borrowed
// nothing in what it lacks.
type Recall struct {
	left [][]int64 // by dimension and Queue: what is borrowed and not recalled yet
	log  []recalled
}

type recalled struct {
	queue Queue
	each  []int64
	n     int64
}

// Reach is how far a claim goes.
type Reach uint8

// The reaches, to be tried in this order.
const (
	// FromOver takes from queues what they hold beyond what they are allowed. In a full cell it is enough.
	FromOver Reach = iota
	// FromBorrowers takes all that is borrowed: the cell has room, but not in the pieces that the owner needs.
	FromBorrowers
)

// Recall begins a claim in the dimensions in which lack is positive: those that are missing on the node, or all that a
// slot needs. What a queue has borrowed in other dimensions only is not touched. The memory of old is used again; it may
// be nil.
func (d *Division) Recall(lack []int64, reach Reach, old *Recall) *Recall {
	if old == nil {
		old = &Recall{}
	}
	old.log = old.log[:0]
	if len(old.left) != len(d.dims) {
		old.left = make([][]int64, len(d.dims))
	}
	for i := range d.dims {
		dim := &d.dims[i]
		old.left[i] = sized(old.left[i], len(dim.accounts))
		if dim.quotas == 0 || at(lack, i, 0) <= 0 {
			continue
		}
		for q := range dim.accounts {
			a := &dim.accounts[q]
			beyond := a.holds() - a.own
			if reach == FromOver {
				beyond -= a.credit
			}
			old.left[i][q] = min(a.held[Loose], max(beyond, 0))
		}
	}
	return old
}

// Take recalls up to n loose slots of a size from a queue and returns how many it may: as long as something is
// left to recall in a dimension that is lacked. The last may be partly its own: an owner's claim is not kept waiting by
// the rest of a slot. Asked for groups from the lowest priority upward, the youngest first, it gives slots in that order.
func (r *Recall) Take(queue int32, each []int64, n int) int {
	q := Queue(queue)
	var most int64
	for i := range r.left {
		if size := at(each, i, 0); size > 0 && r.left[i][q] > 0 {
			most = max(most, (r.left[i][q]+size-1)/size)
		}
	}
	got := min(int64(n), most)
	if got > 0 {
		r.shift(q, each, -got)
		r.log = append(r.log, recalled{q, each, got})
	}
	return int(got)
}

// Mark is a point to which Undo returns.
func (r *Recall) Mark() int { return len(r.log) }

// Undo takes back all that was recalled since a mark.
func (r *Recall) Undo(mark int) {
	for _, x := range r.log[mark:] {
		r.shift(x.queue, x.each, x.n)
	}
	r.log = r.log[:mark]
}

// shift lets amounts fall below nothing, so that it can be undone.
func (r *Recall) shift(q Queue, each []int64, n int64) {
	for i := range r.left {
		r.left[i][q] += times(at(each, i, 0), n)
	}
}
