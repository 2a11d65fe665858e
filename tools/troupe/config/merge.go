package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"

	"github.com/troupe-sched/troupe/actors/model"
)

// contexts reads the named cells of a file.
func (l *loader) contexts(raw any, source string) any {
	named, ok := raw.(map[string]any)
	if !ok {
		l.problem("contexts", source, mistake("write contexts: {name: {url: ..., cell: ..., creds: ...}}", "is %s", shape(raw)))
		return map[string]any{}
	}
	if len(named) > maxEntries {
		l.problem("contexts", source, mistake(fmt.Sprintf("at most %d", maxEntries), "has %d entries", len(named)))
		return map[string]any{}
	}
	inside := contextKeys()
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		at := model.FieldKey("contexts", name)
		if !model.ValidKey(name) {
			l.problem(at, source, mistake("A-Z, a-z, 0-9, _, ., / and -", "%s is not a name of a context", model.Quote(name)))
			continue
		}
		fields, ok := named[name].(map[string]any)
		if !ok {
			l.problem(at, source, mistake("write "+names(inside), "is %s", shape(named[name])))
			continue
		}
		out[name] = l.context(fields, inside, at, source)
	}
	return out
}

func (l *loader) context(fields map[string]any, inside []key, at, source string) map[string]any {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		k, ok := find(inside, name)
		if !ok {
			l.problem(at+"."+name, source, mistake(nearest(name, allNames(inside)), "unknown key"))
			continue
		}
		v, err := k.parse(fields[name])
		if err != nil {
			l.problem(at+"."+name, source, err)
			continue
		}
		out[name] = v
	}
	if url := fields["url"]; url == nil || url == "" {
		l.problem(at+".url", source, mistake("name the NATS servers of the cell", "is missing"))
	}
	return out
}

// chosenContext is the context in force, and the layer that chose it: the last that names one.
func (l *loader) chosenContext() (name string, at int) {
	for i, layer := range slices.Backward(l.layers) {
		if _, ok := layer.values["context"]; ok && i > 0 {
			return layer.chosen, i
		}
	}
	return "", 0
}

// merge lays the layers over each other, with the context's values right below the layer that chose it.
func (l *loader) merge() (*Config, error) {
	m := &merged{ko: koanf.New(delim), sources: map[string]string{}}
	chosen, at := l.chosenContext()
	for i, layer := range l.layers {
		if chosen != "" && i == at {
			if err := l.useContext(chosen, m); err != nil {
				return nil, err
			}
		}
		for _, k := range l.keys {
			v, ok := layer.values[k.name]
			if !ok {
				continue
			}
			if err := m.set(k, v, layer.origin(k)); err != nil {
				return nil, fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	c := &Config{files: l.files}
	if err := m.ko.Unmarshal("", c); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c.entries = m.entries(l.keys)
	return c, nil
}

// merged is what the layers come to, and where each value was written: maps entry by entry.
type merged struct {
	ko      *koanf.Koanf
	sources map[string]string
}

func (m *merged) set(k key, v any, source string) error {
	if _, seen := m.sources[k.name]; !seen || k.kind != kindMap && k.kind != kindContexts {
		m.sources[k.name] = source
	}
	switch v := v.(type) {
	case map[string]string: // maps of several places are joined, entry by entry
		for name, value := range v {
			if err := m.put(k, name, value, source); err != nil {
				return err
			}
		}
		return nil
	case map[string]any: // and so are contexts, but each is whole: never one's credentials with another's servers
		for name, context := range v {
			if err := m.put(k, name, context, source); err != nil {
				return err
			}
		}
		return nil
	}
	return m.ko.Set(k.path(), v)
}

func (m *merged) put(k key, name string, value any, source string) error {
	m.sources[k.name+"."+name] = source
	path := k.path() + delim + name
	m.ko.Delete(path)
	return m.ko.Set(path, value)
}

// useContext sets what a context says.
func (l *loader) useContext(name string, m *merged) error {
	all := map[string]any{}
	for _, layer := range l.layers {
		if named, ok := layer.values["contexts"].(map[string]any); ok {
			maps.Copy(all, named)
		}
	}
	context, ok := all[name].(map[string]any)
	if !ok {
		known := slices.Sorted(maps.Keys(all))
		hint := nearest(name, known)
		if len(known) == 0 {
			hint = "there are none: write contexts: {" + name + ": {url: nats://host:port}} into a file"
		}
		_, at := l.chosenContext()
		k, _ := find(l.keys, "context")
		l.problem("context", l.layers[at].origin(k), mistake(hint, "there is no context %s", model.Quote(name)))
		return nil
	}
	for _, pair := range [][2]string{{"url", "nats.url"}, {"cell", "cell.name"}, {"creds", "nats.creds"}} {
		if v, ok := context[pair[0]]; ok {
			k, _ := find(l.keys, pair[1])
			if err := m.set(k, v, "context "+name); err != nil {
				return fmt.Errorf("context %s: %w", name, err)
			}
		}
	}
	return nil
}

// together checks what single values cannot tell.
func (l *loader) together(c *Config) {
	source := func(name string) string {
		i := slices.IndexFunc(c.entries, func(e Entry) bool {
			return e.Key == name || strings.HasPrefix(e.Key, name+".") || strings.HasPrefix(e.Key, name+"[")
		})
		return c.entries[i].Source
	}
	wrong := func(name, hint, format string, args ...any) {
		l.problem(name, source(name), mistake(hint, format, args...))
	}
	if c.Limits.Heartbeat*2 > c.Limits.Suspect {
		wrong("limits.suspect", "at least "+model.FormatDuration(2*c.Limits.Heartbeat), "%s is less than two heartbeats (limits.heartbeat is %s)",
			model.FormatDuration(c.Limits.Suspect), model.FormatDuration(c.Limits.Heartbeat))
	}
	if c.Limits.Lost <= c.Limits.Suspect {
		wrong("limits.lost", "more than "+model.FormatDuration(c.Limits.Suspect), "%s is not more than limits.suspect",
			model.FormatDuration(c.Limits.Lost))
	}
	if c.Limits.Isolation > 100 {
		wrong("limits.isolation", "0 to 100, such as 30", "%d is no percentage", c.Limits.Isolation)
	}
	l.masters(c, source, wrong)
	c.Node.offer(func(name string, err error) { l.problem(name, source(name), err) })
	if c.HTTP.Pprof && c.HTTP.Listen == "" {
		wrong("http.pprof", "set http.listen too", "there is nowhere to serve profiles")
	}
}
