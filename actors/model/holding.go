package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Holding is the book of what the slots of one machine hold beyond plain resources: ports, devices, custom units. The
// master keeps one of each node and the agent its own, so that both admit by the same rules. One goroutine owns it.
type Holding struct {
	info   *v1.NodeInfo
	custom map[string]int64
	// milli are the thousandths held of each device, by its place in info.
	milli map[int32]int32
	ports map[int32]int
	bytes int
}

// HoldingBytes bounds what is held on one machine, encoded: an agent must be able to tell all of it in one message.
const HoldingBytes = 96 << 10

// NewHolding is the book of a machine of which nothing is held. info is frozen; nil is a machine without anything.
func NewHolding(info *v1.NodeInfo) *Holding {
	return &Holding{info: info, custom: map[string]int64{}, milli: map[int32]int32{}, ports: map[int32]int{}}
}

// Choose says what a slot that needs that gets on these devices: what need asks for, with the lowest free numbers for
// its dynamic ports. If it does not fit the answer is nil and why. It takes nothing.
func (h *Holding) Choose(need *Extra, devices []DeviceShare) (given *v1.SlotExtra, why string) {
	if need == nil {
		return nil, ""
	}
	if why := h.unlike(need.Devices, devices); why != "" {
		return nil, why
	}
	x := &v1.SlotExtra{}
	for _, d := range devices {
		x.Devices = append(x.Devices, &v1.DeviceShare{Index: d.Index, Milli: d.Milli})
	}
	for _, c := range need.Custom {
		if x.Custom == nil {
			x.Custom = make(map[string]int64, len(need.Custom))
		}
		x.Custom[c.Name] = c.N
	}
	if x.Ports, why = h.choosePorts(need.Ports); why != "" {
		return nil, why
	}
	if why := h.Lacks(x); why != "" {
		return nil, why
	}
	return x, ""
}

// choosePorts gives numbers to the dynamic ones, past those that are held or named by the others.
func (h *Holding) choosePorts(need []PortNeed) (ports []*v1.Port, why string) {
	next := h.info.GetPortFrom()
	for _, p := range need {
		number := p.Number
		if number == 0 {
			for next != 0 && next <= h.info.GetPortTo() && (h.ports[next] > 0 || slices.ContainsFunc(need, func(o PortNeed) bool { return o.Number == next })) {
				next++
			}
			if next == 0 || next > h.info.GetPortTo() {
				return nil, fmt.Sprintf("no port is free for %q: the range %d to %d is taken", p.Name, h.info.GetPortFrom(), h.info.GetPortTo())
			}
			number = next
			next++
		}
		ports = append(ports, &v1.Port{Name: p.Name, Number: number})
	}
	return ports, ""
}

// unlike says in what devices differ from what is needed.
func (h *Holding) unlike(need DeviceNeed, devices []DeviceShare) string {
	if int(need.Count) != len(devices) {
		return fmt.Sprintf("%d devices for a slot that needs %d", len(devices), need.Count)
	}
	for i, d := range devices {
		dev := h.device(d.Index)
		first := h.device(devices[0].Index)
		switch {
		case dev == nil:
			return fmt.Sprintf("there is no device %d: the node has %d", d.Index, len(h.info.GetDevices()))
		case dev.GetKind() != need.Kind:
			return fmt.Sprintf("device %d is a %s, not a %s", d.Index, dev.GetKind(), need.Kind)
		case len(need.Models) > 0 && !slices.Contains(need.Models, dev.GetModel()):
			return fmt.Sprintf("device %d is of model %q; needed is: %s", d.Index, dev.GetModel(), strings.Join(need.Models, ", "))
		case dev.GetModel() != first.GetModel():
			return fmt.Sprintf("devices %d and %d are of two models", devices[0].Index, d.Index)
		case d.Milli != need.Milli:
			return fmt.Sprintf("%d thousandths of device %d for a slot that needs %d", d.Milli, d.Index, need.Milli)
		case slices.ContainsFunc(devices[:i], func(o DeviceShare) bool { return o.Index == d.Index }):
			return fmt.Sprintf("device %d is named twice", d.Index)
		}
	}
	return ""
}

func (h *Holding) device(i int32) *v1.Device {
	if i < 0 || int(i) >= len(h.info.GetDevices()) {
		return nil
	}
	return h.info.GetDevices()[i]
}

// Lacks says why a slot with x does not fit beside what is held; empty if it does.
func (h *Holding) Lacks(x *v1.SlotExtra) string {
	if x == nil {
		return ""
	}
	if n := h.bytes + proto.Size(x); n > HoldingBytes {
		return fmt.Sprintf("ports, devices and custom units of all slots take %d bytes to name, limit %d", n, HoldingBytes)
	}
	for _, name := range slices.Sorted(maps.Keys(x.GetCustom())) {
		has := h.info.GetCustom()[name]
		if need := x.GetCustom()[name]; need < 0 || need > has-h.custom[name] {
			return fmt.Sprintf("short of %s: need %d, free %d of %d", name, need, max(has-h.custom[name], 0), has)
		}
	}
	for i, p := range x.GetPorts() {
		n := p.GetNumber()
		switch {
		case n < 1 || n > MaxPort:
			return fmt.Sprintf("port %q has number %d, must be 1 to %d", p.GetName(), n, MaxPort)
		case h.ports[n] > 0, slices.ContainsFunc(x.GetPorts()[:i], func(o *v1.Port) bool { return o.GetNumber() == n }):
			return fmt.Sprintf("port %d is taken", n)
		}
	}
	for i, d := range x.GetDevices() {
		switch free := WholeDevice - h.milli[d.GetIndex()]; {
		case h.device(d.GetIndex()) == nil:
			return fmt.Sprintf("there is no device %d: the node has %d", d.GetIndex(), len(h.info.GetDevices()))
		case d.GetMilli() < 1 || d.GetMilli() > free:
			return fmt.Sprintf("short of device %d: need %d thousandths, free %d", d.GetIndex(), d.GetMilli(), max(free, 0))
		case slices.ContainsFunc(x.GetDevices()[:i], func(o *v1.DeviceShare) bool { return o.GetIndex() == d.GetIndex() }):
			return fmt.Sprintf("device %d is named twice", d.GetIndex())
		}
	}
	return ""
}

// Take books a slot with x, also beyond what there is: what runs on a machine that has become smaller is held.
func (h *Holding) Take(x *v1.SlotExtra) { h.book(x, 1) }

// Give takes a slot with x off the book.
func (h *Holding) Give(x *v1.SlotExtra) { h.book(x, -1) }

func (h *Holding) book(x *v1.SlotExtra, sign int) {
	if x == nil {
		return
	}
	h.bytes += sign * proto.Size(x)
	for name, n := range x.GetCustom() { //order: sums
		bump(h.custom, name, int64(sign)*n)
	}
	for _, p := range x.GetPorts() {
		bump(h.ports, p.GetNumber(), sign)
	}
	for _, d := range x.GetDevices() {
		bump(h.milli, d.GetIndex(), int32(sign)*d.GetMilli())
	}
}

func bump[K comparable, V int | int32 | int64](m map[K]V, k K, by V) {
	if m[k] += by; m[k] == 0 {
		delete(m, k)
	}
}

// Held is what all slots hold: custom units by name, devices that are still there in thousandths by their kind, and
// PortUnit; nil if nothing.
func (h *Holding) Held() map[string]int64 {
	if h == nil || len(h.custom)+len(h.milli)+len(h.ports) == 0 {
		return nil
	}
	held := maps.Clone(h.custom)
	for i, n := range h.milli { //order: sums
		if d := h.device(i); d != nil { // else it was taken out under its slot
			held[d.GetKind()] += int64(n)
		}
	}
	if n := len(h.ports); n > 0 {
		held[PortUnit] = int64(n)
	}
	return held
}

// NeedOf is what a slot with x has asked for, as far as that can be told: ports in the machine's range count as dynamic.
// nil for nil.
func (h *Holding) NeedOf(x *v1.SlotExtra) *Extra {
	if x == nil {
		return nil
	}
	need := &Extra{}
	for _, name := range slices.Sorted(maps.Keys(x.GetCustom())) {
		need.Custom = append(need.Custom, Amount{name, x.GetCustom()[name]})
	}
	for _, p := range x.GetPorts() {
		number := p.GetNumber()
		if number >= h.info.GetPortFrom() && number <= h.info.GetPortTo() {
			number = 0
		}
		need.Ports = append(need.Ports, PortNeed{Name: p.GetName(), Number: number})
	}
	if ds := x.GetDevices(); len(ds) > 0 {
		need.Devices = DeviceNeed{Kind: h.device(ds[0].GetIndex()).GetKind(), Count: int32(len(ds)), Milli: ds[0].GetMilli()}
	}
	return need
}

// SharesOf are the devices in x.
func SharesOf(x *v1.SlotExtra) []DeviceShare {
	var shares []DeviceShare
	for _, d := range x.GetDevices() {
		shares = append(shares, DeviceShare{Index: d.GetIndex(), Milli: d.GetMilli()})
	}
	return shares
}

const (
	// MaxPort is the greatest number of a port.
	MaxPort = 65_535
	// PortUnit is the name under which ports are counted.
	PortUnit = "port"
)
