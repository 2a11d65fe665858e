// Package schema tells in JSON Schema what a message looks like as JSON, for clients that know nothing of protobuf and
// for editors of job files.
package schema

import (
	"encoding/json"
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Schema is the JSON Schema (draft 2020-12) of a message: fields under their names in the proto, nothing else allowed,
// with the comments of the proto as descriptions. Equal messages make equal bytes.
func Schema(md protoreflect.MessageDescriptor) []byte {
	b := builder{defs: map[string]any{}, comments: comments()}
	b.define(md)
	out, err := json.Marshal(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   string(md.Name()),
		"$ref":    ref(md),
		"$defs":   b.defs,
	})
	if err != nil {
		panic("schema: " + err.Error()) // maps of strings and numbers always encode
	}
	return out
}

type object = map[string]any

type builder struct {
	defs     map[string]any
	comments map[string]string
}

// define adds a message and all that it is made of.
func (b *builder) define(md protoreflect.MessageDescriptor) {
	name := string(md.Name())
	if _, known := b.defs[name]; known {
		return
	}
	properties := object{}
	b.defs[name] = b.described(name, object{"type": "object", "properties": properties, "additionalProperties": false})
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		properties[string(fd.Name())] = b.described(name+"."+string(fd.Name()), b.field(fd))
	}
}

func (b *builder) described(path string, o object) object {
	if text := b.comments[path]; text != "" {
		o["description"] = text
	}
	return o
}

func (b *builder) field(fd protoreflect.FieldDescriptor) object {
	switch {
	case fd.IsMap():
		return object{"type": "object", "additionalProperties": b.single(fd.MapValue())}
	case fd.IsList():
		return object{"type": "array", "items": b.single(fd)}
	}
	return b.single(fd)
}

func (b *builder) single(fd protoreflect.FieldDescriptor) object {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		b.define(fd.Message())
		return object{"$ref": ref(fd.Message())}
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return object{"type": "number"}
	case protoreflect.EnumKind:
		values := make([]string, fd.Enum().Values().Len())
		for i := range values {
			values[i] = string(fd.Enum().Values().Get(i).Name())
		}
		return object{"type": "string", "enum": values}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return object{"type": "integer", "minimum": math.MinInt32, "maximum": math.MaxInt32}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "minimum": 0, "maximum": uint32(math.MaxUint32)}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": []string{"integer", "string"}, "minimum": 0, "pattern": "^[0-9]+$"}
	default: // signed, 64 bits: JSON writers that cannot keep them exactly write a string
		return object{"type": []string{"integer", "string"}, "pattern": "^-?[0-9]+$"}
	}
}

func ref(md protoreflect.MessageDescriptor) string { return "#/$defs/" + string(md.Name()) }
