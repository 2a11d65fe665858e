package frag

import (
	"cmp"
	"slices"
)

// Memory of demands.
const (
	// HalfLife is the number of slots asked for after which what was asked before counts half.
	HalfLife = 1 << 16
	// MaxLearned is the most shapes that are remembered.
	MaxLearned = 1024
	// unit is what a slot weighs when it is asked for, so that rare shapes outlast some halvings.
	unit = 1 << 4
	// firstDue is the number of slots from which there is something to learn from: even one says more than none.
	firstDue = 1
)

// Demands learns a workload from what is asked for: the most common shapes, where what was asked long ago counts less.
// Time is counted in slots, so that equal demands in equal order teach the same. Beyond MaxLearned a new shape takes the
// place and the weight of the lightest, which cannot push out what is common (Metwally, Agrawal and El Abbadi, "Efficient
// Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005).
type Demands struct {
	shapes []Shape
	index  map[Demand]int
	all    int64 // weight of all that was added, halved like the shapes
	added  int64 // slots since the last halving
	due    int64 // slots until the shapes are worth compiling again
	step   int64
}

// NewDemands is a memory of nothing.
func NewDemands() *Demands { return &Demands{index: map[Demand]int{}, due: firstDue, step: firstDue} }

// Add notes that count slots were asked for. Demands that no Workload could hold are not noted.
func (h *Demands) Add(d Demand, count int64) {
	if s := (Shape{Demand: d}); s.check() != nil || count <= 0 {
		return
	}
	count = min(count, HalfLife)
	h.due -= count
	for count > 0 {
		part := min(count, HalfLife-h.added)
		h.note(d, part*unit)
		count -= part
		if h.added += part; h.added == HalfLife {
			h.halve()
		}
	}
}

func (h *Demands) note(d Demand, weight int64) {
	h.all += weight
	if i, known := h.index[d]; known {
		h.shapes[i].Weight += weight
		return
	}
	if len(h.shapes) < MaxLearned {
		h.index[d] = len(h.shapes)
		h.shapes = append(h.shapes, Shape{d, weight})
		return
	}
	lightest := 0
	for i := range h.shapes {
		if h.shapes[i].Weight < h.shapes[lightest].Weight {
			lightest = i
		}
	}
	delete(h.index, h.shapes[lightest].Demand)
	h.index[d] = lightest
	h.shapes[lightest] = Shape{d, h.shapes[lightest].Weight + weight}
}

// halve lets everything count half, and forgets what weighs nothing then.
func (h *Demands) halve() {
	h.added, h.all = 0, h.all/2
	clear(h.index)
	kept := h.shapes[:0]
	for _, s := range h.shapes {
		if s.Weight /= 2; s.Weight > 0 {
			h.index[s.Demand] = len(kept)
			kept = append(kept, s)
		}
	}
	h.shapes = kept
}

// Due reports whether so much was added that the workload is worth compiling again: at first as often as what was added
// doubles, then four times in a HalfLife. Compile begins anew.
func (h *Demands) Due() bool { return h.due <= 0 }

// Compile is the workload that was learnt; the heaviest shapes are first.
func (h *Demands) Compile() *Workload {
	h.due = h.step
	h.step = min(2*h.step, HalfLife/4)
	shapes := slices.Clone(h.shapes)
	slices.SortFunc(shapes, func(a, b Shape) int {
		return cmp.Or(-cmp.Compare(a.Weight, b.Weight), a.Demand.compare(b.Demand))
	})
	w, err := NewWorkload(shapes, h.all)
	if err != nil {
		panic("frag: what was checked does not compile: " + err.Error())
	}
	return w
}

// compare orders demands, in an order that means nothing.
func (d Demand) compare(o Demand) int {
	return cmp.Or(cmp.Compare(d.CPU, o.CPU), cmp.Compare(d.Memory, o.Memory), cmp.Compare(d.Devices, o.Devices),
		cmp.Compare(d.Milli, o.Milli), cmp.Compare(d.Models, o.Models))
}
