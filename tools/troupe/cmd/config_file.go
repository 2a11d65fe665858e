package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-sched/troupe/tools/troupe/config"
)

// configFile is a configuration file that is changed by hand of a command: what a person wrote around the change,
// comments too, stays.
type configFile struct {
	document yaml.Node
}

// changeConfig changes the file in which contexts are kept. What comes out must be a valid configuration, or nothing is
// changed. It returns the name of the file.
func (a *App) changeConfig(cmd *cobra.Command, change func(*configFile)) (string, error) {
	sources := a.Sources(cmd.Flags())
	name, err := changedFile(cmd, sources.Environ)
	if err != nil {
		return "", err
	}
	f := &configFile{}
	if err := f.read(name); err != nil {
		return name, usagef("%s: %v", name, err)
	}
	change(f)
	data, err := yaml.Marshal(&f.document)
	if err != nil {
		return name, fmt.Errorf("%s: %w", name, err)
	}
	return name, replaceConfig(name, data)
}

// changedFile is the file that --config or TROUPE_CONFIG names, or else the user's.
func changedFile(cmd *cobra.Command, environ []string) (string, error) {
	if f := cmd.Flags().Lookup(config.FileFlag); f != nil && f.Changed {
		return f.Value.String(), nil
	}
	env := map[string]string{}
	for _, v := range environ {
		if name, value, ok := strings.Cut(v, "="); ok {
			env[name] = value
		}
	}
	switch {
	case env["TROUPE_CONFIG"] != "":
		return env["TROUPE_CONFIG"], nil
	case filepath.IsAbs(env["XDG_CONFIG_HOME"]):
		return filepath.Join(env["XDG_CONFIG_HOME"], "troupe", "config.yaml"), nil
	case filepath.IsAbs(env["HOME"]):
		return filepath.Join(env["HOME"], ".config", "troupe", "config.yaml"), nil
	}
	return "", usagef("there is no place for contexts: name a file by --%s, or set HOME", config.FileFlag)
}

// read loads the file; one that is missing or empty is an empty map.
func (f *configFile) read(name string) error {
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := yaml.Unmarshal(data, &f.document); err != nil {
		return err
	}
	if f.document.Kind == 0 {
		f.document = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	if f.document.Content[0].Kind != yaml.MappingNode {
		return errors.New("is no map of keys; right would be a YAML map such as nats: {url: ...}")
	}
	return nil
}

// set writes value at the path of keys, making the maps on the way.
func (f *configFile) set(value string, path ...string) {
	at := f.document.Content[0]
	for _, key := range path[:len(path)-1] {
		next := entry(at, key)
		if next == nil || next.Kind != yaml.MappingNode {
			next = &yaml.Node{Kind: yaml.MappingNode}
			put(at, key, next)
		}
		at = next
	}
	text := &yaml.Node{}
	text.SetString(value)
	put(at, path[len(path)-1], text)
}

// remove takes a key of the top level out.
func (f *configFile) remove(key string) {
	m := f.document.Content[0]
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return
		}
	}
}

func entry(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

func put(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			value.HeadComment, value.LineComment, value.FootComment = m.Content[i+1].HeadComment, m.Content[i+1].LineComment, m.Content[i+1].FootComment
			m.Content[i+1] = value
			return
		}
	}
	name := &yaml.Node{}
	name.SetString(key)
	m.Content = append(m.Content, name, value)
}

// replaceConfig puts data in the place of the file in one step, if it is a valid configuration. The file may hold
// secrets: nobody else may read it.
func replaceConfig(name string, data []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".config-*.yaml")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // after the rename there is nothing left to remove
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if _, err := config.Load(config.Sources{Environ: []string{"TROUPE_CONFIG=" + tmp.Name()}}); err != nil {
		var wrong *config.Error
		if errors.As(err, &wrong) {
			for i, p := range wrong.Problems {
				wrong.Problems[i].Source = strings.ReplaceAll(p.Source, tmp.Name(), name)
			}
		}
		return &exitError{exitUsage, err}
	}
	return os.Rename(tmp.Name(), name)
}
