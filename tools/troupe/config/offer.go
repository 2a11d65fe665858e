package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Offer is what an agent offers beside plain resources.
type Offer struct {
	Pool    string
	Taints  []*v1.Taint
	Devices []*v1.Device
	Custom  map[string]int64
	// PortFrom and PortTo are both inclusive; 0 and 0 for none.
	PortFrom, PortTo int32
	// Packages, sorted, each once.
	Packages []string
}

// Offer is what the configuration, which was checked, offers.
func (n Node) Offer() Offer { return n.offer(func(string, error) {}) }

// offer reads what is offered and tells what is wrong with which key. The last word has the check that the master makes.
func (n Node) offer(wrong func(key string, err error)) Offer {
	o := Offer{Pool: n.Pool, Packages: slices.Compact(slices.Sorted(slices.Values(n.Packages)))}
	clear := true
	note := func(key string, err error) {
		if err != nil {
			clear = false
			wrong(key, err)
		}
	}
	if n.Pool != "" {
		note("node.pool", checkName(n.Pool))
	}
	for _, text := range n.Taints {
		t, err := model.ParseTaint(text)
		note("node.taints", err)
		o.Taints = append(o.Taints, t)
	}
	for _, text := range n.Devices {
		device, count, err := parseDevices(text)
		note("node.devices", err)
		o.Devices = append(o.Devices, slices.Repeat([]*v1.Device{device}, count)...)
	}
	for _, name := range slices.Sorted(maps.Keys(n.Custom)) {
		units, err := parseNumber(n.Custom[name])
		note("node.custom", err)
		if o.Custom == nil {
			o.Custom = make(map[string]int64, len(n.Custom))
		}
		o.Custom[name] = units
	}
	var err error
	o.PortFrom, o.PortTo, err = parsePorts(n.Ports)
	note("node.ports", err)
	if !clear {
		return o
	}
	for _, e := range model.CheckNodeInfo(&v1.NodeInfo{Id: "n", CpuMilli: 1, MemoryBytes: 1, Attributes: n.Attributes,
		Taints: o.Taints, Devices: o.Devices, Custom: o.Custom, PortFrom: o.PortFrom, PortTo: o.PortTo, Packages: o.Packages}) {
		field, _, _ := strings.Cut(strings.ReplaceAll(e.GetField(), "[", "."), ".")
		key := "node." + field
		if strings.HasPrefix(field, "port_") {
			key = "node.ports"
		}
		wrong(key, mistake(e.GetHint(), "%s: %s", e.GetField(), e.GetProblem()))
	}
	return o
}

// parseDevices reads kind:model=count; model and count may be left out.
func parseDevices(text string) (*v1.Device, int, error) {
	name, number, counted := strings.Cut(text, "=")
	kind, modelName, _ := strings.Cut(name, ":")
	count := 1
	if counted {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > model.MaxDevices {
			return nil, 0, mistake("write kind:model=count with a count from 1 to "+strconv.Itoa(model.MaxDevices)+", such as gpu:V100=4",
				"%s is not a number of devices", model.Quote(text))
		}
		count = n
	}
	return &v1.Device{Kind: kind, Model: modelName}, count, nil
}

// parsePorts reads from-to; nothing means none.
func parsePorts(text string) (from, to int32, err error) {
	if text == "" {
		return 0, 0, nil
	}
	first, last, ranged := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if !ranged || errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, mistake("write from-to, both from 1 to 65535, such as 20000-29999", "%s is not a range of ports", model.Quote(text))
	}
	return int32(a), int32(b), nil
}
