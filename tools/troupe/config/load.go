package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/troupe-sched/troupe/actors/model"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Sources are where to look. Nothing else is read, so tests bring their own world.
type Sources struct {
	// Flags that AddFlag made, after parsing; those that were given count. May be nil.
	Flags *pflag.FlagSet
	// Environ as of os.Environ.
	Environ []string
	// Hostname names the node if nothing else does.
	Hostname string
	// System is the file of the whole machine, under what the user says; it need not be there.
	System string
}

// SystemFile is the file of the whole machine.
const SystemFile = "/etc/troupe/config.yaml"

// FromProcess are the sources of this process.
func FromProcess(flags *pflag.FlagSet) Sources {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "" // the node is called "node" then
	}
	return Sources{Flags: flags, Environ: os.Environ(), Hostname: hostname, System: SystemFile}
}

// environment is the environment by name.
type environment map[string]string

func environmentOf(environ []string) environment {
	e := environment{}
	for _, v := range environ {
		if name, value, ok := strings.Cut(v, "="); ok {
			e[name] = value
		}
	}
	return e
}

// delim joins the parts of a key inside koanf. It is no dot, because names of attributes and contexts may hold dots.
const delim = "\x1f"

// layer is what one place says.
type layer struct {
	// values by key name; those of maps are whole.
	values map[string]any
	// origin tells where a value was written.
	origin func(key) string
	// chosen is the context that it names, if it does.
	chosen string
}

// loader puts the layers together.
type loader struct {
	keys     []key
	env      environment
	problems []Problem
	layers   []layer
	files    []string
}

func (l *loader) problem(key, source string, err error) {
	p := Problem{Key: key, Source: source, Problem: err.Error()}
	var m *model.Mistake
	if errors.As(err, &m) {
		p.Problem, p.Hint = m.Problem, m.Hint
	}
	l.problems = append(l.problems, p)
}

// Load reads all sources, checks everything and returns the configuration, or an *Error with all that is wrong.
func Load(s Sources) (*Config, error) {
	l := &loader{keys: keys(), env: environmentOf(s.Environ)}
	base := defaults(s.Hostname, l.env)
	if err := l.defaults(base); err != nil {
		return nil, err
	}
	l.readFiles(s)
	l.environ(s.Environ)
	l.flags(s.Flags)
	c, err := l.merge()
	if err != nil {
		return nil, err
	}
	if len(l.problems) == 0 {
		l.together(c)
	}
	if len(l.problems) > 0 {
		return nil, &Error{l.problems}
	}
	return c, nil
}

func (l *loader) defaults(base Config) error {
	ko := koanf.New(delim)
	if err := ko.Load(structs.Provider(base, "koanf"), nil); err != nil {
		return fmt.Errorf("defaults: %w", err)
	}
	values := map[string]any{}
	for _, k := range l.keys {
		values[k.name] = ko.Get(k.path())
	}
	l.layers = append(l.layers, layer{values: values, origin: func(key) string { return sourceDefault }})
	return nil
}

// path is the key inside koanf.
func (k key) path() string { return strings.ReplaceAll(k.name, ".", delim) }

// readFiles reads the file that was asked for, or those that are there.
func (l *loader) readFiles(s Sources) {
	if name, source := l.asked(s.Flags); name != "" {
		l.readFile(name, source, false)
		return
	}
	l.readFile(s.System, "", true)
	l.readFile(userFile(l.env), "", true)
}

// FileFlag is the flag that names a file to read instead of the usual ones; TROUPE_CONFIG does the same.
const FileFlag = "config"

func (l *loader) asked(flags *pflag.FlagSet) (name, source string) {
	if flags != nil {
		if f := flags.Lookup(FileFlag); f != nil && f.Changed {
			return f.Value.String(), "--" + FileFlag
		}
	}
	return l.env[envPrefix+"CONFIG"], envPrefix + "CONFIG"
}

// userFile is the file of the user; empty if there is no home.
func userFile(e environment) string {
	dir := e["XDG_CONFIG_HOME"]
	if !filepath.IsAbs(dir) {
		if !filepath.IsAbs(e["HOME"]) {
			return ""
		}
		dir = filepath.Join(e["HOME"], ".config")
	}
	return filepath.Join(dir, "troupe", "config.yaml")
}

// readFile adds the layer of a file. A usual file may be missing, one that was asked for may not.
func (l *loader) readFile(name, asked string, optional bool) {
	if name == "" {
		return
	}
	info, err := os.Stat(name)
	switch {
	case optional && errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		l.problem("", cmp.Or(asked, name), err)
		return
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		l.problem("", name, mistake("name a YAML file", "is no file of at most %d bytes", maxFile))
		return
	}
	ko := koanf.New(delim)
	if err := ko.Load(file.Provider(name), yaml.Parser()); err != nil {
		l.problem("", name, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", " ")))
		return
	}
	l.files = append(l.files, name)
	l.add(l.nested(ko.Raw(), "", name), func(key) string { return name })
}

// nested flattens what a file says into values by key name, and refuses names that are none.
func (l *loader) nested(m map[string]any, section, source string) map[string]any {
	flat := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		full, value := name, m[name]
		if section != "" {
			full = section + "." + name
		}
		if _, ok := find(l.keys, full); ok && !strings.Contains(name, ".") {
			flat[full] = value
			continue
		}
		inside := under(l.keys, full)
		switch sub, ok := value.(map[string]any); {
		case len(inside) == 0:
			l.problem(full, source, mistake(l.nearest(full, section), "unknown key"))
		case ok:
			maps.Copy(flat, l.nested(sub, full, source))
		case value != nil:
			l.problem(full, source, mistake("write below it "+names(inside), "is %s", shape(value)))
		}
	}
	return flat
}

// nearest is the hint for a key that is not there: the right one, or what its section holds.
func (l *loader) nearest(name, section string) string {
	if _, dotted := find(l.keys, name); dotted {
		top, rest, _ := strings.Cut(name, ".")
		return "write " + top + ": {" + strings.ReplaceAll(rest, ".", ": {") + ": ...}" + strings.Repeat("}", strings.Count(rest, "."))
	}
	if near := model.Nearest(name, append(allNames(l.keys), sections(l.keys)...)); near != "" {
		return "did you mean " + near + "?"
	}
	if section == "" {
		return "there are " + strings.Join(sections(l.keys), ", ")
	}
	return "there are " + names(under(l.keys, section))
}

// under are the keys of a section.
func under(list []key, section string) []key {
	return slices.DeleteFunc(slices.Clone(list), func(k key) bool { return !strings.HasPrefix(k.name, section+".") })
}

func allNames(list []key) []string {
	all := make([]string, len(list))
	for i, k := range list {
		all[i] = k.name
	}
	return all
}

func names(list []key) string { return strings.Join(allNames(list), ", ") }

// sections are the names of the top level.
func sections(list []key) []string {
	var tops []string
	for _, k := range list {
		if top, _, _ := strings.Cut(k.name, "."); !slices.Contains(tops, top) {
			tops = append(tops, top)
		}
	}
	return tops
}

// environ adds the layer of the environment. Variables with two underscores are ours, and so are TROUPE_CONTEXT and
// TROUPE_CONFIG; others that begin with TROUPE_ belong to attempts.
func (l *loader) environ(environ []string) {
	provider := env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if k, ok := l.variable(name); ok {
				return k.name, value
			}
			return "", nil
		},
	})
	values, err := provider.Read()
	if err != nil {
		l.problem("", "environment", err)
		return
	}
	l.add(values, key.env)
}

// variable is the key that a variable stands for, if it is one.
func (l *loader) variable(name string) (key, bool) {
	single := ""
	for _, k := range l.keys {
		switch name {
		case k.env():
			if k.kind == kindContexts {
				l.problem(k.name, name, mistake("write them into a file", "contexts are no variable"))
				return key{}, false
			}
			return k, true
		case strings.ReplaceAll(k.env(), "__", "_"):
			single = k.env()
		}
	}
	switch {
	case single != "":
		l.problem("", name, mistake("did you mean "+single+"?", "unknown variable"))
	case strings.Contains(strings.TrimPrefix(name, envPrefix), "__"):
		l.problem("", name, mistake(nearest(name, l.variables()), "unknown variable"))
	}
	return key{}, false
}

func (l *loader) variables() []string {
	all := make([]string, len(l.keys))
	for i, k := range l.keys {
		all[i] = k.env()
	}
	return all
}

func (l *loader) flags(flags *pflag.FlagSet) {
	if flags == nil {
		return
	}
	given := map[string]string{}
	provider := posflag.ProviderWithFlag(flags, "", nil, func(f *pflag.Flag) (string, any) {
		name := f.Annotations[flagAnnotation]
		if len(name) != 1 {
			return "", nil
		}
		given[name[0]] = f.Name
		return name[0], f.Value.String()
	})
	values, err := provider.Read()
	if err != nil {
		l.problem("", "flags", err)
		return
	}
	l.add(values, func(k key) string { return "--" + given[k.name] })
}

// add parses the values of a place and makes them a layer.
func (l *loader) add(raw map[string]any, origin func(key) string) {
	values := map[string]any{}
	for _, k := range l.keys {
		written, ok := raw[k.name]
		if !ok || written == nil {
			continue
		}
		if k.kind == kindContexts {
			values[k.name] = l.contexts(written, origin(k))
			continue
		}
		v, err := k.parse(written)
		if err != nil {
			l.problem(k.name, origin(k), err)
			continue
		}
		values[k.name] = v
	}
	chosen, _ := values["context"].(string)
	l.layers = append(l.layers, layer{values: values, origin: origin, chosen: chosen})
}
