// Package schema describes protobuf messages as JSON Schema, for clients that have no protobuf: what an endpoint of the
// API takes and gives, and what a job file may hold.
package schema

import (
	"encoding/json"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Dialect is the version of JSON Schema that Schema writes.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// object is one JSON object; its encoding is sorted by key, so that equal schemas are equal bytes.
type object map[string]any

// Schema is the JSON Schema of the JSON form of a message, fields named and described as in the .proto. Messages that it contains
// stand in $defs, each once, so that the size is bounded by the .proto files also where messages contain themselves.
func Schema(md protoreflect.MessageDescriptor) []byte {
	defs := object{}
	root := properties(md, defs)
	root["$schema"] = Dialect
	root["title"] = string(md.Name())
	if len(defs) > 0 {
		root["$defs"] = defs
	}
	data, err := json.Marshal(root)
	if err != nil {
		panic("schema: " + err.Error()) // maps of strings, lists and maps always encode
	}
	return data
}

func properties(md protoreflect.MessageDescriptor, defs object) object {
	fields := object{}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		fields[string(fd.Name())] = described(string(md.Name())+"."+string(fd.Name()), field(fd, defs))
	}
	return described(string(md.Name()), object{"type": "object", "properties": fields, "additionalProperties": false})
}

// described adds what the .proto says about a message or field.
func described(path string, o object) object {
	if text := comments()[path]; text != "" {
		o["description"] = text
	}
	return o
}

func field(fd protoreflect.FieldDescriptor, defs object) object {
	switch {
	case fd.IsMap():
		return object{"type": "object", "additionalProperties": single(fd.MapValue(), defs)}
	case fd.IsList():
		return object{"type": "array", "items": single(fd, defs)}
	}
	return single(fd, defs)
}

// single is one value of a field, lists and maps aside. 64-bit numbers may be strings, as protobuf's JSON writes them.
func single(fd protoreflect.FieldDescriptor, defs object) object {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return object{"type": "number"}
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		names := make([]string, values.Len())
		for i := range names {
			names[i] = string(values.Get(i).Name())
		}
		return object{"enum": names}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return reference(fd.Message(), defs)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return object{"type": "integer", "minimum": -1 << 31, "maximum": 1<<31 - 1}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "minimum": 0, "maximum": 1<<32 - 1}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": []string{"integer", "string"}, "minimum": 0, "pattern": "^[0-9]+$"}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return object{"type": []string{"integer", "string"}, "pattern": "^-?[0-9]+$"}
	}
	panic("schema: unknown kind " + fd.Kind().String())
}

func reference(md protoreflect.MessageDescriptor, defs object) object {
	name := string(md.Name())
	if _, known := defs[name]; !known {
		defs[name] = nil // a message that contains itself ends here
		defs[name] = properties(md, defs)
	}
	return object{"$ref": "#/$defs/" + name}
}
