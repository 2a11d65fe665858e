package jobfile

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML reads one document. The parser itself is bounded in depth; anchors, aliases, merges and tags are refused, so
// that a small file cannot stand for a large one and a value is what it looks like.
func readYAML(data []byte) (*value, *Problem) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, &Problem{Text: "the file is empty", Hint: "give a job: its name and its stages"}
	} else if err != nil {
		return nil, yamlProblem(err)
	}
	if err := decoder.Decode(&next); err == nil {
		return nil, &Problem{Line: next.Line, Column: next.Column, Text: "a second document", Hint: "one job a file"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlProblem(err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, &Problem{Text: "the file is empty", Hint: "give a job: its name and its stages"}
	}
	return fromYAML(doc.Content[0], 1)
}

// yamlProblem takes the line out of the text; the parser leaves out the first one.
func yamlProblem(err error) *Problem {
	p := &Problem{Line: 1, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(p.Text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Text = p.Text[len(m[0]):]
	}
	return p
}

func fromYAML(n *yaml.Node, depth int) (*value, *Problem) {
	v := &value{place: place{n.Line, n.Column}}
	if depth > MaxDepth {
		return nil, tooDeep(v.place)
	}
	if p := plainYAML(n); p != nil {
		return nil, p
	}
	switch n.Kind {
	case yaml.MappingNode:
		v.kind = table
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := place{key.Line, key.Column}
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				return nil, &Problem{Line: at.line, Column: at.column, Text: "not the name of a field", Hint: "write name: value"}
			}
			if p := plainYAML(key); p != nil {
				return nil, p
			}
			sub, p := fromYAML(n.Content[i+1], depth+1)
			if p == nil {
				p = v.add(key.Value, at, sub)
			}
			if p != nil {
				return nil, p
			}
		}
	case yaml.SequenceNode:
		v.kind = list
		for _, item := range n.Content {
			sub, p := fromYAML(item, depth+1)
			if p != nil {
				return nil, p
			}
			v.items = append(v.items, sub)
		}
	default:
		v.kind, v.text = yamlScalar(n), n.Value
	}
	return v, nil
}

func plainYAML(n *yaml.Node) *Problem {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return &Problem{Line: n.Line, Column: n.Column, Text: "anchors and aliases are not supported", Hint: "write the value out"}
	case n.Style&yaml.TaggedStyle != 0:
		return &Problem{Line: n.Line, Column: n.Column, Text: "tags are not supported", Hint: "put text into quotes"}
	}
	return nil
}

func yamlScalar(n *yaml.Node) kind {
	switch n.Tag {
	case "!!null":
		return null
	case "!!bool":
		return boolean
	case "!!int", "!!float":
		return number
	}
	return text
}
