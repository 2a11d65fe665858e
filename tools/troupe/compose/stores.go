package compose

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
)

// stores is what opens the journal and the snapshots of a master, at its start and after each failure.
func (m *masterParts) stores() func(context.Context) (actors.Stores, error) {
	s := m.spec
	switch s.store {
	case "jetstream":
		return m.jetstream
	case "memory":
		return actors.OpenStores(actors.Options{Log: s.Log})
	}
	return actors.OpenStores(actors.Options{Dir: s.dir, Log: s.Log})
}

// jetstream opens the journal in a stream, over a connection that carries nothing else, and snapshots in badger beside.
func (m *masterParts) jetstream(ctx context.Context) (actors.Stores, error) {
	s := m.spec
	nc, err := m.dial("journal")
	if err != nil {
		return actors.Stores{}, err
	}
	log, err := jetstreamlog.Open(ctx, nc, jetstreamlog.Options{Cell: s.Config.Cell.Name, Replicas: replicas(s), Log: s.Log})
	if err != nil {
		nc.Close()
		return actors.Stores{}, fmt.Errorf("journal: %w", err)
	}
	db, err := badgerdb.Open(filepath.Join(s.dir, "snapshots"), s.Log)
	if err != nil {
		err = errors.Join(fmt.Errorf("snapshots: %w", err), log.Close())
		nc.Close()
		return actors.Stores{}, err
	}
	return actors.Stores{Log: log, Snapshots: badgersnap.New(db), Close: func() error {
		err := db.Close()
		nc.Close()
		return err
	}}, nil
}

// replicas of the journal: one a server of the own cluster, as far as JetStream counts.
func replicas(s masterSpec) int {
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
