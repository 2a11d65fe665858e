package model

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// fits is the oracle of Lacks: everything that slots hold is written out unit by unit.
func fits(info *v1.NodeInfo, slots []*v1.SlotExtra, x *v1.SlotExtra) bool {
	custom, ports, milli := map[string]int64{}, map[int32]bool{}, map[int32]int32{}
	for _, s := range append(slices.Clone(slots), x) {
		for name, n := range s.GetCustom() {
			custom[name] += n
		}
		for _, p := range s.GetPorts() {
			if ports[p.Number] || p.Number < 1 || p.Number > 65535 {
				return false
			}
			ports[p.Number] = true
		}
		seen := map[int32]bool{}
		for _, d := range s.GetDevices() {
			if seen[d.Index] || d.Index < 0 || int(d.Index) >= len(info.Devices) || d.Milli < 1 {
				return false
			}
			seen[d.Index] = true
			milli[d.Index] += d.Milli
		}
	}
	for name, n := range custom {
		if n > info.Custom[name] {
			return false
		}
	}
	for _, n := range milli {
		if n > 1000 {
			return false
		}
	}
	return true
}

func machine() *v1.NodeInfo {
	return &v1.NodeInfo{
		Custom: map[string]int64{"license": 3}, PortFrom: 100, PortTo: 104,
		Devices: []*v1.Device{{Kind: "fpga", Model: "f"}, {Kind: "gpu", Model: "a"}, {Kind: "gpu", Model: "a"}, {Kind: "gpu", Model: "b"}},
	}
}

func TestB54_S9_HoldingAdmitsWhatAWrittenOutBookAdmits(t *testing.T) {
	info := machine()
	rapid.Check(t, func(t *rapid.T) {
		h := NewHolding(info)
		var slots []*v1.SlotExtra
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			if len(slots) > 0 && rapid.IntRange(0, 3).Draw(t, "give") == 0 {
				i := rapid.IntRange(0, len(slots)-1).Draw(t, "which")
				h.Give(slots[i])
				slots = slices.Delete(slots, i, i+1)
				continue
			}
			x := &v1.SlotExtra{}
			if n := rapid.Int64Range(0, 2).Draw(t, "license"); n > 0 {
				x.Custom = map[string]int64{"license": n}
			}
			for range rapid.IntRange(0, 2).Draw(t, "ports") {
				x.Ports = append(x.Ports, &v1.Port{Name: "p", Number: rapid.Int32Range(99, 103).Draw(t, "port")})
			}
			for range rapid.IntRange(0, 2).Draw(t, "devices") {
				x.Devices = append(x.Devices, &v1.DeviceShare{Index: rapid.Int32Range(0, 4).Draw(t, "index"), Milli: rapid.SampledFrom([]int32{250, 500, 1000}).Draw(t, "milli")})
			}
			why, want := h.Lacks(x), fits(info, slots, x)
			if (why == "") != want {
				t.Fatalf("admits %v: %v (%s), but written out %v", x, why == "", why, want)
			}
			if want {
				h.Take(x)
				slots = append(slots, x)
			}
		}
		for _, x := range slots {
			h.Give(x)
		}
		if left := h.Held(); len(left) > 0 {
			t.Fatalf("everything was given back, but %v is held", left)
		}
	})
}

func TestB54_DynamicPortsAreTheLowestFreePastFixedOnes(t *testing.T) {
	h := NewHolding(machine())
	need := &Extra{Ports: []PortNeed{{Name: "a"}, {Name: "web", Number: 101}, {Name: "b"}}}
	x, why := h.Choose(need, nil)
	if why != "" || x.Ports[0].Number != 100 || x.Ports[1].Number != 101 || x.Ports[2].Number != 102 {
		t.Fatalf("%v %s", x, why)
	}
	h.Take(x)
	if _, why := h.Choose(need, nil); why == "" {
		t.Fatal("the fixed port was given twice")
	}
	two := &Extra{Ports: []PortNeed{{Name: "a"}, {Name: "b"}}}
	y, why := h.Choose(two, nil)
	if why != "" || y.Ports[0].Number != 103 || y.Ports[1].Number != 104 {
		t.Fatalf("%v %s", y, why)
	}
	h.Take(y)
	if _, why := h.Choose(two, nil); why != `no port is free for "a": the range 100 to 104 is taken` {
		t.Fatal(why)
	}
	h.Give(x)
	if z, _ := h.Choose(two, nil); z.GetPorts()[0].GetNumber() != 100 {
		t.Fatalf("%v", z)
	}
}

func TestB54_DevicesMustBeWhatIsNeeded(t *testing.T) {
	h := NewHolding(machine())
	for name, c := range map[string]struct {
		need    DeviceNeed
		devices []DeviceShare
		ok      bool
	}{
		"two of a model":       {DeviceNeed{Kind: "gpu", Count: 2, Milli: 1000}, []DeviceShare{{1, 1000}, {2, 1000}}, true},
		"two of two models":    {DeviceNeed{Kind: "gpu", Count: 2, Milli: 1000}, []DeviceShare{{2, 1000}, {3, 1000}}, false},
		"another kind":         {DeviceNeed{Kind: "gpu", Count: 1, Milli: 500}, []DeviceShare{{0, 500}}, false},
		"another model":        {DeviceNeed{Kind: "gpu", Count: 1, Milli: 500, Models: []string{"b"}}, []DeviceShare{{1, 500}}, false},
		"one of the models":    {DeviceNeed{Kind: "gpu", Count: 1, Milli: 500, Models: []string{"b", "c"}}, []DeviceShare{{3, 500}}, true},
		"another share":        {DeviceNeed{Kind: "gpu", Count: 1, Milli: 500}, []DeviceShare{{1, 400}}, false},
		"too few":              {DeviceNeed{Kind: "gpu", Count: 2, Milli: 1000}, []DeviceShare{{1, 1000}}, false},
		"one twice":            {DeviceNeed{Kind: "gpu", Count: 2, Milli: 1000}, []DeviceShare{{1, 1000}, {1, 1000}}, false},
		"not there":            {DeviceNeed{Kind: "gpu", Count: 1, Milli: 1000}, []DeviceShare{{9, 1000}}, false},
		"none, and none given": {DeviceNeed{}, nil, true},
	} {
		x, why := h.Choose(&Extra{Devices: c.need}, c.devices)
		if (why == "") != c.ok {
			t.Errorf("%s: %q", name, why)
		}
		if c.ok && !slices.Equal(SharesOf(x), c.devices) {
			t.Errorf("%s: got %v", name, x)
		}
	}
}

func TestB54_WhatASlotHoldsTellsWhatItNeeded(t *testing.T) {
	h := NewHolding(machine())
	need := &Extra{
		Custom: []Amount{{"license", 2}}, Ports: []PortNeed{{Name: "x"}, {Name: "y", Number: 8080}},
		Devices: DeviceNeed{Kind: "gpu", Count: 1, Milli: 250},
	}
	x, why := h.Choose(need, []DeviceShare{{1, 250}})
	if why != "" {
		t.Fatal(why)
	}
	again := h.NeedOf(x)
	if !slices.Equal(again.Custom, need.Custom) || !slices.Equal(again.Ports, need.Ports) ||
		again.Devices.Kind != "gpu" || again.Devices.Count != 1 || again.Devices.Milli != 250 {
		t.Errorf("%+v", again)
	}
	h.Take(x)
	if held := h.Held(); !maps.Equal(held, map[string]int64{"license": 2, "gpu": 250, PortUnit: 2}) {
		t.Errorf("%v", held)
	}
	before := proto.CloneOf(x)
	h.Give(x)
	if !proto.Equal(before, x) || h.Held() != nil {
		t.Errorf("%v, %v", x, h.Held())
	}
}
