package placer

import (
	"slices"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/policy/preempt"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// needsDevices reports whether slots of a demand take devices.
func (d *demand) needsDevices() bool {
	return d.Plan.Extra != nil && d.Plan.Extra.Devices.Count > 0
}

// devicesUnclaimed reports whether nobody waits for devices of the kind that a demand needs to be freed on a node: which of
// them go to whom is not decided before they are free, so there is one claim at a time.
func (p *pass) devicesUnclaimed(d *demand, n place.NodeIndex) bool {
	if !d.needsDevices() {
		return true
	}
	return !slices.ContainsFunc(p.nodes[p.fleet.ID(n)].claims, func(c *claim) bool {
		return c.demand.needsDevices() && c.demand.Plan.Extra.Devices.Kind == d.Plan.Extra.Devices.Kind
	})
}

// freesDevices reports whether what a choice evicts is sure to free the devices that a slot needs, whichever of its slots
// on the node each victim gives up.
func (p *pass) freesDevices(d *demand, choice preempt.Choice) bool {
	if !d.needsDevices() {
		return true
	}
	need, n := &d.Plan.Extra.Devices, place.NodeIndex(choice.Node)
	nd := p.nodes[p.fleet.ID(n)]
	free := p.fleet.FreeDevices(n)
	for _, e := range choice.Victims {
		for _, share := range nd.held[p.victims.stages[e.Stage]].sureToFree(e.Count, need) {
			if int(share.Index) < len(free) {
				free[share.Index] += share.Milli
			}
		}
	}
	return devicesFit(nd.info.GetDevices(), free, need)
}

// sureToFree is what so many slots of a stage free for a need, or its equal: all that they have if all go, and else what
// each of them has if any would do as well as another.
func (h *held) sureToFree(count int, need *model.DeviceNeed) (shares []model.DeviceShare) {
	var slots [][]model.DeviceShare
	for _, s := range h.sizes {
		slots = append(slots, s.Devices...)
	}
	all := h.leaving == 0 && count >= h.count
	for _, devices := range slots {
		enough := !slices.ContainsFunc(devices, func(s model.DeviceShare) bool { return s.Milli < need.Milli })
		if !all && !enough {
			return nil
		}
	}
	for _, devices := range slots[:min(count, len(slots))] {
		shares = append(shares, devices...)
	}
	return shares
}

// devicesFit reports whether so many devices of one model have enough left.
func devicesFit(devices []*v1.Device, free []int32, need *model.DeviceNeed) bool {
	enough := map[string]int32{}
	for i, x := range devices {
		admitted := x.GetKind() == need.Kind && (len(need.Models) == 0 || slices.Contains(need.Models, x.GetModel()))
		if i < len(free) && admitted && free[i] >= need.Milli {
			if enough[x.GetModel()]++; enough[x.GetModel()] >= need.Count {
				return true
			}
		}
	}
	return false
}
