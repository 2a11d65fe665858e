package plain

import (
	"math"
	"slices"

	"github.com/troupe-sched/troupe/chaos/trace/openb"
)

// Machine is a node of an OpenB workload while it is played: what it has, and what is left of it.
type Machine struct {
	openb.Node
	// CPU is in milli-cores, Memory in MiB, Free in milli-devices, by device.
	CPU, Memory int64
	Free        []int
}

// NewMachine is a node that nothing runs on.
func NewMachine(n openb.Node) *Machine {
	return &Machine{Node: n, CPU: n.CPU, Memory: n.Memory, Free: slices.Repeat([]int{openb.Whole}, n.Devices)}
}

// Milli is what is left of all devices, in milli-devices.
func (m *Machine) Milli() (sum int64) {
	for _, free := range m.Free {
		sum += int64(free)
	}
	return sum
}

// Fits reports whether a pod can run on m: CPU, memory, the model, and enough devices with enough left.
func (m *Machine) Fits(p *openb.Pod) bool {
	if p.CPU > m.CPU || p.Memory > m.Memory {
		return false
	}
	return p.Devices == 0 || m.admits(p.Models) && m.enough(p.Devices, p.Milli)
}

func (m *Machine) admits(models []string) bool {
	return len(models) == 0 || m.Devices > 0 && slices.Contains(models, m.Model)
}

func (m *Machine) enough(devices, milli int) bool {
	for _, free := range m.Free {
		if free >= milli {
			devices--
		}
	}
	return devices <= 0
}

// with is a copy of m that runs the pod on these devices.
func (m *Machine) with(p *openb.Pod, devices []int) *Machine {
	after := *m
	after.CPU -= p.CPU
	after.Memory -= p.Memory
	after.Free = slices.Clone(m.Free)
	for _, i := range devices {
		after.Free[i] -= p.Milli
	}
	return &after
}

// tightest are the devices with the least left that have enough, of equals the first.
func (m *Machine) tightest(p *openb.Pod) []int {
	var able []int
	for i, free := range m.Free {
		if free >= p.Milli {
			able = append(able, i)
		}
	}
	slices.SortStableFunc(able, func(a, b int) int { return m.Free[a] - m.Free[b] })
	return able[:p.Devices]
}

// Score says how well a pod would sit on a machine that it fits on, and on which devices; higher is better.
type Score func(m *Machine, p *openb.Pod) (score int64, devices []int)

// FirstFit takes the first machine that fits.
func FirstFit(m *Machine, p *openb.Pod) (int64, []int) { return 0, m.tightest(p) }

// BestFit is the study's for these nodes: the least left of CPU and devices.
func BestFit(nodes []openb.Node) Score {
	cpu, milli := largest(nodes)
	return func(m *Machine, p *openb.Pod) (int64, []int) {
		left := float64(float64(m.CPU-p.CPU)/cpu*0.5) + float64(float64(m.Milli()-p.Total())/milli*0.5)
		return int64((1 - left) * 100), m.tightest(p)
	}
}

// largest are the most CPU and the most milli-devices of a node.
func largest(nodes []openb.Node) (cpu, milli float64) {
	for _, n := range nodes {
		cpu, milli = max(cpu, float64(n.CPU)), max(milli, float64(n.Devices*openb.Whole))
	}
	return max(cpu, 1), max(milli, 1)
}

// FGD is the study's for these pods: the least rise of the devices' expected unusable part.
func FGD(pods []openb.Pod) Score {
	shapes := openb.Typical(pods, openb.TypicalPercent)
	all, typical := float64(len(pods)), 0.0
	for _, s := range shapes {
		typical += float64(s.Count)
	}
	unusable := func(m *Machine) float64 {
		var sums [7]float64 // as the study adds them up
		for _, s := range shapes {
			share := float64(s.Count) / all / (typical / all)
			milli := m.Milli()
			kind := unusableKind(m, &s)
			if kind == 1 && m.enough(s.Devices, s.Milli) {
				milli = m.short(s.Milli)
			}
			sums[kind] += float64(share * float64(milli))
		}
		sum := 0.0
		for _, part := range sums {
			sum += part
		}
		return sum
	}
	return func(m *Machine, p *openb.Pod) (int64, []int) {
		choices := [][]int{m.tightest(p)}
		if p.Devices == 1 && p.Milli < openb.Whole {
			choices = nil
			for i, free := range m.Free {
				if free >= p.Milli {
					choices = append(choices, []int{i})
				}
			}
		}
		best, chosen := int64(-1), []int(nil)
		for _, devices := range choices {
			fall := (unusable(m) - unusable(m.with(p, devices))) / openb.Whole
			if score := int64(1 / (1 + math.Exp(-fall)) * 100); score > best {
				best, chosen = score, devices
			}
		}
		return best, chosen
	}
}

// unusableKind is in which of the study's sums what is left of m counts for a shape.
func unusableKind(m *Machine, s *openb.Shape) int {
	cpu, devices := s.CPU <= m.CPU, m.enough(s.Devices, s.Milli)
	switch {
	case s.Devices == 0 && cpu:
		return 4
	case s.Devices == 0:
		return 5
	case !m.admits(s.Models):
		return 6
	case devices && !cpu:
		return 3
	case cpu:
		return 1 // also where the shape can run, of what it cannot use
	}
	return 0
}

// short is what is left on devices that have less than milli.
func (m *Machine) short(milli int) (sum int64) {
	for _, free := range m.Free {
		if free < milli {
			sum += int64(free)
		}
	}
	return sum
}

// Packed is how an OpenB workload was placed.
type Packed struct {
	// Nodes are, by arrival, the indexes of the nodes that took the pods, -1 for those that none took.
	Nodes []int32
	// Arrived and Allocated are, by arrival, how many milli-devices had been asked for and given.
	Arrived, Allocated []int64
	// Capacity is the milli-devices of all nodes.
	Capacity int64
}

// Pack tries each pod of a sequence once, in its order: it goes to the machine with the best score, of equals to the one
// with the lowest rank, and stays. Nodes and pods are sorted as the sequence counts them.
func Pack(nodes []openb.Node, pods []openb.Pod, sequence openb.Sequence, score Score) *Packed {
	machines, at := make([]*Machine, len(nodes)), make([]int32, len(nodes)) // by rank
	played := &Packed{}
	for i, n := range nodes {
		machines[sequence.Ranks[i]], at[sequence.Ranks[i]] = NewMachine(n), int32(i)
		played.Capacity += int64(n.Devices) * openb.Whole
	}
	arrived, allocated := int64(0), int64(0)
	for _, i := range sequence.Arrivals {
		p := &pods[i]
		best, to, on := int64(0), -1, []int(nil)
		for rank, m := range machines {
			if !m.Fits(p) {
				continue
			}
			if s, devices := score(m, p); to < 0 || s > best {
				best, to, on = s, rank, devices
			}
		}
		node := int32(-1)
		arrived += p.Total()
		if to >= 0 {
			node = at[to]
			machines[to] = machines[to].with(p, on)
			allocated += p.Total()
		}
		played.Nodes = append(played.Nodes, node)
		played.Arrived = append(played.Arrived, arrived)
		played.Allocated = append(played.Allocated, allocated)
	}
	return played
}

// Curve is the study's: by hundredths of the capacity that had been asked for, rounded, from 0 to percent, the mean of the
// hundredths that were given, each rounded to two digits; NaN where no arrival falls.
func (p *Packed) Curve(percent int) []float64 {
	sums, counts := make([]float64, percent+1), make([]float64, percent+1)
	for i := range p.Arrived {
		d := int(math.RoundToEven(float64(p.Arrived[i]) / float64(p.Capacity) * 100))
		if d <= percent {
			sums[d] += math.RoundToEven(float64(p.Allocated[i])/float64(p.Capacity)*1e4) / 100
			counts[d]++
		}
	}
	for d := range sums {
		sums[d] /= counts[d]
	}
	return sums
}
