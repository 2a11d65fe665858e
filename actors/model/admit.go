package model

import (
	"maps"
	"slices"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Limits of what an agent may say of its machine.
const (
	MaxAttributes   = 128
	MaxDrivers      = 16
	MaxNodePackages = 4096
)

// MaxSlots is the most slots of one node: it takes no more, and its agent admits no more.
const MaxSlots = 2048

// CheckNodeInfo checks what an agent says of its machine; nil means that it may be believed. Amounts are bounded, so
// that no agent can make the cell's sums overflow.
func CheckNodeInfo(info *v1.NodeInfo) []*v1.FieldError {
	c := &checker{}
	if info == nil {
		c.add("", "no node info", "give one")
		return c.result()
	}
	c.wrong("id", checkName(info.Id))
	c.count("cpu_milli", info.CpuMilli, 1, MaxAmount)
	c.count("memory_bytes", info.MemoryBytes, 1, MaxAmount)
	c.count("disk_bytes", info.DiskBytes, 0, MaxAmount)
	c.count("net_bps", info.NetBps, 0, MaxAmount)
	c.attributes("attributes", info.Attributes)
	c.sorted("drivers", info.Drivers, MaxDrivers, checkName)
	c.sorted("packages", info.Packages, MaxNodePackages, checkPackage)
	c.nodeDevices(info)
	c.custom("custom", info.Custom, 0)
	if info.PortFrom != 0 || info.PortTo != 0 {
		c.count("port_from", int64(info.PortFrom), 1, MaxPort)
		c.count("port_to", int64(info.PortTo), int64(max(info.PortFrom, 1)), MaxPort)
	}
	c.taints("taints", info.Taints)
	return c.result()
}

// nodeDevices checks the devices of a machine. A kind of device and a custom unit of one name could not be told apart in
// quotas.
func (c *checker) nodeDevices(info *v1.NodeInfo) {
	if c.tooMany("devices", len(info.Devices), MaxDevices, "devices") {
		return
	}
	for i, d := range info.Devices {
		at := FieldIndex("devices", i)
		c.wrong(at+".kind", checkUnit(d.GetKind()))
		if d.GetModel() != "" {
			c.wrong(at+".model", checkKey(d.GetModel()))
		}
		if _, both := info.Custom[d.GetKind()]; both {
			c.add(at+".kind", Quote(d.GetKind())+" is also a custom unit of this node", "give one of them another name")
		}
	}
}

// sorted checks a list of names that stand in order, each once.
func (c *checker) sorted(path string, list []string, most int, check func(string) *Mistake) {
	if c.tooMany(path, len(list), most, path) {
		return
	}
	for i, name := range list {
		c.wrong(FieldIndex(path, i), check(name))
		if i > 0 && name <= list[i-1] {
			c.add(FieldIndex(path, i), Quote(name)+" is out of order or there twice", "sort them, each once")
		}
	}
}

func (c *checker) attributes(path string, attributes map[string]string) {
	if c.tooMany(path, len(attributes), MaxAttributes, "attributes") {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		at := FieldKey(path, key)
		c.wrong(at, checkKey(key))
		if key == NodeAttribute {
			c.add(at, "is reserved for the node's own id", "choose another name")
		}
		c.wrong(at, checkText(attributes[key], MaxValueLen))
	}
}

// CapacityOf is what the machine offers.
func CapacityOf(info *v1.NodeInfo) Resources {
	return Resources{CPU: info.GetCpuMilli(), Memory: info.GetMemoryBytes(), Disk: info.GetDiskBytes(), Net: info.GetNetBps()}
}
