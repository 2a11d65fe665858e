package model

// The dimensions of Resources.
const (
	CPU    = iota // milli-cores
	Memory        // bytes
	Disk          // bytes
	Net           // bits per second
	NumResources
)

// Resources is an amount of everything a node has, as integers: milli-cores, bytes, bytes, bits per second.
type Resources [NumResources]int64

// ResourceNames are the names of the dimensions as users write them.
var ResourceNames = [NumResources]string{"cpu", "memory", "disk", "net"}

// Fits reports whether r fits into free in every dimension.
func (r Resources) Fits(free Resources) bool {
	for i := range r {
		if r[i] > free[i] {
			return false
		}
	}
	return true
}

// Add returns r + o. Amounts are bounded at the edge (MaxAmount), so that sums over a cell cannot overflow.
func (r Resources) Add(o Resources) Resources {
	for i := range r {
		r[i] += o[i]
	}
	return r
}

// Sub returns r - o.
func (r Resources) Sub(o Resources) Resources {
	for i := range r {
		r[i] -= o[i]
	}
	return r
}

// Times returns how often r fits into free; a large number if r is zero in every dimension.
func (r Resources) Times(free Resources) int64 {
	n := int64(1 << 40)
	for i := range r {
		if r[i] > 0 {
			n = min(n, max(free[i], 0)/r[i])
		}
	}
	return n
}

// MaxAmount bounds every amount that a user or an agent may name: 2^50, an exabyte and more than a trillion cores.
const MaxAmount = int64(1) << 50
