package model

import (
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestTaintsAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]*v1.Taint{
		"gpu":                {Key: "gpu", Effect: TaintNoPlace},
		"gpu=yes":            {Key: "gpu", Value: "yes", Effect: TaintNoPlace},
		"gpu:avoid":          {Key: "gpu", Effect: TaintAvoid},
		"a/b=c:d:evict":      {Key: "a/b", Value: "c:d", Effect: TaintEvict},
		"disk=slow:no_place": {Key: "disk", Value: "slow", Effect: TaintNoPlace},
	} {
		got, err := ParseTaint(text)
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
			continue
		}
		if again, err := ParseTaint(FormatTaint(got)); err != nil || !proto.Equal(again, got) {
			t.Errorf("%s is written %s, which reads %v, %v", text, FormatTaint(got), again, err)
		}
	}
	for _, text := range []string{"", "=x", "a:", "a:kill", "a b", "a=\n", ":evict"} {
		if got, err := ParseTaint(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
	if got := FormatTaints([]*v1.Taint{{Key: "a"}, {Key: "b", Value: "c", Effect: TaintAvoid}}); got != "a:no_place, b=c:avoid" {
		t.Error(got)
	}
}

func TestTolerations(t *testing.T) {
	taint := &v1.Taint{Key: "gpu", Value: "yes"}
	for _, tt := range []struct {
		list []Toleration
		want bool
	}{
		{nil, false},
		{[]Toleration{{"gpu", ""}}, true},
		{[]Toleration{{"x", ""}, {"gpu", "yes"}}, true},
		{[]Toleration{{"gpu", "no"}}, false},
		{[]Toleration{{"", "yes"}}, false},
	} {
		if got := Tolerates(tt.list, taint); got != tt.want {
			t.Errorf("%v: %v", tt.list, got)
		}
	}
}
