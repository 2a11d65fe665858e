package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// JSON writes m as one document on one line: names as in the protos, fields with their zero values too, so that a
// program finds every field that it asks for.
func JSON(w io.Writer, m proto.Message) error {
	data, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("write %s as JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return writeJSON(w, data)
}

// JSONValue writes a plain Go value as one document on one line.
func JSONValue(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %T as JSON: %w", v, err)
	}
	return writeJSON(w, data)
}

// writeJSON compacts data: protojson puts in spaces at random on purpose. What a terminal would act on is escaped,
// which changes no value: outside of strings there is no such character.
func writeJSON(w io.Writer, data []byte) error {
	var compact, out bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return err
	}
	for rest := compact.Bytes(); len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r < 0x10000 && harmful(r, false):
			fmt.Fprintf(&out, `\u%04x`, r)
		case harmful(r, false):
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			out.Write(rest[:size])
		}
		rest = rest[size:]
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}
