package model

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Known is m without the fields that this version does not know, in any depth: m itself if it has none, or else a clone.
// An agent of a newer version says more than this one understands. Hard state must not keep that: a record with a field
// that its reader does not know is refused, and this version would refuse its own.
func Known[T proto.Message](m T) T {
	if !forget(m.ProtoReflect(), false) {
		return m
	}
	m = proto.CloneOf(m)
	forget(m.ProtoReflect(), true)
	return m
}

// forget reports whether m has fields that are not known, and clears them if it is told to.
func forget(m protoreflect.Message, clear bool) (found bool) {
	if len(m.GetUnknown()) > 0 {
		found = true
		if clear {
			m.SetUnknown(nil)
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					found = forget(v.Message(), clear) || found
					return true
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				found = forget(v.List().Get(i).Message(), clear) || found
			}
		default:
			found = forget(v.Message(), clear) || found
		}
		return clear || !found
	})
	return found
}
