package placer

import (
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// vector is what a slot takes, resources and then units by name: custom ones, and devices in milli by their kind.
func vector(units []string, each model.Resources, extra *model.Extra) []int64 {
	v := make([]int64, int(model.NumResources)+len(units))
	copy(v, each[:])
	if extra == nil {
		return v
	}
	for i, name := range units {
		n := &v[int(model.NumResources)+i]
		for _, c := range extra.Custom {
			if c.Name == name {
				*n += c.N
			}
		}
		if d := extra.Devices; d.Count > 0 && d.Kind == name {
			*n += int64(d.Count) * int64(d.Milli)
		}
	}
	return v
}

// capacity is what a node has, in the same order; no info is nothing.
func capacity(units []string, i *v1.NodeInfo) []int64 {
	v := []int64{model.CPU: i.GetCpuMilli(), model.Memory: i.GetMemoryBytes(), model.Disk: i.GetDiskBytes(), model.Net: i.GetNetBps()}
	for _, name := range units {
		n := i.GetCustom()[name]
		for _, d := range i.GetDevices() {
			if d.GetKind() == name {
				n += model.WholeDevice
			}
		}
		v = append(v, n)
	}
	return v
}
