package model

import (
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// TestS5_WhatANewerVersionSaysIsForgotten: in any depth, and what is known stays.
func TestS5_WhatANewerVersionSaysIsForgotten(t *testing.T) {
	info := &v1.NodeInfo{Id: "n", Taints: []*v1.Taint{{Key: "a"}, {Key: "b"}}, Attributes: map[string]string{"k": "v"}}
	if Known(info) != info {
		t.Error("cloned without a reason")
	}
	want := proto.CloneOf(info)
	more := []byte{0xba, 0xfa, 0x01, 0x01, 'x'}
	for name, m := range map[string]proto.Message{"outside": info, "inside": info.Taints[1]} {
		m.ProtoReflect().SetUnknown(more)
		if got := Known(info); !proto.Equal(got, want) || proto.Equal(info, want) {
			t.Errorf("%s: %v", name, got)
		}
		m.ProtoReflect().SetUnknown(nil)
	}
}
