package frag

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// Limits of a workload.
const (
	// MaxShapes is the most shapes of a workload.
	MaxShapes = 512
	// MaxWeight is the most that the weights of a workload may add up to, so that no sum of weighted milli-devices can
	// overflow.
	MaxWeight = 1 << 24
)

// Shape is a demand that is expected, and how often compared with the others.
type Shape struct {
	Demand
	Weight int64
}

// Workload is what is expected to come. It answers how much of what a node has left would be of no use to it.
type Workload struct {
	shapes []Shape
	// total is the sum of all weights, all what they would be with the shapes that were left out.
	total, all int64
	// cpus and memories are the different amounts that shapes ask for, least first; what a node has left matters only
	// by how many of them it reaches. The study counts no memory: then memories is empty.
	cpus, memories []int64
	// steps are the different milli-devices that shapes ask of a device, least first; stepOf says for an amount left on
	// a device how many of them it reaches.
	steps  []int16
	stepOf [Whole + 1]uint16
	// classOf is the class of a model: models that the same shapes admit share rows.
	classOf [MaxModels]uint8
	classes int
	rows    []*row
}

// row is the weights of shapes that a node can take for its CPU, memory and model.
type row struct {
	// single is, by step, the weight of shapes for one device that a device at that step can take.
	single []int64
	// many are the shapes for several devices.
	many []many
}

// many is the weight of shapes that ask for that much of each of several devices.
type many struct {
	devices int8
	milli   int16
	weight  int64
}

// NewWorkload compiles a workload. All is the weight of all demand, of which the shapes may be only the most common; 0
// says that they are all. The published study looks at CPU and devices alone; with memory, a shape that finds too little
// memory counts as one that cannot run.
func NewWorkload(shapes []Shape, all int64, memory bool) (*Workload, error) {
	if len(shapes) > MaxShapes {
		return nil, fmt.Errorf("%d shapes, at most %d are possible", len(shapes), MaxShapes)
	}
	w := &Workload{}
	for i, s := range shapes {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("shapes[%d]%w", i, err)
		}
		if w.total += s.Weight; w.total > MaxWeight {
			return nil, fmt.Errorf("shapes[%d].Weight: the sum of the weights passes %d", i, MaxWeight)
		}
		if !memory {
			s.Memory = 0
		}
		w.shapes = append(w.shapes, s)
	}
	w.all = max(all, w.total, 1)
	w.level(memory)
	w.classify()
	w.rows = make([]*row, w.classes*(len(w.cpus)+1)*(len(w.memories)+1))
	return w, nil
}

func (s *Shape) check() error {
	switch {
	case s.CPU < 0 || s.Memory < 0:
		return errors.New(": CPU and Memory cannot be negative")
	case s.Devices < 0 || s.Devices > MaxDevices:
		return fmt.Errorf(".Devices is %d, it must be 0 to %d", s.Devices, MaxDevices)
	case s.Devices > 0 && (s.Milli < 1 || s.Milli > Whole):
		return fmt.Errorf(".Milli is %d, it must be 1 to %d", s.Milli, Whole)
	case s.Weight < 0 || s.Weight > MaxWeight:
		return fmt.Errorf(".Weight is %d, it must be 0 to %d", s.Weight, MaxWeight)
	}
	return nil
}

// level finds the amounts at which something changes.
func (w *Workload) level(memory bool) {
	for _, s := range w.shapes {
		if s.Devices == 0 {
			continue // what is left of devices is of no use to it, wherever it runs
		}
		w.cpus, w.steps = append(w.cpus, s.CPU), append(w.steps, s.Milli)
		if memory {
			w.memories = append(w.memories, s.Memory)
		}
	}
	w.cpus, w.memories, w.steps = different(w.cpus), different(w.memories), different(w.steps)
	for milli := range w.stepOf {
		w.stepOf[milli] = uint16(reached(w.steps, int16(milli)))
	}
}

// classify puts models together that every shape treats alike.
func (w *Workload) classify() {
	byKey := map[string]uint8{}
	for m := range w.classOf {
		key := make([]byte, 0, len(w.shapes))
		for _, s := range w.shapes {
			admitted := byte(0)
			if s.Models.Admits(Model(m)) {
				admitted = 1
			}
			key = append(key, admitted)
		}
		class, known := byKey[string(key)]
		if !known {
			class = uint8(len(byKey))
			byKey[string(key)] = class
		}
		w.classOf[m] = class
	}
	w.classes = len(byKey)
}

func different[T cmp.Ordered](values []T) []T {
	slices.Sort(values)
	return slices.Compact(values)
}

// reached is how many of the sorted values are at most amount.
func reached[T cmp.Ordered](values []T, amount T) int {
	return sort.Search(len(values), func(i int) bool { return values[i] > amount })
}

// rowFor is the row of a node that has so much CPU and memory left.
func (w *Workload) rowFor(cpu, memory int64, model Model) *row {
	class := int(w.classOf[model%MaxModels])
	cpus, memories := reached(w.cpus, cpu), 0
	if len(w.memories) > 0 {
		memories = reached(w.memories, memory)
	}
	i := (class*(len(w.cpus)+1)+cpus)*(len(w.memories)+1) + memories
	if w.rows[i] == nil {
		w.rows[i] = w.fill(cpu, memory, model)
	}
	return w.rows[i]
}

// fill adds up the shapes that a node like that can take.
func (w *Workload) fill(cpu, memory int64, model Model) *row {
	r := &row{single: make([]int64, len(w.steps)+1)}
	for _, s := range w.shapes {
		if s.Devices == 0 || s.CPU > cpu || s.Memory > memory && len(w.memories) > 0 || !s.Models.Admits(model) {
			continue
		}
		if s.Devices > 1 {
			r.many = append(r.many, many{s.Devices, s.Milli, s.Weight})
			continue
		}
		for step := w.stepOf[s.Milli]; int(step) < len(r.single); step++ {
			r.single[step] += s.Weight
		}
	}
	slices.SortFunc(r.many, func(a, b many) int {
		return cmp.Or(cmp.Compare(a.milli, b.milli), cmp.Compare(a.devices, b.devices))
	})
	last := 0
	for i := 1; i < len(r.many); i++ {
		if a, b := &r.many[last], r.many[i]; a.milli == b.milli && a.devices == b.devices {
			a.weight += b.weight
		} else {
			last++
			r.many[last] = b
		}
	}
	if len(r.many) > 0 {
		r.many = r.many[:last+1]
	}
	return r
}

// usable is the weighted milli-devices of n that shapes of the row can use.
func (w *Workload) usable(r *row, n *Node) int64 {
	sum := int64(0)
	for _, free := range n.Free[:n.Devices] {
		if free > 0 {
			sum += int64(free) * r.single[w.stepOf[free]]
		}
	}
	for _, m := range r.many {
		sum += m.usable(n)
	}
	return sum
}

func (m *many) usable(n *Node) int64 {
	count, sum := int8(0), int64(0)
	for _, free := range n.Free[:n.Devices] {
		if free >= m.milli {
			count++
			sum += int64(free)
		}
	}
	if count < m.devices {
		return 0
	}
	return sum * m.weight
}

// Weight is the sum of all weights: the unit in which Fragmentation counts a milli-device.
func (w *Workload) Weight() int64 { return w.total }

// Fragmentation is the expected milli-devices of n that are left and of no use, times Weight. To shapes that ask for no
// device all of them are of no use.
func (w *Workload) Fragmentation(n *Node) int64 {
	return w.total*n.Milli() - w.usable(w.rowFor(n.CPU, n.Memory, n.Model), n)
}
