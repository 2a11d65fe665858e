package scenario

import (
	"fmt"
	"time"
)

// Scenario is one file, with its defaults filled in.
type Scenario struct {
	// Name is that of the file without its ending, About one sentence.
	Name  string   `yaml:"-" toml:"-" json:"name"`
	About string   `yaml:"about" toml:"about" json:"about"`
	Cell  Cell     `yaml:"cell" toml:"cell" json:"cell"`
	Load  Workload `yaml:"load" toml:"load" json:"load"`
	// Faults strike at their times, Random ones again and again; both may be there.
	Faults []Fault `yaml:"faults" toml:"faults" json:"faults,omitempty"`
	Random Random  `yaml:"random" toml:"random" json:"random,omitzero"`
	// Duration is how long faults strike and work comes; then within Quiet all that can end must have ended.
	Duration Duration `yaml:"duration" toml:"duration" json:"duration"`
	Quiet    Duration `yaml:"quiet" toml:"quiet" json:"quiet"`
	// Restarts says that attempts may begin anew, because a fault kills them or keeps their node away for long.
	// Without it, every attempt that is begun twice is a violation.
	Restarts bool `yaml:"restarts" toml:"restarts" json:"restarts,omitempty"`
	// Sample is how often the size of every process is taken, for slopes; 0 is never.
	Sample Duration `yaml:"sample" toml:"sample" json:"sample,omitempty"`
}

// Cell is the shape of the cell.
type Cell struct {
	// Masters are 1, 3 or 5. NATS is how many servers there are beside them, 1, 3 or 5; 0 means that each master has its own.
	Masters int `yaml:"masters" toml:"masters" json:"masters"`
	NATS    int `yaml:"nats" toml:"nats" json:"nats"`
	// Nodes are agents, each with CPU cores that it offers.
	Nodes int `yaml:"nodes" toml:"nodes" json:"nodes"`
	CPU   int `yaml:"cpu" toml:"cpu" json:"cpu"`
	// Network is "proxy", a TCP proxy between each process and each NATS server, or "netns", a network namespace each.
	Network string `yaml:"network" toml:"network" json:"network"`
	// Disks lists the parts whose data is on a disk that faults reach: "master", "node", "nats".
	Disks []string `yaml:"disks" toml:"disks" json:"disks,omitempty"`
	// Flags are given to every process of a role, such as {master: [--limits-lost=5s]}; Env is set for all of them.
	Flags map[string][]string `yaml:"flags" toml:"flags" json:"flags,omitempty"`
	Env   map[string]string   `yaml:"env" toml:"env" json:"env,omitempty"`
}

// Workload is what the cell is given to do.
type Workload struct {
	// Services is how many instances of a service run from before the first fault to the end.
	Services int `yaml:"services" toml:"services" json:"services"`
	// Every so long a batch job of so many Instances is submitted, each of which works for Work.
	Every     Duration `yaml:"every" toml:"every" json:"every,omitempty"`
	Instances int      `yaml:"instances" toml:"instances" json:"instances,omitempty"`
	Work      Duration `yaml:"work" toml:"work" json:"work,omitempty"`
	// Clients submit, ask about and stop jobs of the same few names, as fast as Think lets them; what they are told is judged.
	Clients int      `yaml:"clients" toml:"clients" json:"clients,omitempty"`
	Think   Duration `yaml:"think" toml:"think" json:"think,omitempty"`
}

// Fault is one fault, done at a time and undone after another.
type Fault struct {
	At Duration `yaml:"at" toml:"at" json:"at"`
	// Fault is its kind, one of Kinds; Who whom it strikes: see Who.
	Fault string   `yaml:"fault" toml:"fault" json:"fault"`
	Who   Who      `yaml:"who" toml:"who" json:"who,omitempty"`
	For   Duration `yaml:"for" toml:"for" json:"for,omitempty"`
	// How is the way of a partition: "both", "out", "in" or "half-open".
	How string `yaml:"how" toml:"how" json:"how,omitempty"`
	// By is the size of what is given in time: a delay, the time of a slow disk's writes, a clock's jump.
	By Duration `yaml:"by" toml:"by" json:"by,omitempty"`
	// Times is how often it is repeated within For, such as step-downs, or how many there are of something, such as connections.
	Times int `yaml:"times" toml:"times" json:"times,omitempty"`
}

// Random is a stream of faults.
type Random struct {
	// Every is the mean time between two of them, the first after From; Of is what is drawn from.
	Every Duration `yaml:"every" toml:"every" json:"every,omitzero"`
	From  Duration `yaml:"from" toml:"from" json:"from,omitzero"`
	Of    []Fault  `yaml:"of" toml:"of" json:"of,omitempty"`
}

// Duration is written as "1m30s".
type Duration time.Duration

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; right would be 300ms, 5s or 1m30s", text)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// String is it as it is written.
func (d Duration) String() string { return time.Duration(d).String() }

// Std is it as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// kind says what a kind of fault needs.
type kind struct {
	about string
	// roles that it can strike; empty: it strikes the whole cell.
	roles []string
	// lasts says that it needs For; by and times that it needs those.
	lasts, by, times bool
	how              []string
	disk             bool
}

var kinds = map[string]kind{
	"kill":           {about: "kill -9; started again after for", roles: allRoles},
	"term":           {about: "SIGTERM, an end in order; started again after for", roles: []string{"master", "node", "nats"}},
	"stop":           {about: "SIGSTOP, and SIGCONT after for", roles: []string{"master", "node", "nats"}, lasts: true},
	"partition":      {about: "what it sends, or is sent, does not arrive", roles: []string{"master", "node", "nats"}, lasts: true, how: []string{"both", "out", "in", "half-open"}},
	"delay":          {about: "all that it sends and is sent arrives later by by", roles: []string{"master", "node"}, lasts: true, by: true},
	"reset":          {about: "its connections break", roles: []string{"master", "node"}},
	"disk-full":      {about: "there is no room on its disk", roles: diskRoles, lasts: true, disk: true},
	"disk-slow":      {about: "its disk takes by for every sync", roles: diskRoles, lasts: true, by: true, disk: true},
	"power-cut":      {about: "it dies and its disk forgets what was not synced; started again after for", roles: diskRoles, disk: true},
	"clock":          {about: "its clock jumps by by, and back", roles: []string{"master", "node"}, lasts: true, by: true},
	"step-down":      {about: "the leader of the journal's stream steps down, times times", lasts: true, times: true},
	"reconnect":      {about: "times clients connect at once, and again, until for is over", lasts: true, times: true},
	"duplicate-node": {about: "a second agent with the id of one that runs", roles: []string{"node"}, lasts: true},
	"swap":           {about: "ended in order and started as the other version, and back after for", roles: []string{"master", "node"}},
	"resign":         {about: "the leader hands over"},
	"leader-stall":   {about: "the drill of that name", lasts: true},
}

var (
	allRoles  = []string{"master", "node", "shim", "nats"}
	diskRoles = []string{"master", "node", "nats"}
)

// Kinds are the faults that there are, each with a sentence about it.
func Kinds() map[string]string {
	all := map[string]string{}
	for name, k := range kinds { //order: into a map
		all[name] = k.about
	}
	return all
}
