package wire

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Form is how a body is encoded.
type Form uint8

// The forms.
const (
	// JSON is the default: field names as in the protos, 64-bit integers as strings, bytes as base64.
	JSON Form = iota
	// Protobuf is asked for by the header Content-Type: application/protobuf.
	Protobuf
)

// Headers of requests and answers, beside those of NATS micro services.
const (
	HeaderContentType = "Content-Type"
	// HeaderRetryAfter says on a refusal after how many milliseconds to try again.
	HeaderRetryAfter = "Retry-After-Ms"
	// HeaderTimeout says on a request after how many milliseconds nobody waits for the answer any more.
	HeaderTimeout = "Troupe-Timeout-Ms"
	// HeaderWindow says on a request for a stream how many unacknowledged messages the reader takes.
	HeaderWindow = "Troupe-Window"
	// HeaderSeq numbers the messages of a stream from 1.
	HeaderSeq = "Troupe-Seq"
)

// BodyMax bounds the body of a request, in bytes.
const BodyMax = 1 << 20

var contentTypes = [...]string{JSON: "application/json", Protobuf: "application/protobuf"}

// ContentType is the name of the form in headers.
func (f Form) ContentType() string { return contentTypes[f] }

// Header looks a header up; NATS keeps them case-sensitive, its users do not.
func Header(h map[string][]string, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

// FormOf reads the form from the headers of a message: JSON unless they say otherwise.
func FormOf(h map[string][]string) (Form, error) {
	value := Header(h, HeaderContentType)
	if value == "" {
		return JSON, nil
	}
	kind, _, err := mime.ParseMediaType(value)
	if err == nil {
		for form, name := range contentTypes {
			if kind == name {
				return Form(form), nil
			}
		}
	}
	return JSON, model.Invalid("wrong content type", &v1.FieldError{
		Field: "header." + HeaderContentType, Problem: clip(value) + " is not supported",
		Hint: `use "application/json" (the default) or "application/protobuf"`,
	})
}

// Marshal encodes m. In JSON zero values are written, so that a script can rely on every plain field.
func (f Form) Marshal(m proto.Message) ([]byte, error) {
	if f == Protobuf {
		return proto.Marshal(m)
	}
	body, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	// protojson varies its white space on purpose; answers should not.
	var out bytes.Buffer
	out.Grow(len(body))
	err = json.Compact(&out, body)
	return out.Bytes(), err
}

// Unmarshal decodes a body into m; an empty body is an empty message. A body that does not fit the schema is refused
// with a fault that names the fields.
func (f Form) Unmarshal(body []byte, m proto.Message) error {
	if len(body) == 0 {
		return nil
	}
	if f == Protobuf {
		if err := proto.Unmarshal(body, m); err != nil {
			return model.Invalid("the body is not a protobuf "+string(m.ProtoReflect().Descriptor().FullName()),
				&v1.FieldError{Field: "body", Problem: clean(err)})
		}
		return nil
	}
	return unmarshalJSON(body, m)
}

// Read is Unmarshal for what the cell says: a newer cell may say more, and that is left out.
func (f Form) Read(body []byte, m proto.Message) error {
	if f == Protobuf || len(body) == 0 {
		return f.Unmarshal(body, m)
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, m)
}

// Message is a body in this form, addressed.
func (f Form) Message(to string, body []byte) *nats.Msg {
	return &nats.Msg{Subject: to, Data: body, Header: nats.Header{HeaderContentType: {f.ContentType()}}}
}

// clean makes an error of the protobuf library fit to be shown: the library puts a prefix and odd spaces into it.
func clean(err error) string {
	s := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return clip(strings.TrimSpace(strings.TrimPrefix(s, "proto:")))
}

// clip bounds and flattens text that came from outside.
func clip(s string) string {
	const most = 200
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
