package crowd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/elect"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/masters"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerlog"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Kinds of cells: what keeps the journal, and how many masters there are.
const (
	Memory    = "memory"
	Badger    = "badger"
	JetStream = "jetstream"
	Masters   = "masters"
)

// mastersMany is how many masters a cell of several has.
const mastersMany = 3

var quiet = slog.New(slog.DiscardHandler)

// cell is one cell with all that stands around it.
type cell struct {
	name    string
	server  *natsd.Server
	weather *weather
	fleet   *hollow.Fleet
	closing []func()

	// The fleet and the faults find the masters here.
	mu      sync.Mutex
	masters []*actors.Cell
}

// openCell opens a cell of a kind over a server; dir is for what it keeps.
func openCell(ctx context.Context, server *natsd.Server, kind, name, dir string, w *weather) (c *cell, err error) {
	c = &cell{name: name, server: server, weather: w}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	c.fleet = hollow.New(hollow.Options{
		Nodes: 2, Info: &v1.NodeInfo{CpuMilli: 64_000, MemoryBytes: 64 << 30, Drivers: []string{"process"}}, Deliver: c.deliver,
		Outcome: func(l *v1.Launch) (v1.AttemptPhase, []byte, bool) {
			return v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED, nil, l.GetJobUid()%3 == 0 // a third of the jobs end by a stop alone
		},
	})
	stores, err := c.stores(kind, dir)
	if err != nil {
		return c, err
	}
	n := 1
	if kind == Masters {
		n = mastersMany
	}
	for i := range n {
		if err := c.openMaster(ctx, fmt.Sprint("m", i), n > 1, stores()); err != nil {
			return c, err
		}
	}
	if err := c.up(ctx); err != nil {
		return c, err
	}
	c.fleet.Start()
	return c, nil
}

func (c *cell) deliver(m *v1.FromAgent) {
	c.mu.Lock()
	all := c.masters
	c.mu.Unlock()
	for _, master := range all {
		master.Deliver(m)
	}
}

// openJournal opens the stores of one master.
type openJournal = func(context.Context) (actors.Stores, error)

// stores gives what opens the stores of each master.
func (c *cell) stores(kind, dir string) (func() openJournal, error) {
	switch kind {
	case Memory, Masters:
		disk := memlog.New(memlog.Options{})
		return func() openJournal {
			snaps := memlog.NewSnapshots()
			return func(context.Context) (actors.Stores, error) {
				snaps = snaps.Reopen()
				return actors.Stores{Log: newLog(disk.Reopen(), c.weather), Snapshots: snaps}, nil
			}
		}, nil
	case Badger:
		return func() openJournal {
			return func(context.Context) (actors.Stores, error) {
				db, err := badgerdb.Open(filepath.Join(dir, c.name), quiet)
				if err != nil {
					return actors.Stores{}, err
				}
				inner, err := badgerlog.New(db)
				if err != nil {
					return actors.Stores{}, errors.Join(err, db.Close())
				}
				return actors.Stores{Log: newLog(inner, c.weather), Snapshots: badgersnap.New(db), Close: db.Close}, nil
			}
		}, nil
	case JetStream:
		nc, err := c.connect("journal")
		if err != nil {
			return nil, err
		}
		return func() openJournal {
			snaps := memlog.NewSnapshots()
			return func(ctx context.Context) (actors.Stores, error) {
				snaps = snaps.Reopen()
				inner, err := jetstreamlog.Open(ctx, nc, jetstreamlog.Options{Cell: c.name})
				if err != nil {
					return actors.Stores{}, err
				}
				return actors.Stores{Log: newLog(inner, c.weather), Snapshots: snaps}, nil
			}
		}, c.forgetStream(nc)
	}
	return nil, fmt.Errorf("crowd: there is no cell of kind %q; it is one of %s, %s, %s, %s", kind, Memory, Badger, JetStream, Masters)
}

// forgetStream removes the stream of the journal in the end.
func (c *cell) forgetStream(nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c.closing = append(c.closing, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = js.DeleteStream(ctx, jetstreamlog.StreamName(c.name)) // the whole server is thrown away
	})
	return nil
}

func (c *cell) connect(name string) (*nats.Conn, error) {
	nc, err := c.server.Connect(c.name+" "+name, nats.NoEcho())
	if err == nil {
		c.closing = append(c.closing, nc.Close)
	}
	return nc, err
}

func (c *cell) openMaster(ctx context.Context, id string, several bool, stores openJournal) error {
	served, err := c.connect(id)
	if err != nil {
		return err
	}
	o := actors.Options{
		Name: c.name, ID: id, Host: id, Journal: stores, Fabric: fabric{c.fleet}, Limits: msg.DefaultLimits(), Log: quiet,
		Serve: func(_ context.Context, cell *actors.Cell) (func(context.Context) error, error) {
			s, err := api.Serve(api.Config{Conn: served, Cell: c.name, Version: "1.0.0", Log: quiet}, cell)
			if err != nil {
				return nil, err
			}
			return s.Close, nil
		},
	}
	o.Limits.Settle = time.Second
	if several {
		heard, err := c.connect(id + " beats")
		if err != nil {
			return err
		}
		o.Limits.ReadLease = 60 * time.Millisecond
		election, err := masters.Open(masters.Config{
			Conn: heard, Cell: c.name, ID: id, Host: id, Log: quiet,
			Elect: elect.Options{Suspect: 400 * time.Millisecond, Stagger: 100 * time.Millisecond},
		})
		if err != nil {
			return err
		}
		c.closing = append(c.closing, election.Close)
		o.Election = election
	}
	master, err := actors.Open(ctx, o)
	if err != nil {
		return err
	}
	c.closing = append(c.closing, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = master.Close(ctx) // what it says of its log is what was played
	})
	c.mu.Lock()
	c.masters = append(c.masters, master)
	c.mu.Unlock()
	return nil
}

// fabric is the agents.
type fabric struct{ fleet *hollow.Fleet }

func (f fabric) Send(m *v1.ToAgent) { f.fleet.Send(m) }

func (f fabric) Logs(context.Context, *v1.LogPlace, *v1.LogsRequest, func(*v1.LogChunk) error) error {
	return model.NotFound("hollow agents keep no output")
}

// leader is the master that leads as far as it knows; nil if none does.
func (c *cell) leader() *actors.Cell {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.masters {
		if m.Epoch() > 0 {
			return m
		}
	}
	return nil
}

// ended is why masters have given up; nil if none has.
func (c *cell) ended() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.masters {
		err = errors.Join(err, m.Err())
	}
	return err
}

// up waits until a master leads.
func (c *cell) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for c.leader() == nil {
		if pause.For(ctx, time.Millisecond) != nil {
			return fmt.Errorf("crowd: no master leads cell %s: %w", c.name, ctx.Err())
		}
	}
	return nil
}

func (c *cell) close() {
	c.weather.calmDown()
	for i := len(c.closing) - 1; i >= 0; i-- {
		c.closing[i]()
	}
}

// trouble strikes a cell of several masters: the leader resigns, or is stalled until another leads.
func (c *cell) trouble(ctx context.Context, draw func(n int) int, struck *atomic.Int32) {
	for pause.For(ctx, time.Duration(50+draw(200))*time.Millisecond) == nil {
		leader := c.leader()
		if leader == nil {
			continue
		}
		var err error
		if draw(2) == 0 {
			_, err = leader.Resign(ctx, &v1.ResignRequest{Reason: "trouble"})
		} else {
			_, err = leader.Drill(ctx, &v1.DrillRequest{Kind: "leader-stall", ForMs: int64(300 + draw(900))})
		}
		if err == nil {
			struck.Add(1)
		}
	}
}
