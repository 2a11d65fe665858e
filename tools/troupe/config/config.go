// Package config is what troupe is told: defaults, then files, then the environment, then flags, each over the one
// before. It is read whole, checked whole and can be shown whole, every value with the place it came from.
//
// Files are YAML: /etc/troupe/config.yaml, then ~/.config/troupe/config.yaml (under $XDG_CONFIG_HOME if that is set);
// or instead of both the one that --config or TROUPE_CONFIG names. A key nats.url is written
//
//	nats:
//	  url: nats://127.0.0.1:4222
//
// in a file, TROUPE_NATS__URL in the environment (two underscores for the dot) and --nats-url as a flag. In the
// environment and in flags a list is written a,b and a map is written k=v,k=v; maps of several places are joined.
//
// A context names a cell: "contexts: {prod: {url: ..., cell: ..., creds: ...}}" in a file, chosen by the key context.
// What it holds counts as if written where it was chosen, but values written there directly win.
package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// Config is the whole configuration, checked. It is frozen once made.
//
// The tags of a field are its schema: koanf its key, kind what is written there (by default the Go type tells), help
// what it is for, oneof the choices, min the least number.
type Config struct {
	Context   string             `koanf:"context" help:"name of the context to use, one of contexts"`
	Contexts  map[string]Context `koanf:"contexts" help:"named cells: url, cell and creds of each"`
	NATS      NATS               `koanf:"nats"`
	Cell      Cell               `koanf:"cell"`
	Master    Master             `koanf:"master"`
	Node      Node               `koanf:"node"`
	HTTP      HTTP               `koanf:"http"`
	Pyroscope Pyroscope          `koanf:"pyroscope"`
	Log       Log                `koanf:"log"`
	Limits    Limits             `koanf:"limits"`

	files   []string
	entries []Entry
}

// Context is a named cell: where it is, what it is called there and what opens it.
type Context struct {
	URL   string `koanf:"url" kind:"url" help:"NATS servers of the cell"`
	Cell  string `koanf:"cell" kind:"name" help:"name of the cell"`
	Creds string `koanf:"creds" kind:"path" help:"NATS credentials file"`
}

// NATS is how to reach the servers through which the cell talks.
type NATS struct {
	URL   string `koanf:"url" kind:"url" help:"NATS servers, several with commas; empty: none but an own one"`
	Creds string `koanf:"creds" kind:"path" help:"NATS credentials file"`
	Name  string `koanf:"name" kind:"name" help:"what this connection is called in the server's lists"`
	// SystemCreds are for nothing but the check at the start of a master.
	SystemCreds string `koanf:"system_creds" kind:"path" help:"NATS credentials file of the system account, with which a master checks that the servers sync every write"`
}

// Cell is the cell to work with.
type Cell struct {
	Name string `koanf:"name" kind:"name" help:"name of the cell"`
}

// Master is what a master needs.
type Master struct {
	ID       string        `koanf:"id" kind:"name" help:"name of this master among those of the cell"`
	Dir      string        `koanf:"dir" kind:"dir" help:"where the journal and snapshots are"`
	Listen   string        `koanf:"listen" kind:"address" help:"where the master's own NATS server listens"`
	Store    string        `koanf:"store" oneof:"badger,jetstream,memory" help:"where the journal is kept"`
	Replicas int64         `koanf:"replicas" help:"copies of a journal in JetStream: 1, 3 or 5; 0: as many as its own servers allow"`
	Peers    []string      `koanf:"peers" help:"masters whose own NATS servers make one cluster, this one among them, as host:port of the port for each other"`
	Suspect  time.Duration `koanf:"suspect" help:"silence after which a leader is taken for dead"`
	Disk     int64         `koanf:"disk" kind:"bytes" help:"most that the journal, and the snapshots beside one in JetStream, may take on disk each, at least 512Mi; 0: as much as there is"`
	Cluster  Cluster       `koanf:"cluster"`
	// Decisions are recorded for troupe replay.
	Decisions Decisions `koanf:"decisions"`
}

// Decisions are recordings of what the placer decided.
type Decisions struct {
	Dir  string `koanf:"dir" kind:"path" help:"where decisions are recorded; empty: decisions in master.dir"`
	Size int64  `koanf:"size" kind:"bytes" help:"most that recorded decisions may take, at least 1Mi; the oldest go; 0: none are recorded"`
}

// Cluster joins the own NATS servers of several masters.
type Cluster struct {
	Listen string   `koanf:"listen" kind:"address" help:"where the master's own NATS server hears its peers; empty: the port of master.peers, or nowhere"`
	Routes []string `koanf:"routes" kind:"urls" help:"peers of the master's own NATS server, as nats://host:port"`
}

// Node is what an agent needs and what it offers.
type Node struct {
	ID         string            `koanf:"id" kind:"name" help:"name of this machine in the cell"`
	Dir        string            `koanf:"dir" kind:"dir" help:"where the agent's ledger, working directories and logs are"`
	Attributes map[string]string `koanf:"attributes" help:"what jobs may ask for, such as zone=a"`
	CPU        int64             `koanf:"cpu" kind:"cpu" help:"offered to jobs; 0: all there is"`
	Memory     int64             `koanf:"memory" kind:"bytes" help:"offered to jobs; 0: all there is"`
	Disk       int64             `koanf:"disk" kind:"bytes" help:"offered to jobs; 0: what is free in node.dir"`
	Net        int64             `koanf:"net" kind:"rate" help:"offered to jobs, bits per second; 0: none"`
	Pool       string            `koanf:"pool" help:"pool of nodes that it belongs to; empty: default"`
	Taints     []string          `koanf:"taints" help:"what keeps away work that does not tolerate it, such as gpu=yes:no_place; effects no_place, avoid, evict"`
	Devices    []string          `koanf:"devices" help:"offered to jobs, as kind:model=count, such as gpu:V100=4"`
	Custom     map[string]string `koanf:"custom" help:"units of own kinds offered to jobs, such as license=3"`
	Ports      string            `koanf:"ports" help:"range of ports for jobs that ask for any, as from-to; empty: none"`
	Packages   []string          `koanf:"packages" help:"packages that are there already"`
}

// HTTP is the port for metrics and health.
type HTTP struct {
	Listen string `koanf:"listen" kind:"address" help:"where metrics and health are served; empty: nowhere"`
	Pprof  bool   `koanf:"pprof" help:"serve profiles there too"`
}

// Pyroscope is where profiles are sent.
type Pyroscope struct {
	Address string `koanf:"address" kind:"httpurl" help:"server that takes profiles; empty: none are sent"`
	App     string `koanf:"app" kind:"name" help:"name under which they are sent"`
	Token   Secret `koanf:"token" help:"what opens that server"`
}

// Log is what is written to the standard error.
type Log struct {
	Level  string `koanf:"level" oneof:"debug,info,warn,error" help:"least level that is written"`
	Format string `koanf:"format" oneof:"text,json" help:"form of a line"`
}

// Limits of one master; each is answered by a refusal that says so.
type Limits struct {
	Jobs         int64         `koanf:"jobs" min:"1" help:"live jobs"`
	Queues       int64         `koanf:"queues" min:"1" help:"queues"`
	Nodes        int64         `koanf:"nodes" min:"1" help:"nodes"`
	NodesOut     int64         `koanf:"nodes_out" help:"nodes drained at once, more only by force; 0: no limit"`
	EndedJobs    int64         `koanf:"ended_jobs" min:"1" help:"ended jobs that are remembered"`
	BacklogBytes int64         `koanf:"backlog" kind:"bytes" min:"1" help:"bytes that may wait in the journal"`
	MemoryBytes  int64         `koanf:"memory" kind:"bytes" help:"memory of the master; above 80 % new work waits, above 95 % large answers too; 0: GOMEMLIMIT, or what the control group has"`
	Heartbeat    time.Duration `koanf:"heartbeat" help:"how often an agent reports when nothing changes"`
	Suspect      time.Duration `koanf:"suspect" help:"silence after which a node gets no new work"`
	Lost         time.Duration `koanf:"lost" help:"silence after which a node counts as lost"`
	Settle       time.Duration `koanf:"settle" help:"how long a new master waits for nodes before it replaces their work"`
	LostRate     int64         `koanf:"lost_rate" help:"lost nodes a minute whose work is placed elsewhere, beyond the first few; 0: a tenth of all"`
	Isolation    int64         `koanf:"isolation" help:"percent of the nodes that may fall silent together before that is taken for the master's own isolation, and none is lost; 0: any number"`
	IsolationMax time.Duration `koanf:"isolation_max" help:"how long that is believed"`
}

// Secret is text that is never shown: not by fmt, not in logs, not by config show. Convert it to string to use it.
type Secret string

const hidden = "(hidden)"

// String hides the secret, but tells whether there is one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides it from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Actors are the limits as the actors take them.
func (l Limits) Actors() msg.Limits {
	m := msg.DefaultLimits()
	m.Jobs, m.Queues, m.Nodes, m.EndedJobs = int(l.Jobs), int(l.Queues), int(l.Nodes), int(l.EndedJobs)
	m.NodesOut, m.LostRate, m.Isolation, m.IsolationMax = int(l.NodesOut), int(l.LostRate), int(l.Isolation), l.IsolationMax
	m.BacklogBytes, m.MemoryBytes = l.BacklogBytes, l.MemoryBytes
	m.Heartbeat, m.Suspect, m.Lost, m.Settle = l.Heartbeat, l.Suspect, l.Lost, l.Settle
	return m
}

// defaults are what holds when nobody says anything, on a host of that name for a user with that environment.
func defaults(hostname string, env environment) Config {
	state := stateDir(env)
	limits := msg.DefaultLimits()
	return Config{
		NATS:      NATS{Name: "troupe"},
		Cell:      Cell{Name: "local"},
		Master:    Master{ID: nodeName(hostname), Dir: filepath.Join(state, "master"), Listen: "127.0.0.1:4222", Store: "badger", Suspect: time.Second, Decisions: Decisions{Size: 64 << 20}},
		Node:      Node{ID: nodeName(hostname), Dir: filepath.Join(state, "node"), Ports: "20000-29999"},
		Pyroscope: Pyroscope{App: "troupe"},
		Log:       Log{Level: "info", Format: "text"},
		Limits: Limits{
			Jobs: int64(limits.Jobs), Queues: int64(limits.Queues), Nodes: int64(limits.Nodes), NodesOut: int64(limits.NodesOut),
			LostRate: int64(limits.LostRate), Isolation: int64(limits.Isolation), IsolationMax: limits.IsolationMax,
			EndedJobs: int64(limits.EndedJobs), BacklogBytes: limits.BacklogBytes, MemoryBytes: limits.MemoryBytes,
			Heartbeat: limits.Heartbeat, Suspect: limits.Suspect, Lost: limits.Lost, Settle: limits.Settle,
		},
	}
}

// stateDir is where a user's programs keep what must outlive them; without a home it is the system's place.
func stateDir(env environment) string {
	if dir := env["XDG_STATE_HOME"]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "troupe")
	}
	if home := env["HOME"]; filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "troupe")
	}
	return "/var/lib/troupe"
}

// nodeName makes a host name fit for a node: the part before the first dot, in small letters.
func nodeName(hostname string) string {
	short, _, _ := strings.Cut(hostname, ".")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(short)), "-_")
	if !model.ValidName(name) {
		return "node"
	}
	return name
}
