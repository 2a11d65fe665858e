package placer

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// TestB6_DevicesAreFreedWhicheverSlotsGo: what is believed to be freed for a need is freed, whichever of its slots a job
// gives up: against all ways to choose them. All slots of a stage that are whole devices, or all of them, do count.
func TestB6_DevicesAreFreedWhicheverSlotsGo(t *testing.T) {
	believed := 0
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 6))
		devices := make([]*v1.Device, 1+r.IntN(4))
		free := make([]int32, len(devices))
		for i := range devices {
			devices[i], free[i] = &v1.Device{Kind: "gpu", Model: "m"}, model.WholeDevice
		}
		h := drawHeld(r, free)
		if h.count == 0 {
			continue
		}
		need := &model.DeviceNeed{Kind: "gpu", Count: int32(1 + r.IntN(2)), Milli: model.WholeDevice}
		if r.IntN(2) == 0 {
			need.Count, need.Milli = 1, int32(100*(1+r.IntN(9)))
		}
		count := 1 + r.IntN(h.count)
		after := slices.Clone(free)
		for _, s := range h.sureToFree(count, need) {
			after[s.Index] += s.Milli
		}
		if !devicesFit(devices, after, need) || devicesFit(devices, free, need) {
			continue
		}
		believed++
		slots := h.sizes[0].Devices
		for set := range 1 << len(slots) {
			if bits.OnesCount(uint(set)) != count {
				continue
			}
			gone := slices.Clone(free)
			for i, shares := range slots {
				if set>>i&1 == 1 {
					for _, s := range shares {
						gone[s.Index] += s.Milli
					}
				}
			}
			if !devicesFit(devices, gone, need) {
				t.Fatalf("seed %d: %d of %v do not free %+v of %v", seed, count, slots, need, free)
			}
		}
	}
	if believed < 100 {
		t.Errorf("only %d choices were believed in", believed)
	}
}

// drawHeld takes devices for slots of one stage, all of one size.
func drawHeld(r *rand.Rand, free []int32) *held {
	each := int32(model.WholeDevice)
	if r.IntN(2) == 0 {
		each = int32(100 * (1 + r.IntN(9)))
	}
	h := &held{}
	var slots [][]model.DeviceShare
	for range r.IntN(6) {
		if i := r.IntN(len(free)); free[i] >= each {
			free[i] -= each
			slots = append(slots, []model.DeviceShare{{Index: int32(i), Milli: each}})
		}
	}
	for i := range free {
		free[i] -= free[i] * int32(r.IntN(2)) // others have the rest, or not
	}
	h.sizes, h.count = []place.Slots{{Count: len(slots), Devices: slots}}, len(slots)
	return h
}
