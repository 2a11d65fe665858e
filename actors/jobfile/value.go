package jobfile

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// kind is what a value of any of the formats is.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	table
)

// String is for messages.
func (k kind) String() string {
	switch k {
	case null:
		return "nothing"
	case boolean:
		return "a truth value"
	case number:
		return "a number"
	case text:
		return "text"
	case list:
		return "a list"
	}
	return "a table"
}

// place is a position in the file, from 1.
type place struct{ line, column int }

// value is one node of a file: a scalar as it was written, a list or a table.
type value struct {
	kind  kind
	place place
	text  string // of a scalar, quotes and escapes resolved
	items []*value
	// fields of a table in the order of the file; index finds them by name.
	fields []field
	index  map[string]int
}

type field struct {
	name  string
	place place
	value *value
}

// add appends a field to a table.
func (v *value) add(name string, at place, sub *value) *Problem {
	if i, there := v.index[name]; there {
		return &Problem{Line: at.line, Column: at.column, Text: "the field " + word(name) + " is there twice",
			Hint: fmt.Sprintf("the first is in line %d; remove one", v.fields[i].place.line)}
	}
	if len(v.fields) == MaxFields {
		return &Problem{Line: at.line, Column: at.column, Text: "too many fields", Hint: fmt.Sprintf("at most %d in one table", MaxFields)}
	}
	if v.index == nil {
		v.index = map[string]int{}
	}
	v.index[name] = len(v.fields)
	v.fields = append(v.fields, field{name, at, sub})
	return nil
}

func tooDeep(at place) *Problem {
	return &Problem{Line: at.line, Column: at.column, Text: "nested too deep", Hint: fmt.Sprintf("at most %d levels", MaxDepth)}
}

// locator turns offsets into places. It remembers the last one, so that a walk through a file is linear even if the
// whole file is a single line.
type locator struct {
	data   []byte
	offset int
	place  place
}

func (l *locator) move(offset int) place {
	offset = min(max(offset, 0), len(l.data))
	if offset < l.offset || l.place.line == 0 {
		l.offset, l.place = 0, place{1, 1}
	}
	passed := l.data[l.offset:offset]
	if n := bytes.Count(passed, []byte{'\n'}); n > 0 {
		l.place = place{l.place.line + n, 1}
		passed = passed[bytes.LastIndexByte(passed, '\n')+1:]
	}
	l.place.column += utf8.RuneCount(passed)
	l.offset = offset
	return l.place
}
