package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Limits of what a slot or a node has beyond plain resources.
const (
	MaxCustom  = 32 // kinds
	MaxPorts   = 32 // of one slot
	MaxDevices = 64 // of one node, and so of one slot
	MaxModels  = 16 // that will do for one slot
	// DefaultDevice is the kind of device if none is named.
	DefaultDevice = "gpu"
)

// extra compiles what one slot needs beyond plain resources; nil for nothing.
func (c *checker) extra(at string, s *v1.StageSpec) *Extra {
	if len(s.Resources.Custom) == 0 && len(s.Ports) == 0 && s.Devices == nil {
		return nil
	}
	extra := Extra{
		Custom:  c.custom(at+".resources.custom", s.Resources.Custom, 1),
		Ports:   c.ports(at+".ports", s.Ports),
		Devices: c.devices(at+".devices", s.Devices),
	}
	for _, unit := range extra.Custom {
		if unit.Name == extra.Devices.Kind {
			c.add(FieldKey(at+".resources.custom", unit.Name), "is also the kind of its devices", "give one of them another name")
		}
	}
	return &extra
}

// custom compiles units by name, sorted; each at least least.
func (c *checker) custom(at string, units map[string]int64, least int64) []Amount {
	if c.tooMany(at, len(units), MaxCustom, "kinds") {
		return nil
	}
	var plan []Amount
	for _, name := range slices.Sorted(maps.Keys(units)) {
		at := FieldKey(at, name)
		c.wrong(at, checkUnit(name))
		c.count(at, units[name], least, MaxAmount)
		plan = append(plan, Amount{name, units[name]})
	}
	return plan
}

// checkUnit refuses names of units that mean something else already.
func checkUnit(name string) *Mistake {
	switch {
	case slices.Contains(ResourceNames[:], name):
		return &Mistake{Quote(name) + " is no unit of the cell's own", "write it beside custom, not in it"}
	case name == PortUnit:
		return &Mistake{Quote(name) + " is no unit of the cell's own", "ask for ports by the field ports"}
	}
	return checkName(name)
}

// ports compiles the ports of a slot. Their names become variables, in which "-" and "_" are one.
func (c *checker) ports(at string, list []*v1.Port) []PortNeed {
	if c.tooMany(at, len(list), MaxPorts, "ports") {
		return nil
	}
	var plan []PortNeed
	names, numbers := map[string]bool{}, map[int32]bool{}
	for i, p := range list {
		at := FieldIndex(at, i)
		c.wrong(at+".name", checkName(p.Name))
		if variable := portVariable(p.Name); names[variable] {
			c.add(at+".name", "another port is told in "+variable, "give every port a name of its own")
		} else {
			names[variable] = true
		}
		c.count(at+".number", int64(p.Number), 0, MaxPort)
		if p.Number != 0 && numbers[p.Number] {
			c.addf(at+".number", "give every port a number of its own, or none", "%d is there twice", p.Number)
		}
		numbers[p.Number] = true
		plan = append(plan, PortNeed{Name: p.Name, Number: p.Number})
	}
	return plan
}

// portVariable is the variable in which an attempt finds the number of a port.
func portVariable(name string) string {
	return ReservedEnv + "PORT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// devices compiles the devices of a slot: some whole ones, or a share of one.
func (c *checker) devices(at string, d *v1.Devices) DeviceNeed {
	if d == nil {
		return DeviceNeed{}
	}
	setDefault(&d.Kind, DefaultDevice)
	c.wrong(at+".kind", checkUnit(d.Kind))
	if d.Count == 0 {
		d.Count = 1
	}
	c.count(at+".count", int64(d.Count), 1, MaxDevices)
	need := DeviceNeed{Kind: d.Kind, Count: d.Count, Milli: WholeDevice}
	if d.Share != "" {
		milli, err := ParseCPU(d.Share)
		const hint = `a share of one device, such as "250m" or "0.5"`
		switch {
		case err != nil:
			c.add(at+".share", Quote(d.Share)+" is not a share", hint)
		case milli < 1 || milli > WholeDevice:
			c.addf(at+".share", "at least 1m and at most "+fmt.Sprint(WholeDevice)+"m; ask for whole devices by count", "%s is not a share of one device", Quote(d.Share))
		case milli < WholeDevice && d.Count > 1:
			c.addf(at+".share", "remove it, or set count: 1", "only a single device can be shared, not %d", d.Count)
		}
		need.Milli = int32(min(milli, WholeDevice))
	}
	if c.tooMany(at+".models", len(d.Models), MaxModels, "models") || len(d.Models) == 0 {
		return need
	}
	seen := map[string]bool{}
	for i, model := range d.Models {
		c.wrong(FieldIndex(at+".models", i), checkKey(model))
		if seen[model] {
			c.add(FieldIndex(at+".models", i), "names "+Quote(model)+" again", "remove it")
		}
		seen[model] = true
	}
	need.Models = slices.Sorted(maps.Keys(seen))
	return need
}
