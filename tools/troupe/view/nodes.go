package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Nodes writes a list of nodes.
func Nodes(p *Page, nodes []*v1.NodeStatus) {
	if len(nodes) == 0 {
		p.Line("no nodes")
		return
	}
	t := NewTable("NODE", "STATE", "POOL", ">SLOTS", ">RUNNING", ">CPU HELD", ">OF", ">MEMORY HELD", ">OF", ">CPU USED", "DEVICES AND UNITS",
		">SEEN", "~TAINTS", "~DRAINED FOR")
	for _, n := range nodes {
		i, used := n.GetInfo(), ""
		if n.GetCpuMilliUsed() > 0 {
			used = CPU(n.GetCpuMilliUsed())
		}
		t.Row(i.GetId(), nodeState(n), i.GetAttributes()[model.PoolAttribute], Count(n.GetSlots()), Count(n.GetRunning()), CPU(n.GetCpuMilliHeld()),
			CPU(i.GetCpuMilli()), Bytes(n.GetMemoryBytesHeld()), Bytes(i.GetMemoryBytes()), used, strings.Join(append(devices(n), units(n)...), ", "),
			p.age(n.GetSeenUnixMs()), model.FormatTaints(n.GetTaints()), n.GetDrainReason())
	}
	t.Write(p)
}

func nodeState(n *v1.NodeStatus) string {
	state := n.GetLiveness()
	switch {
	case !n.GetDrained():
		return state
	case n.GetMaintenance():
		state += ", maintenance"
	default:
		state += ", drained"
	}
	if n.GetEvict() && n.GetSlots() > 0 {
		state += ", moving work away"
	}
	return state
}

// devices are what is held of what there is, by kind: "gpu 1.5 of 4".
func devices(n *v1.NodeStatus) []string {
	counts := map[string]int64{}
	for _, d := range n.GetInfo().GetDevices() {
		counts[d.GetKind()]++
	}
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		// Shares of devices are thousandths, as those of cores.
		list = append(list, fmt.Sprintf("%s %s of %d", kind, CPU(n.GetCustomHeld()[kind]), counts[kind]))
	}
	return list
}

// units are what is held of what there is of the cell's own kinds: "license 1 of 3".
func units(n *v1.NodeStatus) []string {
	all := n.GetInfo().GetCustom()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, fmt.Sprintf("%s %s of %s", name, Count(n.GetCustomHeld()[name]), Count(all[name])))
	}
	return list
}

// models lists the devices by model, in the order of their numbers: "2 gpu V100, 1 fpga".
func models(i *v1.NodeInfo) string {
	var list []string
	counts := map[string]int{}
	for _, d := range i.GetDevices() {
		name := strings.TrimSpace(d.GetKind() + " " + d.GetModel())
		if counts[name]++; counts[name] == 1 {
			list = append(list, name)
		}
	}
	for i, name := range list {
		list[i] = strconv.Itoa(counts[name]) + " " + name
	}
	return strings.Join(list, ", ")
}

func ports(n *v1.NodeStatus) string {
	i := n.GetInfo()
	text := ""
	if i.GetPortTo() > 0 {
		text = fmt.Sprintf("%d to %d", i.GetPortFrom(), i.GetPortTo())
	}
	if held := n.GetCustomHeld()[model.PortUnit]; held > 0 {
		text = strings.TrimPrefix(text+", "+Count(held)+" held", ", ")
	}
	return text
}

// Node writes all about one node.
func Node(p *Page, n *v1.NodeStatus) {
	i := n.GetInfo()
	of := func(held, all int64, write func(int64) string) string {
		if all == 0 && held == 0 {
			return ""
		}
		return share(write(held), write(all), held, all)
	}
	bits := func(bps int64) string { return Count(bps) + " bit/s" }
	used := ""
	if n.GetCpuMilliUsed() > 0 || n.GetMemoryBytesUsed() > 0 {
		used = fmt.Sprintf("%s cores, %s memory, %s disk", CPU(n.GetCpuMilliUsed()), Bytes(n.GetMemoryBytesUsed()), Bytes(n.GetDiskBytesUsed()))
	}
	p.Facts(
		[2]string{"node", i.GetId()},
		[2]string{"state", nodeState(n)},
		[2]string{"problem", n.GetProblem()},
		[2]string{"drained for", n.GetDrainReason()},
		[2]string{"taints", model.FormatTaints(n.GetTaints())},
		[2]string{"pool", i.GetAttributes()[model.PoolAttribute]},
		[2]string{"seen", p.moment(n.GetSeenUnixMs())},
		[2]string{"slots", fmt.Sprintf("%s, %s running", Count(n.GetSlots()), Count(n.GetRunning()))},
		[2]string{"cpu", of(n.GetCpuMilliHeld(), i.GetCpuMilli(), CPU)},
		[2]string{"memory", of(n.GetMemoryBytesHeld(), i.GetMemoryBytes(), Bytes[int64])},
		[2]string{"disk", of(n.GetDiskBytesHeld(), i.GetDiskBytes(), Bytes[int64])},
		[2]string{"net", of(n.GetNetBpsHeld(), i.GetNetBps(), bits)},
		[2]string{"devices", strings.Join(devices(n), ", ")},
		[2]string{"models", models(i)},
		[2]string{"units", strings.Join(units(n), ", ")},
		[2]string{"ports", ports(n)},
		[2]string{"in use", used},
		[2]string{"drivers", strings.Join(i.GetDrivers(), " ")},
		[2]string{"packages", strings.Join(i.GetPackages(), " ")},
		[2]string{"attributes", labels(i.GetAttributes())},
	)
}
