package trace

import (
	"cmp"
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Packing says how the machines are used at one moment. Shares are in parts of the whole cell's capacity.
type Packing struct {
	AtS float64 `json:"at_s"`
	// Used are nodes that hold anything, Shared those that hold both services and batch work.
	Used   int `json:"used_nodes"`
	Shared int `json:"shared_nodes"`
	// PerNode is how many instances a used node holds.
	PerNode Spread `json:"instances_per_node"`
	// Saved are the nodes that services and batch work would need more if each had nodes of their own. Both ways they are
	// packed by first fit, the largest first, so that nothing but the sharing differs.
	Saved int `json:"nodes_saved"`
	// Held and Stranded are by the name of the resource. Stranded is free where a slot of the workload's mean size does
	// not fit because of another resource.
	Held     map[string]float64 `json:"held"`
	Stranded map[string]float64 `json:"stranded"`
	// Fragmented is the share of the devices that is free and of no use to the workload's jobs, on the average of their
	// shapes (Weng et al., ATC 2023).
	Fragmented float64 `json:"fragmented_devices"`
}

// amount is what a slot takes or a node has: resources, and devices in milli.
type amount [model.NumResources + 1]int64

const devices = int(model.NumResources)

// names of the dimensions of an amount, as reports say them.
var amountNames = [...]string{"cpu", "memory", "disk", "net", "devices"}

func (a amount) add(o amount) amount {
	for i := range a {
		a[i] += o[i]
	}
	return a
}

func (a amount) sub(o amount) amount {
	for i := range a {
		a[i] -= o[i]
	}
	return a
}

// short counts the dimensions in which need does not fit into a; dim is the last of them.
func (a amount) short(need amount) (n, dim int) {
	for i := range a {
		if need[i] > 0 && need[i] > a[i] {
			n, dim = n+1, i
		}
	}
	return n, dim
}

// times says how often need fits into a; 1 if it takes nothing.
func (a amount) times(need amount) int64 {
	n := int64(-1)
	for i := range a {
		if need[i] > 0 && (n < 0 || a[i]/need[i] < n) {
			n = a[i] / need[i]
		}
	}
	return max(n, 0)
}

func capacityOf(info *v1.NodeInfo) amount {
	var a amount
	r := model.CapacityOf(info)
	copy(a[:], r[:])
	a[devices] = int64(len(info.GetDevices())) * model.WholeDevice
	return a
}

func sizeOf(p *model.StagePlan) amount {
	var a amount
	copy(a[:], p.Resources[:])
	if p.Extra != nil {
		a[devices] = int64(p.Extra.Devices.Count) * int64(p.Extra.Devices.Milli)
	}
	return a
}

// shape is one kind of slot.
type shape struct {
	size    amount
	service bool
	// count devices of milli each, of one of these models; any if there are none.
	count, milli int64
	models       []string
	// wanted is how many slots of it the workload has.
	wanted int64
}

// placed is slots of one shape on one node.
type placed struct{ node, shape int32 }

// machine is one node as packing sees it.
type machine struct {
	info *v1.NodeInfo
	size amount
	free amount
	// left of each device, in milli.
	left []int32
}

// packing measures a moment: machines with what they have left, and what they hold.
func packing(machines []machine, shapes []shape, held []placed, mean amount) Packing {
	p := Packing{Held: map[string]float64{}, Stranded: map[string]float64{}}
	type mix struct{ services, batch int }
	on := make([]mix, len(machines))
	counts := make([]int64, len(shapes))
	for _, h := range held {
		counts[h.shape]++
		if shapes[h.shape].service {
			on[h.node].services++
		} else {
			on[h.node].batch++
		}
	}
	var per []float64
	for _, m := range on {
		if n := m.services + m.batch; n > 0 {
			per = append(per, float64(n))
		}
		if m.services > 0 && m.batch > 0 {
			p.Shared++
		}
	}
	p.Used, p.PerNode = len(per), spreadOf(per)
	var total, free, stranded amount
	for _, m := range machines {
		total, free = total.add(m.size), free.add(m.free)
		n, dim := m.free.short(mean)
		for i := range m.free {
			if n > 1 || n == 1 && dim != i {
				stranded[i] += m.free[i]
			}
		}
	}
	for i, name := range amountNames {
		if total[i] > 0 && (mean[i] > 0 || free[i] < total[i]) {
			p.Held[name] = float64(total[i]-free[i]) / float64(total[i])
			p.Stranded[name] = float64(stranded[i]) / float64(total[i])
		}
	}
	p.Saved = needed(machines, shapes, counts, false) - needed(machines, shapes, counts, true)
	p.Fragmented = fragmented(machines, shapes, total[devices])
	return p
}

// fragmented is the expectation, over the shapes that want devices, of what is left of devices and of no use to them: on
// machines that cannot take one all of it, on others the devices that have too little left.
func fragmented(machines []machine, shapes []shape, capacity int64) float64 {
	useless, wanted := 0.0, 0.0
	for _, s := range shapes {
		if s.count == 0 {
			continue
		}
		lost := int64(0)
		for i := range machines {
			lost += machines[i].useless(&s)
		}
		useless += float64(lost) * float64(s.wanted)
		wanted += float64(s.wanted)
	}
	if wanted == 0 || capacity == 0 {
		return 0
	}
	return useless / wanted / float64(capacity)
}

// useless is what is left of the machine's devices and of no use to a shape, in milli.
func (m *machine) useless(s *shape) int64 {
	all, enough, count := int64(0), int64(0), int64(0)
	for _, left := range m.left {
		all += int64(left)
		if int64(left) >= s.milli {
			enough += int64(left)
			count++
		}
	}
	fits := count >= s.count && (len(s.models) == 0 || slices.Contains(s.models, m.info.GetDevices()[0].GetModel()))
	if n, _ := m.free.short(s.size); !fits || n > 0 {
		return all
	}
	return all - enough
}

// needed is how many machines the slots need, if services and batch work share machines or not: the largest shape fills
// the largest machines first. Slots that find no room need no machine.
func needed(machines []machine, shapes []shape, counts []int64, shared bool) int {
	var total amount
	order := make([]int, len(machines))
	for i := range machines {
		order[i], total = i, total.add(machines[i].size)
	}
	weight := func(a amount) float64 {
		most := 0.0
		for i := range a {
			if total[i] > 0 {
				most = max(most, float64(a[i])/float64(total[i]))
			}
		}
		return most
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weight(machines[b].size), weight(machines[a].size)) })
	byShape := make([]int, len(shapes))
	for i := range byShape {
		byShape[i] = i
	}
	slices.SortStableFunc(byShape, func(a, b int) int { return cmp.Compare(weight(shapes[b].size), weight(shapes[a].size)) })
	const nobody, services, batch = 0, 1, 2
	owner := make([]int, len(machines))
	free := make([]amount, len(machines))
	for i := range machines {
		free[i] = machines[i].size
	}
	used := 0
	for _, s := range byShape {
		me, need, n := batch, shapes[s].size, counts[s]
		if shapes[s].service && !shared {
			me = services
		}
		for _, i := range order {
			if n == 0 {
				break
			}
			if owner[i] != nobody && owner[i] != me {
				continue
			}
			fits := min(free[i].times(need), n)
			if fits == 0 {
				continue
			}
			if owner[i] == nobody {
				owner[i] = me
				used++
			}
			n -= fits
			for d := range need {
				free[i][d] -= need[d] * fits
			}
		}
	}
	return used
}
