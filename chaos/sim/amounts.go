package sim

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// mayBeNegative are the numbers in answers that are no amounts.
var mayBeNegative = map[protoreflect.Name]bool{"nodes_saved": true, "rank": true, "weight": true, "exit_code": true}

// checkAmounts looks whether any amount in what a master says of its cell, nodes, queues and loans is negative.
func (w *world) checkAmounts(reply any) {
	switch reply.(type) {
	case *v1.CellStatus, *v1.ListNodesReply, *v1.NodeStatus, *v1.ListQueuesReply, *v1.QueueStatus, *v1.LedgerReply, *v1.ExplainReply:
		w.did(NotNegative)
		if at, n := negative(reply.(proto.Message).ProtoReflect()); n < 0 {
			w.fail(NotNegative, "%s is %d in a %T", at, n, reply)
		}
	}
}

// negative finds a negative number in a message, in any depth. Scores may be: what is not liked counts against a node.
func negative(m protoreflect.Message) (at protoreflect.FullName, n int64) {
	if m.Descriptor().Name() == "NodeScore" {
		return "", 0
	}
	look := func(f protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch f.Kind() {
		case protoreflect.MessageKind:
			if x, found := negative(v.Message()); found < 0 {
				at, n = x, found
			}
		case protoreflect.Int64Kind, protoreflect.Int32Kind:
			if v.Int() < 0 && !mayBeNegative[f.Name()] {
				at, n = f.FullName(), v.Int()
			}
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				look(f.MapValue(), v)
				return n == 0
			})
		case f.IsList():
			for i := range v.List().Len() {
				look(f, v.List().Get(i))
			}
		default:
			look(f, v)
		}
		return n == 0
	})
	return at, n
}
