package config

import (
	"fmt"

	"github.com/spf13/pflag"
)

// flagAnnotation marks a flag with the key that it sets.
const flagAnnotation = "troupe.key"

// AddFlag gives a key a flag. An empty name means the usual one: nats.url becomes --nats-url. What the flag takes and
// what it is for come from the key. It panics if there is no such key, or if a flag cannot carry it: secrets would be
// seen in the list of processes.
func AddFlag(fs *pflag.FlagSet, name, of string) *pflag.Flag {
	k, ok := find(keys(), of)
	if !ok {
		panic(fmt.Sprintf("config: there is no key %q; %s", of, nearest(of, allNames(keys()))))
	}
	if k.secret || k.kind == kindContexts {
		panic(fmt.Sprintf("config: %s is nothing for a flag", of))
	}
	if name == "" {
		name = k.flag()
	}
	f := fs.VarPF(&written{kind: k.kind}, name, "", k.help+" ("+k.name+")")
	if k.kind == kindBool {
		f.NoOptDefVal = "true"
	}
	f.Annotations = map[string][]string{flagAnnotation: {k.name}}
	return f
}

// AddFileFlag adds --config.
func AddFileFlag(fs *pflag.FlagSet) {
	fs.String(FileFlag, "", "configuration file to read instead of the usual ones")
}

// written is a flag as it stands on the command line; Load reads it. Lists and maps may be given several times.
type written struct {
	kind kind
	text string
	set  bool
}

func (w *written) String() string { return w.text }

func (w *written) Set(text string) error {
	if many := w.kind == kindList || w.kind == kindURLs || w.kind == kindMap; many && w.set {
		text = w.text + "," + text
	}
	w.text, w.set = text, true
	return nil
}

func (w *written) Type() string {
	if w.kind == kindText {
		return "string"
	}
	return string(w.kind)
}
