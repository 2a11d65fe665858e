package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/troupe-sched/troupe/actors/msg"
)

// world is what a test says in each place; empty places say nothing.
type world struct {
	system, user, asked string // contents of files
	env                 []string
	args                []string
}

// load runs Load in a world of its own and returns the folder that stands for home.
func load(t *testing.T, w world) (*Config, string, error) {
	t.Helper()
	home := t.TempDir()
	s := Sources{
		Environ:  append([]string{"HOME=" + home, "PATH=/bin"}, w.env...),
		Hostname: "Box-7.example.org",
		System:   filepath.Join(home, "system.yaml"),
		Flags:    allFlags(t),
	}
	place := func(name, text string) {
		if text == "" {
			return
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	place(s.System, w.system)
	place(filepath.Join(home, ".config", "troupe", "config.yaml"), w.user)
	place(filepath.Join(home, "asked.yaml"), w.asked)
	args := slices.Clone(w.args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "$HOME", home)
	}
	for i := range s.Environ {
		s.Environ[i] = strings.ReplaceAll(s.Environ[i], "$HOME", home)
	}
	if err := s.Flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	c, err := Load(s)
	return c, home, err
}

func allFlags(t *testing.T) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("troupe", pflag.ContinueOnError)
	AddFileFlag(flags)
	for _, k := range keys() {
		if !k.secret && k.kind != kindContexts {
			AddFlag(flags, "", k.name)
		}
	}
	return flags
}

func TestDefaultsHoldWhenNobodySaysAnything(t *testing.T) {
	c, home, err := load(t, world{})
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(home, ".local", "state", "troupe")
	want := fmt.Sprint(
		NATS{Name: "troupe"}, Cell{"local"},
		Master{ID: "box-7", Dir: filepath.Join(state, "master"), Listen: "127.0.0.1:4222", Store: "badger", Suspect: time.Second, Decisions: Decisions{Size: 64 << 20}},
		Node{ID: "box-7", Dir: filepath.Join(state, "node"), Ports: "20000-29999"}, HTTP{}, Pyroscope{App: "troupe"}, Log{"info", "text"})
	if got := fmt.Sprint(c.NATS, c.Cell, c.Master, c.Node, c.HTTP, c.Pyroscope, c.Log); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := c.Limits.Actors(); got != msg.DefaultLimits() {
		t.Errorf("limits %+v are not those of the actors, %+v", got, msg.DefaultLimits())
	}
	for _, e := range c.Entries() {
		if e.Source != "default" {
			t.Errorf("%s comes from %q", e.Key, e.Source)
		}
	}
	if len(c.Files()) != 0 {
		t.Errorf("files %v", c.Files())
	}
}

func TestEachPlaceBeatsTheOneBeforeIt(t *testing.T) {
	full := world{
		system: "log: {level: debug}", user: "log: {level: info}",
		env: []string{"TROUPE_LOG__LEVEL=warn"}, args: []string{"--log-level=error"},
	}
	for _, test := range []struct {
		name         string
		change       func(*world)
		want, source string
	}{
		{"flag", func(*world) {}, "error", "--log-level"},
		{"environment", func(w *world) { w.args = nil }, "warn", "TROUPE_LOG__LEVEL"},
		{"user", func(w *world) { w.args, w.env = nil, nil }, "info", "config.yaml"},
		{"system", func(w *world) { w.args, w.env, w.user = nil, nil, "" }, "debug", "system.yaml"},
		{"default", func(w *world) { *w = world{} }, "info", "default"},
		{"asked by flag", func(w *world) {
			w.asked, w.env, w.args = "log: {level: error}", nil, []string{"--config", "$HOME/asked.yaml"}
		}, "error", "asked.yaml"},
		{"asked by variable", func(w *world) {
			w.asked, w.env, w.args = "log: {level: error}", []string{"TROUPE_CONFIG=$HOME/asked.yaml"}, nil
		}, "error", "asked.yaml"},
		{"asked file does not hide the environment", func(w *world) {
			w.asked, w.args = "log: {level: error}", []string{"--config", "$HOME/asked.yaml"}
		}, "warn", "TROUPE_LOG__LEVEL"},
		{"asked file alone is read", func(w *world) {
			w.asked, w.env, w.args = "log: {format: json}", nil, []string{"--config", "$HOME/asked.yaml"}
		}, "info", "default"},
		{"empty in the file", func(w *world) { w.env, w.args, w.user = nil, nil, "log: {level: }" }, "debug", "system.yaml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := full
			test.change(&w)
			c, _, err := load(t, w)
			if err != nil {
				t.Fatal(err)
			}
			e := entry(t, c, "log.level")
			if c.Log.Level != test.want || e.Value != test.want || filepath.Base(e.Source) != test.source {
				t.Errorf("level %q, shown as %+v; want %q from %s", c.Log.Level, e, test.want, test.source)
			}
		})
	}
}

func entry(t *testing.T, c *Config, key string) Entry {
	t.Helper()
	i := slices.IndexFunc(c.Entries(), func(e Entry) bool { return e.Key == key })
	if i < 0 {
		t.Fatalf("no entry %s in %+v", key, c.Entries())
	}
	return c.Entries()[i]
}

func TestEveryKeyCanBeToldInEveryPlace(t *testing.T) {
	samples := map[kind][2]string{ // as written, as shown
		kindText: {"x", "x"}, kindName: {"x", "x"}, kindPath: {"/x", "/x"}, kindDir: {"/x", "/x"},
		kindURL: {"nats://h:1", "nats://h:1"}, kindURLs: {"nats://h:1,nats://i:2", "nats://h:1,nats://i:2"},
		kindHTTP: {"https://h", "https://h"}, kindAddress: {"h:1", "h:1"}, kindNumber: {"17", "17"},
		kindBool: {"true", "true"}, kindDuration: {"17s", "17s"}, kindCPU: {"1.5", "1500m"}, kindBytes: {"1Gi", "1Gi"},
		kindRate: {"10M", "10M"}, kindMap: {"k=v", "v"}, kindList: {"a,b", "a,b"},
	}
	for _, k := range keys() {
		if k.kind == kindContexts || k.name == "context" {
			continue
		}
		written, shown := samples[k.kind][0], samples[k.kind][1]
		if written == "" {
			t.Fatalf("%s: no sample of kind %q", k.name, k.kind)
		}
		switch { // values that must fit to the others
		case k.oneof != nil:
			written, shown = k.oneof[len(k.oneof)-1], k.oneof[len(k.oneof)-1]
		case k.name == "limits.heartbeat":
			written, shown = "2s", "2s"
		case k.name == "node.custom":
			written, shown = "k=7", "7"
		case k.name == "node.ports":
			written, shown = "80-90", "80-90"
		case k.name == "master.replicas":
			written, shown = "3", "3"
		case k.name == "master.peers":
			written, shown = "h:1,i:1,j:1", "h:1,i:1,j:1"
		case k.name == "limits.suspect":
			written, shown = "3s", "3s"
		case k.secret:
			shown = hidden
		}
		extra := map[string]string{"http.pprof": "--http-listen=:1", "master.cluster.listen": "--master-store=jetstream", "master.replicas": "--master-store=jetstream"}[k.name]
		section, last, _ := strings.Cut(k.name, ".")
		yaml := fmt.Sprintf("%s: {%s: %q}", section, last, written)
		if sub, leaf, deep := strings.Cut(last, "."); deep {
			yaml = fmt.Sprintf("%s: {%s: {%s: %q}}", section, sub, leaf, written)
		}
		places := map[string]world{"file": {user: yaml}, "environment": {env: []string{k.env() + "=" + written}}}
		if !k.secret {
			places["flag"] = world{args: []string{"--" + k.flag() + "=" + written}}
		}
		name := k.name
		if k.kind == kindMap {
			name += ".k"
		}
		for place, w := range places {
			if extra != "" {
				w.args = append(w.args, extra)
			}
			c, _, err := load(t, w)
			if err != nil {
				t.Errorf("%s in %s: %v", k.name, place, err)
				continue
			}
			if e := entry(t, c, name); e.Value != shown || e.Source == "default" {
				t.Errorf("%s in %s is shown as %+v, want %q", k.name, place, e, shown)
			}
		}
	}
}

func TestB30_PeersSayAllThereIsToSayOfSeveralMasters(t *testing.T) {
	c, _, err := load(t, world{args: []string{"--master-peers=10.0.0.1:6222,10.0.0.2:6222,10.0.0.3:6222"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Cluster{Listen: "0.0.0.0:6222", Routes: []string{"nats://10.0.0.1:6222", "nats://10.0.0.2:6222", "nats://10.0.0.3:6222"}}
	if fmt.Sprint(c.Master.Cluster) != fmt.Sprint(want) || c.Master.Store != "jetstream" {
		t.Errorf("master is %+v", c.Master)
	}
	if e := entry(t, c, "master.store"); e.Value != "jetstream" || e.Source != "master.peers" {
		t.Errorf("the store is shown as %+v", e)
	}
	c, _, err = load(t, world{args: []string{"--master-peers=h:1,h:2,h:3", "--master-cluster-listen=h:2", "--master-replicas=1"}})
	if err != nil || c.Master.Cluster.Listen != "h:2" || c.Master.Replicas != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestValuesReachTheirFields(t *testing.T) {
	c, _, err := load(t, world{
		user: `
nats: {url: "nats://a:1, nats://b:2", creds: /c}
master:
  store: jetstream
  cluster: {listen: ":6222", routes: [nats://m1:6222, nats://m2:6222]}
node: {cpu: 2.5, memory: 4Gi, disk: 1000, net: 1G, attributes: {zone: a, troupe.io/ssd: true, slots: 3}}
http: {listen: ":9", pprof: true}
limits: {jobs: 7, heartbeat: 500ms, backlog: 1Mi}
`,
		env:  []string{"TROUPE_NODE__ATTRIBUTES=zone=b,rack=r 1", "TROUPE_PYROSCOPE__TOKEN=geheim"},
		args: []string{"--node-attributes", "room=x", "--node-attributes=rack=r2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Node{ID: "box-7", Dir: c.Node.Dir, CPU: 2500, Memory: 4 << 30, Disk: 1000, Net: 1e9, Ports: "20000-29999",
		Attributes: map[string]string{"zone": "b", "troupe.io/ssd": "true", "slots": "3", "rack": "r2", "room": "x"}}
	if fmt.Sprint(c.Node) != fmt.Sprint(want) {
		t.Errorf("node %+v, want %+v", c.Node, want)
	}
	if !slices.Equal(c.Master.Cluster.Routes, []string{"nats://m1:6222", "nats://m2:6222"}) {
		t.Errorf("routes %q", c.Master.Cluster.Routes)
	}
	if l := c.Limits; l.Jobs != 7 || l.Heartbeat != 500*time.Millisecond || l.BacklogBytes != 1<<20 {
		t.Errorf("limits %+v", l)
	}
	if got := c.Limits.Actors(); got.Jobs != 7 || got.Heartbeat != 500*time.Millisecond || got.BacklogBytes != 1<<20 {
		t.Errorf("limits of the actors %+v", got)
	}
	if string(c.Pyroscope.Token) != "geheim" || !c.HTTP.Pprof {
		t.Errorf("pyroscope %q, http %+v", string(c.Pyroscope.Token), c.HTTP)
	}
	for key, source := range map[string]string{
		"node.attributes.zone": "TROUPE_NODE__ATTRIBUTES", "node.attributes.rack": "--node-attributes", "node.attributes.slots": "config.yaml",
		`node.attributes["troupe.io/ssd"]`: "config.yaml",
	} {
		if e := entry(t, c, key); filepath.Base(e.Source) != source {
			t.Errorf("%s comes from %s, want %s", key, e.Source, source)
		}
	}
}

func TestMissingAskedFileIsAnError(t *testing.T) {
	for _, w := range []world{
		{args: []string{"--config=/no/such/file.yaml"}},
		{env: []string{"TROUPE_CONFIG=/no/such/file.yaml"}},
	} {
		_, _, err := load(t, w)
		if err == nil || !strings.Contains(err.Error(), "/no/such/file.yaml") {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestUsualFilesAreFoundByTheEnvironment(t *testing.T) {
	for _, test := range []struct {
		env  environment
		file string
		dir  string
	}{
		{environment{"HOME": "/h"}, "/h/.config/troupe/config.yaml", "/h/.local/state/troupe"},
		{environment{"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c/troupe/config.yaml", "/s/troupe"},
		{environment{"HOME": "/h", "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "s"}, "/h/.config/troupe/config.yaml", "/h/.local/state/troupe"},
		{environment{}, "", "/var/lib/troupe"},
	} {
		if file, dir := userFile(test.env), stateDir(test.env); file != test.file || dir != test.dir {
			t.Errorf("%v: %q and %q, want %q and %q", test.env, file, dir, test.file, test.dir)
		}
	}
}

func TestNodeNameFromHostName(t *testing.T) {
	for host, want := range map[string]string{
		"box": "box", "Box-7.example.org": "box-7", "": "node", "...": "node", "-_-": "node", "räder": "r-der",
		strings.Repeat("a", 200): "node",
	} {
		if got := nodeName(host); got != want {
			t.Errorf("%q becomes %q, want %q", host, got, want)
		}
	}
}

func TestFromProcessReadsThisProcess(t *testing.T) {
	t.Setenv("TROUPE_CELL__NAME", "here")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	s := FromProcess(nil)
	if s.System != SystemFile {
		t.Errorf("system file %q", s.System)
	}
	if _, err := os.Stat(s.System); !errors.Is(err, fs.ErrNotExist) {
		t.Skipf("this machine has a %s of its own", s.System)
	}
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cell.Name != "here" {
		t.Errorf("cell %q", c.Cell.Name)
	}
}
