package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/cluster/store/objectsnap"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// answerWait is how long a master may take to show that it lives, before the journal is made anew.
	answerWait = 3 * time.Second
	// askWait is how long one question may take.
	askWait = 2 * time.Second
	// quorumWait is how long the servers of a cluster may take to find each other.
	quorumWait = 2 * time.Minute
)

// openServers opens what a master of this configuration would have of NATS, without the master: its own server, or a way to
// those that are named.
func openServers(ctx context.Context, e Env) (*masterParts, error) {
	c := e.Config
	release, err := takeDir(c.Master.Dir)
	if err != nil {
		return nil, err
	}
	m := &masterParts{process: &Process{}, spec: masterSpec{
		Env: e, role: "restore", dir: c.Master.Dir, own: c.NATS.URL == "", listen: c.Master.Listen, store: "jetstream", remote: true,
	}}
	m.process.parts.add("lock", quiet(release))
	if err := m.openNATS(ctx); err != nil {
		return nil, errors.Join(err, m.process.Close(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// ServeOnly runs the NATS server of a master without the master until ctx ends: where the masters' own servers are one
// cluster, most of them must be up for a restore on another host. ready is called when it is up.
func ServeOnly(ctx context.Context, e Env, ready func(url string)) error {
	m, err := openServers(ctx, e)
	if err != nil {
		return err
	}
	ready(m.process.facts.NATS)
	<-ctx.Done()
	return m.process.Close(context.WithoutCancel(ctx))
}

// RestoreStream makes the journal of a cell in JetStream from a backup, and its snapshot in the store that all masters
// share. A journal that is there is a *jetstreamlog.ErrOccupied, unless replace says that it is to go; a master that
// answers is refused in any case. Snapshots in the directory of this host's master go, too: they are of another journal.
func RestoreStream(ctx context.Context, e Env, found *backup.Found, frames Frames, replace bool) error {
	m, err := openServers(ctx, e)
	if err != nil {
		return err
	}
	return errors.Join(m.restore(ctx, found, frames, replace), m.process.Close(context.WithoutCancel(ctx)))
}

func (m *masterParts) restore(ctx context.Context, found *backup.Found, frames Frames, replace bool) error {
	nc, err := m.connect("restore", nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	js, err := awaitJetStream(ctx, nc)
	if err != nil {
		return err
	}
	cell, copies := m.spec.Config.Cell.Name, replicas(m.spec)
	if err := unanswered(ctx, nc, cell); err != nil {
		return err
	}
	opts := jetstreamlog.Options{Cell: cell, Replicas: copies, Log: m.spec.Log}
	log, finish, err := jetstreamlog.Restore(ctx, nc, opts, found.First, replace)
	if err != nil {
		return err
	}
	snaps, err := freshSnapshots(ctx, nc, js, objectsnap.Options{Cell: cell, Replicas: copies})
	if err == nil {
		err = errors.Join(backup.Fill(ctx, found, frames, log, snaps, time.Now()), snaps.Close())
	}
	if err == nil {
		err = os.RemoveAll(filepath.Join(m.spec.dir, "snapshots"))
	}
	if err == nil {
		err = finish(ctx)
	}
	return errors.Join(err, log.Close())
}

// awaitJetStream waits until JetStream answers: in a cluster, until most servers are there.
func awaitJetStream(ctx context.Context, nc *nats.Conn) (jetstream.JetStream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, quorumWait)
	defer cancel()
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		try, stop := context.WithTimeout(ctx, askWait) // a question may be lost while servers begin
		_, err = js.AccountInfo(try)
		if stop(); err == nil {
			return js, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("JetStream does not answer: %w (in a cluster of the masters' own servers most must be up: run troupe restore --serve on the other hosts)", err)
		}
	}
}

// unanswered fails if a master of the cell answers.
func unanswered(ctx context.Context, nc *nats.Conn, name string) error {
	cell, err := client.New(client.Config{Conn: nc, Cell: name})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if s, err := cell.CellStatus(ctx, &v1.CellStatusRequest{}); err == nil {
		return fmt.Errorf("a master of cell %s runs, in epoch %d: stop every master first", s.GetCell(), s.GetEpoch())
	}
	return nil
}

// freshSnapshots makes the store of shared snapshots anew.
func freshSnapshots(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, opts objectsnap.Options) (journal.Snapshots, error) {
	err := js.DeleteObjectStore(ctx, objectsnap.Bucket(opts.Cell))
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, fmt.Errorf("shared snapshots: %w", err)
	}
	return objectsnap.Open(ctx, nc, opts)
}
