package jobfile

import (
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlReader builds the tree from the expressions of the file, for their places. The rules about what may be said twice
// are many; toml.Unmarshal checks them afterwards.
type tomlReader struct {
	parser unstable.Parser
	where  locator
	root   *value
	here   *value // the table that the last header opened
	depth  int    // of here
}

func readTOML(data []byte) (*value, *Problem) {
	r := &tomlReader{where: locator{data: data}, root: &value{kind: table, place: place{1, 1}}}
	r.here, r.depth = r.root, 1
	r.parser.Reset(data)
	for r.parser.NextExpression() {
		if p := r.expression(r.parser.Expression()); p != nil {
			return nil, p
		}
	}
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil { // syntax errors too: here they have their place
		return nil, tomlProblem(err)
	}
	if err := r.parser.Error(); err != nil {
		return nil, tomlProblem(err)
	}
	return r.root, nil
}

func tomlProblem(err error) *Problem {
	p := &Problem{Text: strings.TrimPrefix(err.Error(), "toml: ")}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		p.Line, p.Column = decode.Position()
	}
	return p
}

func (r *tomlReader) expression(e *unstable.Node) *Problem {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		r.here, r.depth = r.root, 1
		key := e.Key()
		return r.open(&key, e.Kind == unstable.ArrayTable)
	case unstable.KeyValue:
		return r.assign(r.here, e, r.depth)
	}
	return nil
}

// open follows the key of a header to its table; the last part of [[key]] appends a new one to a list.
func (r *tomlReader) open(key *unstable.Iterator, appends bool) *Problem {
	for key.Next() {
		k := key.Node()
		next, p := r.step(r.here, k, r.depth, appends && key.IsLast())
		if p != nil {
			return p
		}
		r.here, r.depth = next, r.depth+1
		if appends && key.IsLast() {
			r.depth++
		}
	}
	return nil
}

// step goes from a table into the table named by one part of a key, and makes it if it is not there yet. Into a list of
// tables it goes by its last one.
func (r *tomlReader) step(from *value, key *unstable.Node, depth int, appends bool) (*value, *Problem) {
	at := r.where.move(int(key.Raw.Offset))
	if depth >= MaxDepth {
		return nil, tooDeep(at)
	}
	name := string(key.Data)
	fresh := &value{kind: table, place: at}
	i, there := from.index[name]
	if !there {
		if appends {
			return fresh, from.add(name, at, &value{kind: list, place: at, items: []*value{fresh}})
		}
		return fresh, from.add(name, at, fresh)
	}
	old := from.fields[i].value
	switch {
	case appends && old.kind == list:
		old.items = append(old.items, fresh)
		return fresh, nil
	case !appends && old.kind == table:
		return old, nil
	case !appends && old.kind == list && len(old.items) > 0 && old.items[len(old.items)-1].kind == table:
		return old.items[len(old.items)-1], nil
	}
	return nil, &Problem{Line: at.line, Column: at.column, Text: word(name) + " is " + old.kind.String() + " already"}
}

// assign adds key = value to a table; a dotted key opens tables on its way.
func (r *tomlReader) assign(to *value, e *unstable.Node, depth int) *Problem {
	key := e.Key()
	for key.Next() {
		k := key.Node()
		if !key.IsLast() {
			next, p := r.step(to, k, depth, false)
			if p != nil {
				return p
			}
			to, depth = next, depth+1
			continue
		}
		at := r.where.move(int(k.Raw.Offset))
		sub, p := r.value(e.Value(), depth+1, at)
		if p != nil {
			return p
		}
		return to.add(string(k.Data), at, sub)
	}
	return nil
}

func (r *tomlReader) value(n *unstable.Node, depth int, near place) (*value, *Problem) {
	v := &value{kind: text, place: near, text: string(n.Data)}
	if n.Raw.Length > 0 {
		v.place = r.where.move(int(n.Raw.Offset))
	}
	if depth > MaxDepth {
		return nil, tooDeep(v.place)
	}
	switch n.Kind {
	case unstable.Bool:
		v.kind = boolean
	case unstable.Integer, unstable.Float:
		v.kind = number
	case unstable.Array:
		v.kind, v.text = list, ""
		for items := n.Children(); items.Next(); {
			sub, p := r.value(items.Node(), depth+1, v.place)
			if p != nil {
				return nil, p
			}
			v.items = append(v.items, sub)
		}
	case unstable.InlineTable:
		v.kind, v.text = table, ""
		for fields := n.Children(); fields.Next(); {
			if p := r.assign(v, fields.Node(), depth); p != nil {
				return nil, p
			}
		}
	}
	return v, nil
}
