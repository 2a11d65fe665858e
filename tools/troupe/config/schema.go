package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

// key is one value that can be told: its name and what may be written there.
type key struct {
	name   string // nats.url
	help   string
	kind   kind
	oneof  []string
	least  int64 // of numbers
	secret bool
}

// kind says how a value is written.
type kind string

const (
	kindText     kind = "text"
	kindName     kind = "name"     // a valid name of the cell
	kindPath     kind = "path"     // a file, may be empty
	kindDir      kind = "dir"      // a folder, never empty
	kindURL      kind = "url"      // NATS servers
	kindURLs     kind = "urls"     // a list of NATS servers
	kindHTTP     kind = "httpurl"  // a web server
	kindAddress  kind = "address"  // host:port
	kindNumber   kind = "number"   // int64
	kindBool     kind = "bool"     // true or false
	kindDuration kind = "duration" // time.Duration
	kindCPU      kind = "cpu"      // milli-cores
	kindBytes    kind = "bytes"
	kindRate     kind = "rate" // bits per second
	kindList     kind = "list" // []string
	kindMap      kind = "map"  // map[string]string
	kindContexts kind = "contexts"
)

// keys are all there are, in the order of Config.
func keys() []key { return keysOf(reflect.TypeFor[Config](), "") }

// contextKeys are the keys inside one context.
func contextKeys() []key { return keysOf(reflect.TypeFor[Context](), "") }

func keysOf(t reflect.Type, section string) []key {
	var list []key
	for i := range t.NumField() {
		field := t.Field(i)
		name, ok := field.Tag.Lookup("koanf")
		if !ok {
			continue
		}
		if section != "" {
			name = section + "." + name
		}
		if field.Type.Kind() == reflect.Struct {
			list = append(list, keysOf(field.Type, name)...)
			continue
		}
		k := key{
			name: name, help: field.Tag.Get("help"), kind: kindOf(field),
			secret: field.Type == reflect.TypeFor[Secret](),
		}
		if choices := field.Tag.Get("oneof"); choices != "" {
			k.oneof = strings.Split(choices, ",")
		}
		if least, err := strconv.ParseInt(field.Tag.Get("min"), 10, 64); err == nil {
			k.least = least
		}
		list = append(list, k)
	}
	return list
}

func kindOf(field reflect.StructField) kind {
	if k := field.Tag.Get("kind"); k != "" {
		return kind(k)
	}
	switch field.Type {
	case reflect.TypeFor[bool]():
		return kindBool
	case reflect.TypeFor[int64]():
		return kindNumber
	case reflect.TypeFor[time.Duration]():
		return kindDuration
	case reflect.TypeFor[[]string]():
		return kindList
	case reflect.TypeFor[map[string]string]():
		return kindMap
	case reflect.TypeFor[map[string]Context]():
		return kindContexts
	}
	return kindText
}

const envPrefix = "TROUPE_"

// env is the variable of a key: two underscores for a dot.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "__"))
}

// flag is the flag of a key.
func (k key) flag() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.name)
}

func find(list []key, name string) (key, bool) {
	for _, k := range list {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// nearest is the hint for a name that is not among those known.
func nearest(name string, known []string) string {
	if near := model.Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return "there are " + strings.Join(known, ", ")
}
