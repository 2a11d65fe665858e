package model

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestCompileQueue(t *testing.T) {
	good := &v1.QueueSpec{Name: "q", MaxJobs: 5, Description: "量"}
	if got, errs := CompileQueue(good); errs != nil || !proto.Equal(got, good) || got == good {
		t.Errorf("%v, %v", got, errs)
	}
	for _, tt := range []struct {
		spec  *v1.QueueSpec
		field string
	}{
		{nil, ""},
		{&v1.QueueSpec{}, "name"},
		{&v1.QueueSpec{Name: "_INBOX"}, "name"},
		{&v1.QueueSpec{Name: "q", MaxJobs: -1}, "max_jobs"},
		{&v1.QueueSpec{Name: "q", MaxSlots: math.MaxInt64}, "max_slots"},
		{&v1.QueueSpec{Name: "q", Description: "a\r\nb"}, "description"},
		{&v1.QueueSpec{Name: "q", Description: strings.Repeat("x", MaxDescription+1)}, "description"},
	} {
		if got, errs := CompileQueue(tt.spec); got != nil || len(errs) != 1 || errs[0].Field != tt.field {
			t.Errorf("%v: %v, %v", tt.spec, got, errs)
		}
	}
}

func TestF19_NodeInfoIsBounded(t *testing.T) {
	good := func() *v1.NodeInfo {
		return &v1.NodeInfo{Id: "n1", CpuMilli: 4000, MemoryBytes: 1 << 30, DiskBytes: 0, NetBps: MaxAmount,
			Attributes: map[string]string{"os": "linux", "rack": ""}, Drivers: []string{"func", "process"}}
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
