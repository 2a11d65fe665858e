// Package frag scores nodes with devices by how much of what they have left is of use to the work that is expected.
//
// A workload is a weighted list of shapes. What a node has left of its devices is of no use to a shape that cannot run
// there, and to a shape that can, the devices that have less left than it asks of one. The expectation of that over the
// workload is the node's fragmentation; the score of a demand is how little it adds. This is Fragmentation Gradient
// Descent (Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent",
// USENIX ATC 2023), beside the rules that paper compares it with, and a rule of our own.
//
// Everything is integers on plain values: no clock, no chance. A Workload and a Scorer may fill tables as they are asked,
// so each belongs to one goroutine; the answers do not depend on what was asked before.
package frag

import "math/bits"

// Limits and units.
const (
	// MaxDevices is the most devices of a node that count.
	MaxDevices = 16
	// Whole is one device, in milli-devices.
	Whole = 1000
	// MaxModels is the most device models that can be told apart.
	MaxModels = 64
)

// A Model is a device model, numbered from 0 by Models.
type Model uint8

// ModelSet is a set of models. The empty set means any model.
type ModelSet uint64

// With is s and one more model.
func (s ModelSet) With(m Model) ModelSet { return s | 1<<(m%MaxModels) }

// Admits reports whether a device of model m will do.
func (s ModelSet) Admits(m Model) bool { return s == 0 || s&(1<<(m%MaxModels)) != 0 }

// DeviceSet is a set of a node's devices, by bit.
type DeviceSet uint16

// Len is the number of devices in the set.
func (s DeviceSet) Len() int { return bits.OnesCount16(uint16(s)) }

// Node is what a node has left.
type Node struct {
	// CPU is in milli-cores, Memory in the unit of the demands.
	CPU, Memory int64
	// Free is what is left of each device, in milli-devices; the first Devices of them are there.
	Free    [MaxDevices]int16
	Devices int8
	// Model is the one model of the node's devices. Without devices it means nothing.
	Model Model
}

// Milli is what is left of all devices, in milli-devices.
func (n *Node) Milli() int64 {
	sum := int64(0)
	for _, free := range n.Free[:n.Devices] {
		sum += int64(free)
	}
	return sum
}

// Demand is what one slot asks for.
type Demand struct {
	// CPU is in milli-cores, Memory in the unit of the nodes.
	CPU, Memory int64
	// Milli is asked of each of Devices different devices.
	Devices int8
	Milli   int16
	// Models are those that will do.
	Models ModelSet
}

// Total is what is asked of all devices, in milli-devices.
func (d *Demand) Total() int64 { return int64(d.Devices) * int64(d.Milli) }

// Fits reports whether n can take d.
func (d *Demand) Fits(n *Node) bool {
	if d.CPU > n.CPU || d.Memory > n.Memory {
		return false
	}
	return d.Devices == 0 || d.Models.Admits(n.Model) && n.withAtLeast(d.Milli) >= int(d.Devices)
}

// withAtLeast counts devices that have so much left.
func (n *Node) withAtLeast(milli int16) int {
	count := 0
	for _, free := range n.Free[:n.Devices] {
		if free >= milli {
			count++
		}
	}
	return count
}

// Take subtracts d from n, on these devices.
func (n *Node) Take(d *Demand, devices DeviceSet) {
	n.CPU -= d.CPU
	n.Memory -= d.Memory
	for s := devices; s != 0; s &= s - 1 {
		n.Free[bits.TrailingZeros16(uint16(s))] -= d.Milli
	}
}

// Give is the opposite of Take.
func (n *Node) Give(d *Demand, devices DeviceSet) {
	n.CPU += d.CPU
	n.Memory += d.Memory
	for s := devices; s != 0; s &= s - 1 {
		n.Free[bits.TrailingZeros16(uint16(s))] += d.Milli
	}
}

// Tightest chooses the devices for d that have the least left, of equals the first; the empty set if d asks for none or
// does not fit.
func (n *Node) Tightest(d *Demand) DeviceSet {
	chosen := DeviceSet(0)
	for range d.Devices {
		best := -1
		for i, free := range n.Free[:n.Devices] {
			if free >= d.Milli && chosen&(1<<i) == 0 && (best < 0 || free < n.Free[best]) {
				best = i
			}
		}
		if best < 0 {
			return 0
		}
		chosen |= 1 << best
	}
	return chosen
}

// Models numbers device models by name.
type Models struct {
	names []string
}

// Number is the model of a name, numbering it when it is new. It reports false when MaxModels are known already.
func (m *Models) Number(name string) (Model, bool) {
	for i, known := range m.names {
		if known == name {
			return Model(i), true
		}
	}
	if len(m.names) == MaxModels {
		return 0, false
	}
	m.names = append(m.names, name)
	return Model(len(m.names) - 1), true
}

// Name is the name of a model, empty if it was never numbered.
func (m *Models) Name(model Model) string {
	if int(model) >= len(m.names) {
		return ""
	}
	return m.names[model]
}
