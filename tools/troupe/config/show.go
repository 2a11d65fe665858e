package config

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

// Entry is one value and where it comes from. What must not be shown is hidden already.
type Entry struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Entries are all values, in the order of Config; a map has an entry each.
func (c *Config) Entries() []Entry { return slices.Clone(c.entries) }

// Files are the files that were read, the weaker first.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Show writes the whole configuration as a table of key, value and source.
func (c *Config) Show(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tVALUE\tSOURCE")
	for _, e := range c.entries {
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Key, e.Value, e.Source)
	}
	return t.Flush()
}

// LogValue is the whole configuration for a log line at the start of a process.
func (c *Config) LogValue() slog.Value {
	attrs := make([]slog.Attr, len(c.entries))
	for i, e := range c.entries {
		attrs[i] = slog.String(e.Key, e.Value)
	}
	return slog.GroupValue(attrs...)
}

// entries lists what was merged.
func (m *merged) entries(keys []key) []Entry {
	var list []Entry
	for _, k := range keys {
		switch v := m.ko.Get(k.path()).(type) {
		case map[string]any:
			list = append(list, m.entriesOf(k, v)...)
		default:
			list = append(list, Entry{k.name, k.show(v), m.sources[k.name]})
		}
	}
	return list
}

// entriesOf lists a map entry by entry; an empty one is one line.
func (m *merged) entriesOf(k key, values map[string]any) []Entry {
	if len(values) == 0 {
		return []Entry{{k.name, "", m.sources[k.name]}}
	}
	var list []Entry
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at, source := model.FieldKey(k.name, name), m.sources[k.name+"."+name]
		fields, ok := values[name].(map[string]any)
		if !ok {
			list = append(list, Entry{at, fmt.Sprint(values[name]), source})
			continue
		}
		for _, inner := range contextKeys() {
			if v, ok := fields[inner.name]; ok {
				list = append(list, Entry{at + "." + inner.name, inner.show(v), source})
			}
		}
	}
	return list
}

// show is a value as it would be written, or nothing of it if it is secret.
func (k key) show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Duration:
		return model.FormatDuration(v)
	case []string:
		return withoutUser(strings.Join(v, ","))
	case int64:
		switch k.kind {
		case kindCPU:
			return model.FormatCPU(v)
		case kindBytes:
			return model.FormatBytes(v)
		case kindRate:
			return model.FormatRate(v)
		}
	case string:
		if k.secret {
			return Secret(v).String()
		}
		if k.kind == kindURL || k.kind == kindHTTP {
			return withoutUser(v)
		}
	}
	return fmt.Sprint(v)
}
