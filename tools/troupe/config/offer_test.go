package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestB1_B54_WhatANodeOffersIsReadWhole(t *testing.T) {
	c, _, err := load(t, world{
		user: "node:\n  pool: gpu\n  taints: [gpu=yes, 'slow:avoid']\n  devices: [gpu:V100=2, fpga]\n  custom: {license: 3}\n  packages: [torch, cuda]\n",
		args: []string{"--node-custom", "dongle=1", "--node-ports=3000-3001"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := c.Node.Offer()
	got := &v1.NodeInfo{Taints: o.Taints, Devices: o.Devices, Custom: o.Custom, PortFrom: o.PortFrom, PortTo: o.PortTo, Packages: o.Packages}
	const want = `{"devices":[{"kind":"gpu","model":"V100"},{"kind":"gpu","model":"V100"},{"kind":"fpga"}],"custom":{"dongle":"1","license":"3"},` +
		`"portFrom":3000,"portTo":3001,"taints":[{"key":"gpu","value":"yes","effect":"no_place"},{"key":"slow","effect":"avoid"}],"packages":["cuda","torch"]}`
	text, err := protojson.Marshal(got)
	if err != nil || strings.ReplaceAll(string(text), ", ", ",") != want && strings.ReplaceAll(string(text), " ", "") != want || o.Pool != "gpu" {
		t.Errorf("pool %s, %s, %v\nwant %s", o.Pool, text, err, want)
	}
	if plain, _, err := load(t, world{args: []string{"--node-ports="}}); err != nil || plain.Node.Offer().PortTo != 0 || plain.Node.Offer().Custom != nil {
		t.Errorf("%v, %v", plain, err)
	}
}

func TestB1_WrongOffersNameTheirKeyAndWhatIsRight(t *testing.T) {
	for _, tt := range []struct{ arg, key, says string }{
		{"--node-pool=GPU", "node.pool", "not a name"},
		{"--node-taints=gpu:kill", "node.taints", `one of \"no_place\"`},
		{"--node-taints=a,a", "node.taints", "twice"},
		{"--node-devices=gpu=none", "node.devices", "gpu:V100=4"},
		{"--node-devices=gpu=40,gpu=40", "node.devices", "at most 64"},
		{"--node-devices=cpu", "node.devices", "devices[0].kind"},
		{"--node-custom=license=many", "node.custom", "whole number"},
		{"--node-custom=memory=1", "node.custom", "beside custom"},
		{"--node-ports=80", "node.ports", "from-to"},
		{"--node-ports=9-8", "node.ports", "from-to"},
		{"--node-ports=1-70000", "node.ports", "from-to"},
		{"--node-packages=a b", "node.packages", "blanks"},
		{"--node-attributes=node=x", "node.attributes", "reserved"},
	} {
		_, _, err := load(t, world{args: []string{tt.arg}})
		var e *Error
		if !errors.As(err, &e) || len(e.Problems) != 1 || e.Problems[0].Key != tt.key || !strings.HasPrefix(tt.arg, e.Problems[0].Source) ||
			!strings.Contains(strings.ReplaceAll(e.Problems[0].Problem+"; "+e.Problems[0].Hint, `"`, `\"`), tt.says) {
			t.Errorf("%s: %v", tt.arg, err)
		}
	}
}

func TestB41_LimitOfNodesOut(t *testing.T) {
	c, _, err := load(t, world{env: []string{"TROUPE_LIMITS__NODES_OUT=7"}})
	if err != nil || c.Limits.Actors().NodesOut != 7 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestB43_LimitsOfLosses(t *testing.T) {
	c, _, err := load(t, world{env: []string{"TROUPE_LIMITS__LOST_RATE=3", "TROUPE_LIMITS__ISOLATION=50", "TROUPE_LIMITS__ISOLATION_MAX=1m"}})
	if m := c.Limits.Actors(); err != nil || m.LostRate != 3 || m.Isolation != 50 || m.IsolationMax != time.Minute {
		t.Errorf("%+v, %v", c, err)
	}
	for _, wrong := range []string{"ISOLATION=101", "ISOLATION=-1", "LOST_RATE=-1", "ISOLATION_MAX=-1s"} {
		if _, _, err := load(t, world{env: []string{"TROUPE_LIMITS__" + wrong}}); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
