package replay

import (
	"fmt"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// sameMessage reports whether an actor said now what it said then. Answers to people who ask are not decisions: of them
// the type counts.
func sameMessage(then, now any) bool {
	if name, is := then.(decisions.Named); is {
		return string(name) == fmt.Sprintf("%T", now)
	}
	switch now.(type) {
	case *msg.CellFacts, *v1.CellStatus, *v1.ExplainReply:
		return fmt.Sprintf("%T", then) == fmt.Sprintf("%T", now)
	}
	return same(reflect.ValueOf(then), reflect.ValueOf(now))
}

// same compares what can be seen of two values. No elements are the same as no slice: a recording does not tell them apart.
func same(a, b reflect.Value) bool {
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Type() != b.Type() {
		return false
	}
	switch x := a.Interface().(type) {
	case time.Time:
		return x.Equal(b.Interface().(time.Time))
	case kit.Ref:
		y := b.Interface().(kit.Ref)
		return (x == nil) == (y == nil) && (x == nil || x.GetId() == y.GetId())
	case proto.Message:
		return proto.Equal(x, b.Interface().(proto.Message))
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return same(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
