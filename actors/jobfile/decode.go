package jobfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/troupe-sched/troupe/actors/model"
)

// decoder walks a tree and a message side by side, and collects what does not agree.
type decoder struct {
	places   map[string]place
	problems []Problem
	more     int
}

func (d *decoder) problem(at place, field, text, hint string) {
	if len(d.problems) == MaxProblems {
		d.more++
		return
	}
	d.problems = append(d.problems, Problem{Line: at.line, Column: at.column, Field: field, Text: text, Hint: hint})
}

// wants notes that v is of the wrong kind.
func (d *decoder) wants(path string, v *value, what, hint string) {
	if v.kind == null {
		d.problem(v.place, path, "has no value", "give "+what+", or remove the field")
		return
	}
	d.problem(v.place, path, "is "+v.kind.String()+", wants "+what, hint)
}

func (d *decoder) message(path string, v *value, m protoreflect.Message) {
	if v.kind != table {
		d.wants(path, v, "a table of fields", "such as "+example(m.Descriptor()))
		return
	}
	seen := map[protoreflect.FieldNumber]bool{}
	for _, f := range v.fields {
		fd := fieldOf(m.Descriptor(), f.name)
		if fd == nil {
			d.problem(f.place, path, "unknown field "+word(f.name), meant(m.Descriptor(), f.name))
			continue
		}
		at := model.FieldName(path, string(fd.Name()))
		if seen[fd.Number()] { // once as in time_limit and once as in timeLimit
			d.problem(f.place, path, "the field "+word(f.name)+" is there twice", "remove one")
			continue
		}
		seen[fd.Number()] = true
		d.places[at] = f.place
		d.field(at, f.value, m, fd)
	}
}

func (d *decoder) field(path string, v *value, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	switch {
	case fd.IsMap():
		d.mapping(path, v, m, fd)
	case fd.IsList():
		d.list(path, v, m, fd)
	case fd.Message() != nil:
		d.message(path, v, m.Mutable(fd).Message())
	default:
		if scalar, ok := d.scalar(path, v, fd); ok {
			m.Set(fd, scalar)
		}
	}
}

func (d *decoder) mapping(path string, v *value, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if v.kind != table {
		d.wants(path, v, "a table of names and values", "")
		return
	}
	entries := m.Mutable(fd).Map()
	for _, f := range v.fields {
		at := model.FieldKey(path, f.name)
		d.places[at] = f.place
		if scalar, ok := d.scalar(at, f.value, fd.MapValue()); ok {
			entries.Set(protoreflect.ValueOfString(f.name).MapKey(), scalar)
		}
	}
}

func (d *decoder) list(path string, v *value, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if v.kind != list {
		d.wants(path, v, "a list", "put it into [ ]")
		return
	}
	items := m.Mutable(fd).List()
	for i, item := range v.items {
		at := model.FieldIndex(path, i)
		d.places[at] = item.place
		if fd.Message() != nil {
			d.message(at, item, items.AppendMutable().Message())
		} else if scalar, ok := d.scalar(at, item, fd); ok {
			items.Append(scalar)
		}
	}
}

// scalar converts one value. Text is taken as it is written, also where a format sees a number or a truth value in it
// (cpu: 2, command: [sleep, 5], DEBUG: true): there is only one thing that the user can have meant.
func (d *decoder) scalar(path string, v *value, fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	simple := v.kind == text || v.kind == number || v.kind == boolean
	switch fd.Kind() {
	case protoreflect.StringKind:
		if simple {
			return protoreflect.ValueOfString(v.text), true
		}
		d.wants(path, v, "text", "")
	case protoreflect.BoolKind:
		if v.kind == boolean {
			return protoreflect.ValueOfBool(v.text == "true"), true
		}
		d.wants(path, v, "true or false", "")
	case protoreflect.Int32Kind:
		n, ok := d.integer(path, v, 32)
		return protoreflect.ValueOfInt32(int32(n)), ok
	case protoreflect.Int64Kind:
		n, ok := d.integer(path, v, 64)
		return protoreflect.ValueOfInt64(n), ok
	default: // a test holds that the messages of job files have no other kind
		d.problem(v.place, path, "cannot be written in a job file", "")
	}
	return protoreflect.Value{}, false
}

// integer reads a whole number; one in quotes too, as protobuf's JSON writes large numbers.
func (d *decoder) integer(path string, v *value, bits int) (int64, bool) {
	if v.kind != number && v.kind != text {
		d.wants(path, v, "a whole number", "")
		return 0, false
	}
	digits := strings.TrimLeft(v.text, "+-")
	n, err := strconv.ParseInt(v.text, 0, bits)
	switch {
	case len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9':
		d.problem(v.place, path, model.Quote(v.text)+" begins with a zero", "is it octal? write the number without the zero")
	case err == nil:
		return n, true
	case errors.Is(err, strconv.ErrRange):
		d.problem(v.place, path, model.Quote(v.text)+" is out of range", fmt.Sprintf("a whole number of %d bits", bits))
	default:
		d.problem(v.place, path, model.Quote(v.text)+" is not a whole number", "such as 10")
	}
	return 0, false
}

// fieldOf finds a field as the schema names it or in camel case, as JSON does.
func fieldOf(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByName(protoreflect.Name(name)); fd != nil {
		return fd
	}
	return md.Fields().ByJSONName(name)
}

// meant is a hint for an unknown name: a field of another spelling, one that belongs a level deeper, or all there are.
func meant(md protoreflect.MessageDescriptor, name string) string {
	snake := snakeCase(name)
	names := fieldNames(md)
	if near := model.Nearest(snake, names); near != "" {
		return "did you mean `" + near + "`?"
	}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if sub := fd.Message(); sub != nil && !fd.IsMap() && sub.Fields().ByName(protoreflect.Name(snake)) != nil {
			return "did you mean `" + snake + "` under `" + string(fd.Name()) + "`?"
		}
	}
	return "one of " + strings.Join(names, ", ")
}

func fieldNames(md protoreflect.MessageDescriptor) []string {
	names := make([]string, md.Fields().Len())
	for i := range names {
		names[i] = string(md.Fields().Get(i).Name())
	}
	return names
}

// example shows how a message is written: the names of its first fields.
func example(md protoreflect.MessageDescriptor) string {
	names := fieldNames(md)
	return "{" + strings.Join(names[:min(2, len(names))], ": …, ") + ": …}"
}

func snakeCase(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i >= 2*model.MaxNameLen {
			break // no field has such a name
		}
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.ReplaceAll(b.String(), "-", "_")
}

// word sets a name off from the text around it.
func word(name string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-"
	if len(name) <= model.MaxNameLen && strings.Trim(name, plain) == "" {
		return "`" + name + "`"
	}
	return model.Quote(name)
}
