package model

import (
	"math"
	"testing"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestF19_NodeInfoIsBounded(t *testing.T) {
	good := func() *v1.NodeInfo {
		return &v1.NodeInfo{Id: "n1", CpuMilli: 4000, MemoryBytes: 1 << 30, DiskBytes: 0, NetBps: MaxAmount,
			Attributes: map[string]string{"os": "linux", "rack": ""}, Drivers: []string{"func", "process"},
			Devices: []*v1.Device{{Kind: "gpu", Model: "V100-32G"}, {Kind: "gpu"}, {Kind: "fpga", Model: "x"}},
			Custom:  map[string]int64{"license": 3, "spare": 0}, PortFrom: 20000, PortTo: 29999,
			Taints: []*v1.Taint{{Key: "gpu", Value: "yes"}, {Key: "gpu", Effect: TaintEvict}}, Packages: []string{"a:1", "b"}}
	}
	if errs := CheckNodeInfo(good()); errs != nil {
		t.Fatal(errs)
	}
	if got := CapacityOf(good()); got != (Resources{4000, 1 << 30, 0, MaxAmount}) {
		t.Errorf("got %v", got)
	}
	for field, change := range map[string]func(*v1.NodeInfo){
		"id":                func(n *v1.NodeInfo) { n.Id = "host.example.com" },
		"cpu_milli":         func(n *v1.NodeInfo) { n.CpuMilli = 0 },
		"memory_bytes":      func(n *v1.NodeInfo) { n.MemoryBytes = math.MinInt64 },
		"disk_bytes":        func(n *v1.NodeInfo) { n.DiskBytes = -1 },
		"net_bps":           func(n *v1.NodeInfo) { n.NetBps = MaxAmount + 1 },
		"attributes.node":   func(n *v1.NodeInfo) { n.Attributes["node"] = "n2" },
		`attributes["a b"]`: func(n *v1.NodeInfo) { n.Attributes["a b"] = "" },
		"attributes.os":     func(n *v1.NodeInfo) { n.Attributes["os"] = "\x1b" },
		"attributes":        func(n *v1.NodeInfo) { n.Attributes = many(MaxAttributes + 1) },
		"drivers[1]":        func(n *v1.NodeInfo) { n.Drivers = []string{"process", "func"} },
		"drivers[0]":        func(n *v1.NodeInfo) { n.Drivers = []string{"*"} },
		"packages[0]":       func(n *v1.NodeInfo) { n.Packages = []string{"a b"} },
		"packages[1]":       func(n *v1.NodeInfo) { n.Packages = []string{"a", "a"} },
		"packages":          func(n *v1.NodeInfo) { n.Packages = make([]string, MaxNodePackages+1) },
		"devices":           func(n *v1.NodeInfo) { n.Devices = make([]*v1.Device, MaxDevices+1) },
		"devices[0].kind":   func(n *v1.NodeInfo) { n.Devices[0].Kind = "cpu" },
		"devices[1].kind":   func(n *v1.NodeInfo) { n.Devices[1] = nil },
		"devices[2].kind":   func(n *v1.NodeInfo) { n.Custom["fpga"] = 1 },
		"devices[0].model":  func(n *v1.NodeInfo) { n.Devices[0].Model = "a b" },
		"custom.license":    func(n *v1.NodeInfo) { n.Custom["license"] = MaxAmount + 1 },
		"custom.port":       func(n *v1.NodeInfo) { n.Custom["port"] = 1 },
		"custom.memory":     func(n *v1.NodeInfo) { n.Custom["memory"] = 1 },
		"port_from":         func(n *v1.NodeInfo) { n.PortFrom = 0 },
		"port_to":           func(n *v1.NodeInfo) { n.PortTo = 19999 },
		"taints[0].effect":  func(n *v1.NodeInfo) { n.Taints[0].Effect = "kill" },
		"taints[1]":         func(n *v1.NodeInfo) { n.Taints[1] = n.Taints[0] },
		"taints":            func(n *v1.NodeInfo) { n.Taints = make([]*v1.Taint, MaxTaints+1) },
		"drivers":           func(n *v1.NodeInfo) { n.Drivers = make([]string, MaxDrivers+1) },
	} {
		info := good()
		change(info)
		if errs := CheckNodeInfo(info); len(errs) != 1 || errs[0].Field != field {
			t.Errorf("%s: %v", field, errs)
		}
	}
	if errs := CheckNodeInfo(nil); len(errs) != 1 {
		t.Error(errs)
	}
}
