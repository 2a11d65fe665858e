package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// problemsMax bounds how many wrong fields one refusal names.
const problemsMax = 20

// unmarshalJSON checks a body against the schema before protojson decodes it, because protojson stops at the first
// unknown field and knows neither its path nor what was meant.
func unmarshalJSON(body []byte, m proto.Message) error {
	w := &walker{dec: json.NewDecoder(bytes.NewReader(body))}
	w.dec.UseNumber()
	name := string(m.ProtoReflect().Descriptor().Name())
	err := w.value(m.ProtoReflect().Descriptor(), nil)
	if err == nil {
		if _, err = w.dec.Token(); err == nil {
			err = errors.New("there is more after the end of the object")
		} else if err == io.EOF {
			err = nil
		}
	}
	if err != nil && len(w.problems) == 0 {
		return model.Invalid("the body is not JSON", &v1.FieldError{
			Field: "body", Problem: syntax(body, w.dec.InputOffset(), err), Hint: "a JSON object in the form of " + name,
		})
	}
	if len(w.problems) > 0 {
		return model.Invalid("the body does not fit "+name, w.problems...)
	}
	if err := (protojson.UnmarshalOptions{}).Unmarshal(body, m); err != nil {
		return model.Invalid("the body does not fit "+name, &v1.FieldError{Field: "body", Problem: clean(err)})
	}
	return nil
}

// syntax says what is wrong with the JSON, and where.
func syntax(body []byte, offset int64, err error) string {
	var at *json.SyntaxError
	if errors.As(err, &at) {
		offset = at.Offset - 1 // it counts the bytes read, the offending one among them
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ends in the middle")
	}
	before := body[:min(max(offset, 0), int64(len(body)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d: %s", line, column, clip(err.Error()))
}

// errStop ends the walk when enough problems were found.
var errStop = errors.New("enough problems")

// walker compares JSON, token by token, with a message descriptor. It recurses only as deep as the schema does.
type walker struct {
	dec      *json.Decoder
	path     []string
	problems []*v1.FieldError
}

// value reads one value: of message md, or else of the single (not repeated) field fd.
func (w *walker) value(md protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor) error {
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	if token == nil {
		return nil // null: not set
	}
	if md != nil {
		if token != json.Delim('{') {
			return w.mismatch(token, "an object")
		}
		return w.object(md)
	}
	want := wanted(fd)
	if kind := kindOf(token); !strings.Contains(want, kind) {
		return w.mismatch(token, want)
	}
	return nil
}

// object reads the fields of a message whose opening brace was read.
func (w *walker) object(md protoreflect.MessageDescriptor) error {
	seen := map[protoreflect.FieldNumber]bool{}
	for w.dec.More() {
		key, err := w.key()
		if err != nil {
			return err
		}
		fd := md.Fields().ByName(protoreflect.Name(key))
		if fd == nil {
			fd = md.Fields().ByJSONName(key)
		}
		w.path = append(w.path, "."+clip(key))
		switch {
		case fd == nil:
			err = w.unknown(md, key)
		case seen[fd.Number()]:
			if err = w.problem("is there twice", "name every field once"); err == nil {
				err = w.skip()
			}
		default:
			seen[fd.Number()] = true
			err = w.field(fd)
		}
		if err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
	}
	_, err := w.dec.Token()
	return err
}

func (w *walker) field(fd protoreflect.FieldDescriptor) error {
	switch {
	case fd.IsMap():
		return w.mapping(fd.MapValue())
	case fd.IsList():
		return w.list(fd)
	}
	return w.value(fd.Message(), fd)
}

func (w *walker) mapping(fd protoreflect.FieldDescriptor) error {
	token, err := w.dec.Token()
	if err != nil || token == nil {
		return err
	}
	if token != json.Delim('{') {
		return w.mismatch(token, "an object")
	}
	for w.dec.More() {
		key, err := w.key()
		if err != nil {
			return err
		}
		w.path = append(w.path, "."+clip(key))
		if err := w.value(fd.Message(), fd); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
	}
	_, err = w.dec.Token()
	return err
}

func (w *walker) list(fd protoreflect.FieldDescriptor) error {
	token, err := w.dec.Token()
	if err != nil || token == nil {
		return err
	}
	if token != json.Delim('[') {
		return w.mismatch(token, "an array")
	}
	for i := 0; w.dec.More(); i++ {
		w.path = append(w.path, fmt.Sprintf("[%d]", i))
		if err := w.value(fd.Message(), fd); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
	}
	_, err = w.dec.Token()
	return err
}

func (w *walker) key() (string, error) {
	token, err := w.dec.Token()
	if err != nil {
		return "", err
	}
	key, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("expected a field name, found %v", token)
	}
	return key, nil
}

// unknown refuses a field that the schema does not have, and reads over its value.
func (w *walker) unknown(md protoreflect.MessageDescriptor, key string) error {
	names := make([]string, md.Fields().Len())
	for i := range names {
		names[i] = string(md.Fields().Get(i).Name())
	}
	hint := "there is " + strings.Join(names, ", ")
	if near := Nearest(key, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(names) == 0 {
		hint = "no field is known here"
	}
	if err := w.problem("unknown field", hint); err != nil {
		return err
	}
	return w.skip()
}

func (w *walker) mismatch(token json.Token, want string) error {
	if err := w.problem("is "+kindOf(token), "must be "+want); err != nil {
		return err
	}
	if d, ok := token.(json.Delim); ok && (d == '{' || d == '[') {
		return w.skipRest(1)
	}
	return nil
}

func (w *walker) problem(problem, hint string) error {
	path := strings.TrimPrefix(strings.Join(w.path, ""), ".")
	if path == "" {
		path = "body"
	}
	w.problems = append(w.problems, &v1.FieldError{Field: path, Problem: problem, Hint: hint})
	if len(w.problems) >= problemsMax {
		return errStop
	}
	return nil
}

// skip reads over one value, skipRest to the end of depth open ones.
func (w *walker) skip() error { return w.skipRest(0) }

func (w *walker) skipRest(depth int) error {
	for {
		token, err := w.dec.Token()
		if err != nil {
			return err
		}
		if d, ok := token.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
		if depth == 0 {
			return nil
		}
	}
}

// wanted names the JSON kinds that a single field takes.
func wanted(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.BytesKind:
		return "a string in base64"
	case protoreflect.EnumKind:
		return "a string or a number"
	}
	return "a number or a string of digits"
}

func kindOf(token json.Token) string {
	switch t := token.(type) {
	case string:
		return "a string"
	case json.Number, float64:
		return "a number"
	case bool:
		return "true or false"
	case json.Delim:
		if t == '[' {
			return "an array"
		}
		return "an object"
	}
	return "null"
}

// Nearest returns the candidate that word was most likely meant to be; empty if none is near.
func Nearest(word string, candidates []string) string {
	best, bound := "", max(1, min(len(word), 64)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), c); d < bound {
			best, bound = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove, change or swap with their neighbour (the common slips).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		older, old, now := rows[(i+2)%3], rows[i%3], rows[(i+1)%3]
		if i == 1 {
			older = nil
		}
		now[0] = i
		for j := 1; j <= len(b); j++ {
			change := old[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			now[j] = min(change, old[j]+1, now[j-1]+1)
			if older != nil && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], older[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
