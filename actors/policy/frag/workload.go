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
	MaxShapes = 4096
	// MaxWeight is the most that the weights of a workload may add up to, so that no sum of weighted milli-devices can
	// overflow.
	MaxWeight = 1 << 24
)

// Shape is a demand that is expected, and how often compared with the others.
type Shape struct {
	Demand
	Weight int64
}

// Workload is what is expected to come.
type Workload struct {
	shapes []Shape
	// weights are, by shape, its weight.
	weights []int64
	// total is the sum of all weights, all what they would be with the shapes that were left out.
	total, all int64
	// steps are the different milli-devices that shapes ask of a device, least first; stepOf says for an amount left on
	// a device how many of them it reaches.
	steps  []int16
	stepOf [Whole + 1]uint16
	// reach and short are scratch, by step: how many devices of a node reach it, and what is left on those that do not.
	reach []int8
	short []int64
}

// NewWorkload compiles a workload. All is the weight of all demand, of which the shapes may be only the most common; 0
// says that they are all of it.
func NewWorkload(shapes []Shape, all int64) (*Workload, error) {
	if len(shapes) > MaxShapes {
		return nil, fmt.Errorf("%d shapes, at most %d are possible", len(shapes), MaxShapes)
	}
	w := &Workload{shapes: slices.Clone(shapes)}
	for i := range shapes {
		if err := shapes[i].check(); err != nil {
			return nil, fmt.Errorf("shapes[%d]%w", i, err)
		}
		if w.total += shapes[i].Weight; w.total > MaxWeight {
			return nil, fmt.Errorf("shapes[%d].Weight: the sum of the weights passes %d", i, MaxWeight)
		}
		w.weights = append(w.weights, shapes[i].Weight)
		w.steps = append(w.steps, shapes[i].Milli)
	}
	w.all = max(all, w.total, 1)
	slices.Sort(w.steps)
	w.steps = slices.Compact(w.steps)
	for milli := range w.stepOf {
		w.stepOf[milli] = uint16(reached(w.steps, int16(milli)))
	}
	w.reach, w.short = make([]int8, len(w.steps)+1), make([]int64, len(w.steps)+2)
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
	case s.Devices == 0 && s.Milli != 0:
		return fmt.Errorf(".Milli is %d, without devices it must be 0", s.Milli)
	case s.Weight < 0 || s.Weight > MaxWeight:
		return fmt.Errorf(".Weight is %d, it must be 0 to %d", s.Weight, MaxWeight)
	}
	return nil
}

// reached is how many of the sorted values are at most amount.
func reached[T cmp.Ordered](values []T, amount T) int {
	return sort.Search(len(values), func(i int) bool { return values[i] > amount })
}

// survey fills reach and short for a node.
func (w *Workload) survey(n *Node) {
	clear(w.reach)
	clear(w.short)
	for _, free := range n.Free[:n.Devices] {
		at := w.stepOf[max(free, 0)]
		w.reach[at]++
		w.short[at+1] += int64(free)
	}
	for i := len(w.reach) - 2; i >= 0; i-- {
		w.reach[i] += w.reach[i+1]
	}
	for i := range w.short[1:] {
		w.short[i+1] += w.short[i]
	}
}

// Weight is the sum of all weights: the unit in which Fragmentation counts a milli-device.
func (w *Workload) Weight() int64 { return w.total }

// Fragmentation is the expected milli-devices of n that are left and of no use, times Weight. To shapes that cannot run
// there, and to those that ask for no device, all of them are; to the others what is left on devices that have too
// little. As published, memory is not looked at.
func (w *Workload) Fragmentation(n *Node) int64 { return w.unusable(n, w.weights) }

// unusable is the milli-devices of n that are left and of no use, summed over the shapes with these weights.
func (w *Workload) unusable(n *Node, weights []int64) int64 {
	w.survey(n)
	all, sum := n.Milli(), int64(0)
	for i := range w.shapes {
		shape := &w.shapes[i]
		step := w.stepOf[shape.Milli]
		if kindOf(n, shape, w.reach[step] >= shape.Devices) == usable {
			sum += weights[i] * w.short[step]
		} else {
			sum += weights[i] * all
		}
	}
	return sum
}

// The kinds of what is left of a node for a shape, in the order in which the study adds them up.
const (
	lacksBoth = iota
	lacksDevices
	lacksCPU
	noDevices
	noDevicesLacksCPU
	noAccess
	kinds
	// usable is a node that the shape can run on.
	usable = -1
)

// kindOf is the kind of a node for a shape, given whether enough devices have enough left.
func kindOf(n *Node, shape *Shape, enough bool) int {
	cpu := n.CPU >= shape.CPU
	switch {
	case shape.Devices == 0 && cpu:
		return noDevices
	case shape.Devices == 0:
		return noDevicesLacksCPU
	case !shape.Models.Admits(n.Model):
		return noAccess
	case enough && cpu:
		return usable
	case enough:
		return lacksCPU
	case cpu:
		return lacksDevices
	}
	return lacksBoth
}
