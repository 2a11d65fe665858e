package driver

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Extra is what a slot has beyond plain resources, in the words of the machine that it is on. It is frozen.
type Extra struct {
	// Ports by the names that the stage gives them.
	Ports map[string]int32
	// Devices, all of one kind and model.
	Devices []Device
	// Custom units by name.
	Custom map[string]int64
}

// Device is a part of one device, or all of it.
type Device struct {
	Kind, Model string
	// Index counts all devices of the node, Ordinal those of its kind, both from 0.
	Index, Ordinal int32
	// Milli is the share in thousandths.
	Milli int32
}

// ExtraOf looks up what a slot was given on a machine; nil if that is nothing.
func ExtraOf(info *v1.NodeInfo, x *v1.SlotExtra) *Extra {
	if x == nil {
		return nil
	}
	e := &Extra{Custom: x.GetCustom(), Ports: make(map[string]int32, len(x.GetPorts()))}
	for _, p := range x.GetPorts() {
		e.Ports[p.GetName()] = p.GetNumber()
	}
	for _, d := range x.GetDevices() {
		i := d.GetIndex()
		if i < 0 || int(i) >= len(info.GetDevices()) {
			continue // it was taken out since the slot came to life
		}
		is := info.GetDevices()[i]
		dev := Device{Kind: is.GetKind(), Model: is.GetModel(), Index: i, Milli: d.GetMilli()}
		for _, before := range info.GetDevices()[:i] {
			if before.GetKind() == dev.Kind {
				dev.Ordinal++
			}
		}
		e.Devices = append(e.Devices, dev)
	}
	return e
}

// Environment is what programs are told of it, by the names of variables:
//
//	TROUPE_PORT_<NAME>     number of a port
//	TROUPE_DEVICES         indexes of the devices on the node, such as "0,3"
//	TROUPE_DEVICE_SHARE    thousandths of each device
//	TROUPE_CUSTOM_<NAME>   units
//
// and of GPUs CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES, which count GPUs alone. <NAME> is in capitals, with an
// underscore for everything that is neither letter nor digit.
func (e *Extra) Environment() map[string]string {
	if e == nil {
		return nil
	}
	env := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(e.Ports)) {
		env["TROUPE_PORT_"+variable(name)] = strconv.Itoa(int(e.Ports[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Custom)) {
		env["TROUPE_CUSTOM_"+variable(name)] = strconv.FormatInt(e.Custom[name], 10)
	}
	if len(e.Devices) == 0 {
		return env
	}
	var indexes, ordinals []string
	for _, d := range e.Devices {
		indexes = append(indexes, strconv.Itoa(int(d.Index)))
		ordinals = append(ordinals, strconv.Itoa(int(d.Ordinal)))
	}
	env["TROUPE_DEVICES"] = strings.Join(indexes, ",")
	env["TROUPE_DEVICE_SHARE"] = strconv.Itoa(int(e.Devices[0].Milli))
	if e.Devices[0].Kind == gpu {
		env["CUDA_VISIBLE_DEVICES"] = strings.Join(ordinals, ",")
		env["NVIDIA_VISIBLE_DEVICES"] = strings.Join(ordinals, ",")
	}
	return env
}

// gpu is the kind of device that NVIDIA's runtime is told of.
const gpu = "gpu"

func variable(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}
