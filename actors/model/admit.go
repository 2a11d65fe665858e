package model

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Limits of queues and nodes.
const (
	// MaxQueueLimit is the greatest limit that a queue may be given.
	MaxQueueLimit  = 1 << 40
	MaxDescription = 1024
	MaxAttributes  = 128
	MaxDrivers     = 16
)

// CompileQueue checks a queue spec. Either the copy that it returns or the list of what is wrong is nil. A limit of
// zero stays zero: what it means is up to the cell, and may change.
func CompileQueue(spec *v1.QueueSpec) (*v1.QueueSpec, []*v1.FieldError) {
	c := &checker{}
	if spec == nil {
		c.add("", "no queue", "give a queue spec")
		return nil, c.result()
	}
	c.known("", spec)
	c.wrong("name", checkName(spec.Name))
	c.count("max_jobs", spec.MaxJobs, 0, MaxQueueLimit)
	c.count("max_slots", spec.MaxSlots, 0, MaxQueueLimit)
	c.wrong("description", checkText(spec.Description, MaxDescription))
	if errs := c.result(); errs != nil {
		return nil, errs
	}
	return proto.Clone(spec).(*v1.QueueSpec), nil
}

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
	if len(info.Drivers) > MaxDrivers {
		c.addf("drivers", fmt.Sprintf("at most %d", MaxDrivers), "%d drivers", len(info.Drivers))
		return c.result()
	}
	for i, driver := range info.Drivers {
		c.wrong(FieldIndex("drivers", i), checkName(driver))
		if i > 0 && driver <= info.Drivers[i-1] {
			c.add(FieldIndex("drivers", i), Quote(driver)+" is out of order or there twice", "sort them, each once")
		}
	}
	return c.result()
}

func (c *checker) attributes(path string, attributes map[string]string) {
	if len(attributes) > MaxAttributes {
		c.addf(path, fmt.Sprintf("at most %d", MaxAttributes), "%d attributes", len(attributes))
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
