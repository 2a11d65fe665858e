package compose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/cluster/store/objectsnap"
)

// stores is what opens the journal and the snapshots of a master, at its start and after each failure.
func (m *masterParts) stores() func(context.Context) (actors.Stores, error) {
	s := m.spec
	open := m.jetstream
	switch s.store {
	case "badger":
		open = actors.OpenStores(actors.Options{Dir: s.dir, Log: s.Log, Quota: s.Config.Master.Disk})
	case "memory":
		open = actors.OpenStores(actors.Options{Log: s.Log})
	}
	return func(ctx context.Context) (actors.Stores, error) {
		return waitForRoom(ctx, s.Log, func() (actors.Stores, error) { return open(ctx) })
	}
}

// waitForRoom opens what needs room on a disk, as often as it must: a process that would end for want of it could not go
// on when there is some.
func waitForRoom[T any](ctx context.Context, log *slog.Logger, open func() (T, error)) (T, error) {
	for told := false; ; told = true {
		opened, err := open()
		if err == nil || !errors.Is(err, badgerdb.ErrFull) && !errors.Is(err, natsd.ErrFull) {
			return opened, err
		}
		if !told {
			log.Error("there is no room on the disk; waiting for it", "reason", err)
		}
		wait := time.NewTimer(reachEvery)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return opened, fmt.Errorf("%w while waiting for room: %w", context.Cause(ctx), err)
		}
	}
}

// jetstream opens the journal in a stream, over a connection that carries nothing else, snapshots in badger beside, and
// those that all masters share in the object store.
func (m *masterParts) jetstream(ctx context.Context) (stores actors.Stores, err error) {
	s := m.spec
	var opened []func() error
	stores.Close = func() (err error) {
		for _, close := range slices.Backward(opened) {
			err = errors.Join(err, close())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stores.Close())
		}
	}()
	dial := func(lane string) (*nats.Conn, error) {
		nc, err := m.dial(lane)
		if err == nil {
			opened = append(opened, func() error { nc.Close(); return nil })
		}
		return nc, err
	}
	nc, err := dial("journal")
	if err != nil {
		return stores, err
	}
	log, err := m.openJournal(ctx, nc)
	if err != nil {
		return stores, fmt.Errorf("journal: %w", err)
	}
	stores.Log = log
	opened = append(opened, log.Close)
	db, err := badgerdb.OpenWith(badgerdb.Options{Dir: filepath.Join(s.dir, "snapshots"), Log: s.Log, Quota: s.Config.Master.Disk})
	if err != nil {
		return stores, fmt.Errorf("snapshots: %w", err)
	}
	stores.Snapshots = badgersnap.New(db)
	opened = append(opened, db.Close)
	bulk, err := dial("snapshots")
	if err != nil {
		return stores, err
	}
	shared, err := objectsnap.Open(ctx, bulk, objectsnap.Options{Cell: s.Config.Cell.Name, Replicas: replicas(s)})
	if err != nil {
		return stores, fmt.Errorf("shared snapshots: %w", err)
	}
	stores.Shared = shared
	return stores, nil
}

// openWithin is how long servers may take to agree on a leader before they are said not to answer, tellWithin how long a
// master waits for the others before it says so.
const openWithin, tellWithin = 10 * time.Second, 4 * time.Second

// openJournal finds the stream or makes it. A cluster of the masters' own servers answers only when most of them are there:
// then a master that is started first waits for the others.
func (m *masterParts) openJournal(ctx context.Context, nc *nats.Conn) (*jetstreamlog.Log, error) {
	s := m.spec
	o := jetstreamlog.Options{Cell: s.Config.Cell.Name, Replicas: replicas(s), Log: s.Log}
	if s.own {
		o.Room = m.server.Room
	}
	own := s.own && s.Config.Master.Cluster.Listen != ""
	patience := openWithin
	if own {
		patience = tellWithin
	}
	for {
		within, cancel := context.WithTimeout(ctx, patience)
		log, err := jetstreamlog.Open(within, nc, o)
		late := within.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil || !late:
			return log, err
		case !own:
			return nil, remedy(err, o.Replicas)
		}
		s.Log.Warn("the journal waits for the other masters: their NATS servers must be up, all of them at the first start of the cell, later most", "peers", strings.Join(s.Config.Master.Cluster.Routes, ","), "reason", err)
		patience = openWithin
	}
}

// remedy says what would help servers that do not open a journal.
func remedy(err error, replicas int) error {
	var told *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: JetStream is off at these servers or for this account, or too few of them are up to choose a leader; enable it by \"jetstream {}\" in their configuration", err)
	case errors.As(err, &told) && replicas > 1:
		return fmt.Errorf("%w: %d copies need as many servers with JetStream in one cluster; start them, or lower --replicas (master.replicas)", err, replicas)
	}
	return err
}

// checkServers refuses servers that another runs and whose settings would lose what was acknowledged, as far as that can
// be known: what else there is to check is checked when the journal is opened.
func checkServers(ctx context.Context, s masterSpec) error {
	if s.store != "jetstream" {
		return nil
	}
	if s.Config.NATS.SystemCreds == "" {
		s.Log.Warn("whether the NATS servers sync every write to disk cannot be known without nats.system_creds: make sure that their configuration has \"jetstream { sync_interval: always }\", or a power cut loses what was acknowledged")
		return nil
	}
	nc, err := natsd.Dial(ServersOf(s.Config), s.Config.NATS.Name+"-system", s.Log, nats.UserCredentials(s.Config.NATS.SystemCreds))
	if err != nil {
		return fmt.Errorf("nats.system_creds: %w", err)
	}
	defer nc.Close()
	return natsd.CheckSettings(ctx, nc, replicas(s))
}

// replicas of the journal: as configured, or one a server of the own cluster, as far as JetStream counts.
func replicas(s masterSpec) int {
	if n := s.Config.Master.Replicas; n > 0 {
		return int(n)
	}
	switch servers := 1 + len(s.Config.Master.Cluster.Routes); {
	case !s.own || s.Config.Master.Cluster.Listen == "":
		return 1
	case servers >= 5:
		return 5
	case servers >= 3:
		return 3
	}
	return 1
}
