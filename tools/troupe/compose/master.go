package compose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/masters"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

// Env is what every composition needs of the process.
type Env struct {
	Config  *config.Config
	Version string
	Log     *slog.Logger
	// Shim is the command under which processes run.
	Shim []string
}

// Facts tell a person, and as JSON a program, where a process of a cell is.
type Facts struct {
	Cell string `json:"cell"`
	// Role is "dev", "master" or "node".
	Role string `json:"role"`
	// Node is the id of the node that runs here, if one does.
	Node string `json:"node,omitempty"`
	// NATS is the URL by which clients reach the cell, HTTP that of metrics and health.
	NATS string `json:"nats"`
	HTTP string `json:"http,omitempty"`
	// Dirs are where it keeps what lasts.
	Dirs []string `json:"dirs"`
}

// Process is a part of a cell that lasts.
type Process struct {
	facts Facts
	parts parts
	cell  *actors.Cell
	done  <-chan struct{}
	err   func() error
}

// Facts tell where it is.
func (p *Process) Facts() Facts { return p.facts }

// Done is closed when it has failed; Err tells why.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says why it has failed.
func (p *Process) Err() error { return p.err() }

// Close ends it in order; ctx bounds the wait.
func (p *Process) Close(ctx context.Context) error { return p.parts.close(ctx) }

// masterSpec says what a master is made of.
type masterSpec struct {
	Env
	role string
	// dir is where the journal and the own NATS server keep their data.
	dir string
	// taken lets go of dir; nil if it is not taken yet.
	taken func()
	// own says that it has a NATS server of its own; else it uses the one that the configuration names.
	own bool
	// listen is where the own server listens; empty means within the process only.
	listen string
	// lazily says that what the own server keeps is thrown away anyhow.
	lazily bool
	// store is where the journal is kept: "badger", "jetstream" or "memory".
	store string
	// agent in the same process; nil if there is none.
	agent *actors.AgentOptions
	// remote says that clients and agents reach the cell by NATS.
	remote bool
	// several says that there may be other masters of this cell.
	several bool
}

// openMaster opens a cell with all that stands around it. What was opened is closed again if a later part fails.
func openMaster(ctx context.Context, s masterSpec) (opened *Process, err error) {
	p := &Process{facts: Facts{Cell: s.Config.Cell.Name, Role: s.role, Dirs: []string{s.dir}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.parts.close(context.WithoutCancel(ctx)))
		}
	}()
	if s.taken == nil {
		if s.taken, err = takeDir(s.dir); err != nil {
			return nil, err
		}
	}
	p.parts.add("lock", quiet(s.taken))
	limitMemory(s.Config.Limits.MemoryBytes, s.Log)
	if !s.lazily { // what is thrown away tells nobody anything
		lastWords(s.dir, s.Log)
	}
	m := &masterParts{spec: s, process: p}
	if err := m.openNATS(ctx); err != nil {
		return nil, err
	}
	for _, open := range []func(context.Context) error{m.openEvents, m.openElection, m.openDecisions, m.openCell, m.openStale, m.openWeb, m.openProfiles} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// openNATS opens the own server, or looks for those that are named.
func (m *masterParts) openNATS(ctx context.Context) error {
	s, p := m.spec, m.process
	if !s.own {
		p.facts.NATS = ServersOf(s.Config)
		m.dial = dialer(s.Env)
		nc, err := patient(ctx, s.Env, func() (*nats.Conn, error) { return m.dial("probe") })
		if err != nil {
			return err
		}
		nc.Close()
		return checkServers(ctx, s)
	}
	o, err := s.natsOptions()
	if err != nil {
		return err
	}
	if m.server, err = waitForRoom(ctx, s.Log, func() (*natsd.Server, error) { return natsd.Start(o) }); err != nil {
		return fmt.Errorf("%w (master.listen is %q: name another address by --nats-listen if this one is taken)", err, s.listen)
	}
	p.parts.add("NATS server", quiet(m.server.Retire))
	p.facts.NATS = m.server.ClientURL()
	m.dial = func(purpose string, opts ...nats.Option) (*nats.Conn, error) {
		return m.server.Connect("troupe-"+purpose, opts...)
	}
	return nil
}

// natsOptions are those of the own server.
func (s *masterSpec) natsOptions() (natsd.Options, error) {
	cell, cluster := s.Config.Cell.Name, s.Config.Master.Cluster
	o := natsd.Options{Dir: filepath.Join(s.dir, "nats"), Name: cell + "-" + s.Config.Master.ID, StoreMax: s.Config.Master.Disk, SyncLazily: s.lazily, Log: s.Log}
	var err error
	if s.listen != "" {
		if o.Host, o.Port, err = splitAddress("master.listen", s.listen); err != nil {
			return o, err
		}
	}
	if s.remote && cluster.Listen != "" {
		o.Cluster = &natsd.Cluster{Name: cell, Routes: cluster.Routes}
		o.Cluster.Host, o.Cluster.Port, err = splitAddress("master.cluster.listen", cluster.Listen)
	}
	return o, err
}

// dialFunc opens a connection for a purpose.
type dialFunc func(purpose string, opts ...nats.Option) (*nats.Conn, error)

// dialer opens connections to the servers that the configuration names.
func dialer(e Env) dialFunc {
	return func(purpose string, opts ...nats.Option) (*nats.Conn, error) {
		name := e.Config.NATS.Name + "-" + purpose
		return natsd.Dial(ServersOf(e.Config), name, e.Log, append(credentials(e.Config), opts...)...)
	}
}

// splitAddress takes host:port apart; port 0 lets the system choose.
func splitAddress(key, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s: %q is not an address; right would be host:port, such as 127.0.0.1:4222", key, address)
	}
	if port == 0 {
		port = natsd.RandomPort
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return host, port, nil
}

// masterParts opens the parts of a master one by one.
type masterParts struct {
	spec    masterSpec
	process *Process
	dial    dialFunc

	// server is the own NATS server, nil if there is none.
	server *natsd.Server
	events *api.Publisher
	// election is nil in a cell of one master.
	election *masters.Masters
	link     link
	asked    *nats.Conn
	// lingering are services of reigns that are over.
	lingering sync.WaitGroup
	shown     shown
	// decisions records what the placer decides; nil if nobody does.
	decisions *decisions.Recorder
}

// connect opens a connection that ends with the process.
func (m *masterParts) connect(purpose string, opts ...nats.Option) (*nats.Conn, error) {
	nc, err := m.dial(purpose, opts...)
	if err == nil {
		m.process.parts.add("connection "+purpose, quiet(nc.Close))
	}
	return nc, err
}

func (m *masterParts) openEvents(context.Context) error {
	if !m.spec.remote {
		return nil
	}
	nc, err := m.connect("events")
	if err != nil {
		return err
	}
	// Requests and events have a connection each: neither waits for the other.
	if m.asked, err = m.connect("api", nats.NoEcho()); err != nil { // events and replies must not come back to it
		return err
	}
	if m.events, err = api.NewPublisher(nc, m.spec.Config.Cell.Name, m.spec.Log); err != nil {
		return err
	}
	m.process.parts.add("events", m.events.Close)
	return nil
}

func (m *masterParts) openCell(ctx context.Context) error {
	s := m.spec
	o := actors.Options{
		Name: s.Config.Cell.Name, ID: s.Config.Master.ID, Host: hostname(), Version: s.Version, Log: s.Log, Limits: s.Config.Limits.Actors(), Agent: s.agent,
		Clock: s.clock(), Journal: m.stores(), Dumps: filepath.Join(s.dir, "dumps"),
	}
	if s.remote {
		o.Fabric, o.Events, o.Agents, o.Serve = &m.link, m.events.Publish, m.openFabric, m.openAPI
	}
	if m.election != nil {
		o.Election = m.election
	}
	if s.agent != nil {
		m.process.facts.Node = s.agent.NodeID
		m.process.facts.Dirs = append(m.process.facts.Dirs, s.agent.Dir)
	}
	if m.decisions != nil {
		o.Record = m.decisions.Tap
	}
	cell, err := actors.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("cell %s in %s: %w", o.Name, s.dir, err)
	}
	p := m.process
	p.cell, p.done, p.err = cell, cell.Done(), cell.Err
	p.parts.add("cell", cell.Close)
	return nil
}

func (m *masterParts) openWeb(context.Context) error {
	cell, name := m.process.cell, m.spec.Config.Cell.Name
	metrics := append(m.shown.metrics(name), NewCellMetrics(name, cell, m.spec.Log))
	if m.election != nil {
		metrics = append(metrics, newMasterMetrics(name, m.spec.Config.Master.ID, m.election.List))
	}
	return m.process.web(m.spec.Env, WebConfig{
		Live: func() error { return ended(cell.Done(), cell.Err) },
		Ready: func(ctx context.Context) error {
			if m.election != nil {
				_, err := cell.ListMasters(ctx, &v1.ListMastersRequest{}) // who follows is well, too
				return err
			}
			_, err := cell.CellStatus(ctx, &v1.CellStatusRequest{})
			return err
		},
		Metrics: metrics,
	})
}

// web opens the port for metrics and health, if there shall be one.
func (p *Process) web(e Env, c WebConfig) error {
	if e.Config.HTTP.Listen == "" {
		return nil
	}
	c.Listen, c.Pprof, c.Log = e.Config.HTTP.Listen, e.Config.HTTP.Pprof, e.Log
	w, err := ServeWeb(c)
	if err != nil {
		return err
	}
	p.facts.HTTP = w.URL()
	p.parts.add("HTTP", w.Close)
	return nil
}

func (m *masterParts) openProfiles(context.Context) error { return m.process.profiles(m.spec.Env) }

// profiles begins to send profiles, if they shall be.
func (p *Process) profiles(e Env) error {
	if e.Config.Pyroscope.Address == "" {
		return nil
	}
	stop, err := StartProfiles(ProfileConfig{
		Address: e.Config.Pyroscope.Address, App: e.Config.Pyroscope.App, Token: string(e.Config.Pyroscope.Token), Log: e.Log,
		Tags: map[string]string{"cell": p.facts.Cell, "role": p.facts.Role, "node": p.facts.Node, "version": e.Version},
	})
	if err == nil {
		p.parts.add("profiles", func(context.Context) error { return stop() })
	}
	return err
}
