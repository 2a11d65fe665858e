package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// jsonReader builds the tree from the tokens of encoding/json, so that names given twice are seen and every value has
// its place.
type jsonReader struct {
	decoder *json.Decoder
	where   locator
}

func readJSON(data []byte) (*value, *Problem) {
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(data)), where: locator{data: data}}
	r.decoder.UseNumber()
	root, p := r.value(1)
	if p != nil {
		return nil, p
	}
	if _, at, err := r.token(); !errors.Is(err, io.EOF) {
		return nil, &Problem{Line: at.line, Column: at.column, Text: "something follows the job", Hint: "one job a file"}
	}
	return root, nil
}

// token is the next one and where it begins.
func (r *jsonReader) token() (json.Token, place, error) {
	start := int(r.decoder.InputOffset())
	for start < len(r.where.data) && strings.IndexByte(" \t\r\n,:", r.where.data[start]) >= 0 {
		start++
	}
	token, err := r.decoder.Token()
	return token, r.where.move(start), err
}

func (r *jsonReader) problem(at place, err error) *Problem {
	p := &Problem{Line: at.line, Column: at.column, Text: err.Error()}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		p.Text, p.Hint = "the file ends in the middle", "close every bracket and quote"
	}
	return p
}

func (r *jsonReader) value(depth int) (*value, *Problem) {
	token, at, err := r.token()
	if err != nil {
		return nil, r.problem(at, err)
	}
	v := &value{place: at}
	if depth > MaxDepth {
		return nil, tooDeep(at)
	}
	switch t := token.(type) {
	case nil:
		v.kind = null
	case bool:
		v.kind, v.text = boolean, strconv.FormatBool(t)
	case json.Number:
		v.kind, v.text = number, t.String()
	case string:
		v.kind, v.text = text, t
	case json.Delim:
		if t == '[' {
			v.kind = list
			return v, r.items(v, depth)
		}
		v.kind = table
		return v, r.fields(v, depth)
	}
	return v, nil
}

func (r *jsonReader) items(v *value, depth int) *Problem {
	for r.decoder.More() {
		sub, p := r.value(depth + 1)
		if p != nil {
			return p
		}
		v.items = append(v.items, sub)
	}
	return r.end()
}

func (r *jsonReader) fields(v *value, depth int) *Problem {
	for r.decoder.More() {
		token, at, err := r.token()
		if err != nil {
			return r.problem(at, err)
		}
		name, _ := token.(string) // the decoder lets nothing else pass as a name
		sub, p := r.value(depth + 1)
		if p == nil {
			p = v.add(name, at, sub)
		}
		if p != nil {
			return p
		}
	}
	return r.end()
}

func (r *jsonReader) end() *Problem {
	if _, at, err := r.token(); err != nil {
		return r.problem(at, err)
	}
	return nil
}
