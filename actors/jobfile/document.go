package jobfile

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Document is a job file that was read: the job as it was written, defaults not filled in, and where each field stands.
type Document struct {
	File string
	Spec *v1.JobSpec

	places map[string]place
}

// Parse reads a job file. The format follows from the extension of name (.yaml, .yml, .toml, .json), or else from the
// content. The error is an *Error.
func Parse(name string, data []byte) (*Document, error) {
	root, err := read(name, data)
	if err != nil {
		return nil, &Error{File: name, Problems: []Problem{*err}}
	}
	d := &decoder{places: map[string]place{"": root.place}}
	spec := &v1.JobSpec{}
	d.message("", root, spec.ProtoReflect())
	if len(d.problems) > 0 {
		return nil, &Error{File: name, Problems: d.problems, More: d.more}
	}
	return &Document{File: name, Spec: spec, places: d.places}, nil
}

// read turns the bytes of any format into a tree.
func read(name string, data []byte) (*value, *Problem) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > MaxBytes:
		return nil, &Problem{Text: fmt.Sprintf("the file has %d bytes", len(data)), Hint: fmt.Sprintf("at most %d", MaxBytes)}
	case !utf8.Valid(data):
		at := (&locator{data: data}).move(validPrefix(data))
		return nil, &Problem{Line: at.line, Column: at.column, Text: "the file is not UTF-8 text"}
	case len(bytes.TrimSpace(data)) == 0:
		return nil, &Problem{Text: "the file is empty", Hint: "give a job: its name and its stages"}
	}
	switch format(name, data) {
	case "json":
		return readJSON(data)
	case "toml":
		return readTOML(data)
	}
	return readYAML(data)
}

// format is by extension; without a telling one, JSON begins with a brace, and the first line of TOML that is no
// comment is a table or an assignment.
func format(name string, data []byte) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".json":
		return "json"
	case ".toml":
		return "toml"
	case ".yaml", ".yml":
		return "yaml"
	}
	if bytes.TrimSpace(data)[0] == '{' {
		return "json"
	}
	assignment := regexp.MustCompile(`^(\[|[A-Za-z0-9_."'-]+\s*=)`)
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			if assignment.Match(line) {
				return "toml"
			}
			break
		}
	}
	return "yaml"
}

func validPrefix(data []byte) int {
	n := 0
	for n < len(data) {
		r, size := utf8.DecodeRune(data[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// Locate is where a field stands, named by a path such as "stages[0].resources.cpu"; a field that the file does not
// have is located at the nearest one around it. Lines and columns count from 1, columns in characters.
func (d *Document) Locate(field string) (line, column int) {
	for {
		if at, ok := d.places[field]; ok {
			return at.line, at.column
		}
		field = around(field)
	}
}

// around is the path without its last step.
func around(field string) string {
	if strings.HasSuffix(field, `"]`) {
		if i := strings.LastIndex(field, `["`); i >= 0 {
			return field[:i]
		}
	}
	return field[:max(0, strings.LastIndexAny(field, ".["))]
}

// Refuse turns what model.Compile found wrong with the job into an error that names the places in the file.
func (d *Document) Refuse(fields []*v1.FieldError) *Error {
	e := &Error{File: d.File}
	for _, f := range fields {
		if len(e.Problems) == MaxProblems {
			e.More = len(fields) - MaxProblems
			break
		}
		line, column := d.Locate(f.GetField())
		e.Problems = append(e.Problems, Problem{Line: line, Column: column, Field: f.GetField(), Text: f.GetProblem(), Hint: f.GetHint()})
	}
	return e
}

// Error is everything that is wrong with a job file, up to MaxProblems.
type Error struct {
	File     string
	Problems []Problem
	// More counts the problems beyond the limit.
	More int
}

// Problem is one thing that is wrong, and where. A line or column of zero is unknown.
type Problem struct {
	Line, Column int
	// Field is the path of the field, or of the one around it; empty at the top.
	Field string
	Text  string
	// Hint says what would be right; it may be empty.
	Hint string
}

// Error has one line for each problem: file:line:column: field: text; hint.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, e.File+p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", e.File, e.More))
	}
	return strings.Join(lines, "\n")
}

// String is the problem with its place, as it follows the name of the file.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": ")
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}
