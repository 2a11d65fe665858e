// Package objectsnap keeps snapshots of the cell's state where all its masters find them: in a bucket of the JetStream
// object store. A generation is one object, named by the record that it ends with, how many entries it has and their
// hash; it is there from the moment in which its description is stored, which comes last. What a crash leaves is swept up
// later. Whoever saves the snapshot of a record saves the same bytes, so it does no harm if two masters do.
package objectsnap

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
)

const (
	// chunkSize is the size of the messages that hold an object: the server refuses too many small ones at once.
	chunkSize = 1 << 20
	// keep is how many generations are kept.
	keep = 2
	// sweepAge is after how long chunks without a description are taken for the rest of a save that died.
	sweepAge = 10 * time.Minute
	// callMax bounds a request; a transfer may take as much more as its size needs at slowest bytes a second.
	callMax = 10 * time.Second
	// openMax bounds one try to open the bucket.
	openMax = 3 * time.Second
	// listMax bounds one try to list what is in it.
	listMax = 2 * time.Second
	slowest = 4 << 20
)

// Options of a Snapshots. Cell is required.
type Options struct {
	// Cell names the cell; its snapshots have a bucket of their own.
	Cell string
	// Replicas of the bucket: as many as the journal has; 1 if zero.
	Replicas int
	// BytesMax bounds a bucket that is made; 0 means the limits of the server.
	BytesMax int64
}

// Snapshots keeps the snapshots that the masters of a cell share. It implements journal.Snapshots.
type Snapshots struct {
	bucket  string
	objects jetstream.ObjectStore
	stream  jetstream.Stream
	closed  atomic.Bool
	// sweepAge is the constant of that name but in tests.
	sweepAge time.Duration
}

var _ journal.Snapshots = (*Snapshots)(nil)

// Bucket is the name of the bucket of a cell.
func Bucket(cell string) string { return "TROUPE_SNAPSHOTS_" + cell }

// Open opens the bucket of a cell over nc, and makes it if there is none. nc stays the caller's to close; it best carries
// nothing that must not wait.
func Open(ctx context.Context, nc *nats.Conn, opts Options) (*Snapshots, error) {
	for deadline := time.Now().Add(jetstreamlog.Patience); ; {
		s, err := open(ctx, nc, opts)
		if err == nil {
			return s, nil
		}
		// Servers that are still finding each other do not answer, or say that they are not available.
		// And one that another master has just made is not known to all of them at once.
		passes := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) ||
			errors.Is(err, jetstream.ErrStreamNotFound)
		if !passes || ctx.Err() != nil || time.Now().After(deadline) {
			return nil, fmt.Errorf("objectsnap: snapshots of cell %s: %w", model.Quote(opts.Cell), jetstreamlog.PortError(err))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func open(ctx context.Context, nc *nats.Conn, opts Options) (*Snapshots, error) {
	if !model.ValidName(opts.Cell) {
		return nil, fmt.Errorf("it is not a name: it must be of a-z, 0-9, _ and -, the first a letter or a digit, at most %d of them", model.MaxNameLen)
	}
	if nc.MaxPayload() <= chunkSize {
		return nil, fmt.Errorf("the server takes messages of at most %d bytes, a chunk has %d: set its max_payload to 2MB", nc.MaxPayload(), chunkSize)
	}
	// What is asked while the servers choose a leader may get no answer at all, so it is asked again soon.
	ctx, cancel := context.WithTimeout(ctx, openMax)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	opts.Replicas = max(opts.Replicas, 1)
	s := &Snapshots{bucket: Bucket(opts.Cell), sweepAge: sweepAge}
	s.objects, err = js.ObjectStore(ctx, s.bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		s.objects, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: s.bucket, Description: "snapshots of the Troupe cell " + opts.Cell,
			Storage: jetstream.FileStorage, Replicas: opts.Replicas, MaxBytes: opts.BytesMax,
		})
	}
	if err != nil {
		return nil, err
	}
	if s.stream, err = js.Stream(ctx, "OBJ_"+s.bucket); err != nil {
		return nil, err
	}
	is := s.stream.CachedInfo().Config
	if is.Replicas != opts.Replicas || is.Storage != jetstream.FileStorage || is.MaxAge != 0 {
		return nil, fmt.Errorf("stream %s has %d replicas in %v storage and a max age of %v; it must have %d, File and none: change it with `nats stream edit %s`",
			is.Name, is.Replicas, is.Storage, is.MaxAge, opts.Replicas, is.Name)
	}
	return s, nil
}

// generation describes one object.
type generation struct {
	seq, count uint64
	sum        string // SHA-256 of its body, in hexadecimals
	name, nuid string
	size       uint64
	chunks     uint32
	stored     time.Time
}

func parse(info *jetstream.ObjectInfo) (g generation, ok bool) {
	parts := strings.Split(info.Name, ".")
	if len(parts) != 3 {
		return g, false
	}
	seq, err := strconv.ParseUint(parts[0], 10, 64)
	count, err2 := strconv.ParseUint(parts[1], 10, 64)
	return generation{
		seq: seq, count: count, sum: parts[2], name: info.Name, nuid: info.NUID, size: info.Size, chunks: info.Chunks, stored: info.ModTime,
	}, err == nil && err2 == nil && len(parts[2]) == 64
}

// generations lists those that there are, the newest first; of one record only the one that was stored last.
func (s *Snapshots) generations(ctx context.Context) (list []generation, err error) {
	infos, err := s.infos(ctx)
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if g, ok := parse(info); ok {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b generation) int {
		return cmp.Or(cmp.Compare(b.seq, a.seq), b.stored.Compare(a.stored))
	})
	return list, nil
}

// infos lists what is in the bucket. What is asked of a stream without a leader is not answered, and so it is asked again.
func (s *Snapshots) infos(ctx context.Context) ([]*jetstream.ObjectInfo, error) {
	for {
		short, cancel := context.WithTimeout(ctx, listMax)
		infos, err := s.objects.List(short)
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrNoObjectsFound):
			return nil, nil
		case err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return infos, err
		}
	}
}

// current leaves out of a list what a later snapshot of the same record has replaced.
func current(list []generation) []generation {
	return slices.CompactFunc(slices.Clone(list), func(a, b generation) bool { return a.seq == b.seq })
}

// Kept implements journal.Snapshots.
func (s *Snapshots) Kept(ctx context.Context) (seqs []uint64, err error) {
	if s.closed.Load() {
		return nil, journal.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	list, err := s.generations(ctx)
	if err != nil {
		return nil, fmt.Errorf("objectsnap: list of generations: %w", jetstreamlog.PortError(err))
	}
	for _, g := range current(list) {
		seqs = append(seqs, g.seq)
	}
	return seqs, nil
}

// Save implements journal.Snapshots.
func (s *Snapshots) Save(ctx context.Context, seq uint64, entries [][]byte) error {
	if s.closed.Load() {
		return journal.ErrClosed
	}
	if err := s.save(ctx, seq, entries); err != nil {
		return fmt.Errorf("objectsnap: snapshot of record %d: %w", seq, jetstreamlog.PortError(err))
	}
	return nil
}

func (s *Snapshots) save(ctx context.Context, seq uint64, entries [][]byte) error {
	body := newBody(entries)
	ctx, cancel := context.WithTimeout(ctx, callMax+time.Duration(body.size/slowest)*time.Second)
	defer cancel()
	list, err := s.generations(ctx)
	if err != nil {
		return err
	}
	if seq == 0 || len(list) > 0 && seq < list[0].seq {
		return errors.New("it must not be older than the last one")
	}
	name := fmt.Sprintf("%020d.%d.%s", seq, len(entries), hex.EncodeToString(body.sum()))
	meta := jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize}}
	if _, err := s.objects.Put(ctx, meta, body); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if err := s.sweep(ctx); err != nil {
		return fmt.Errorf("it is saved, but what is not needed any more could not be removed: %w", err)
	}
	return nil
}

// sweep removes the generations that are not kept, each by its description first, and then chunks that belong to none:
// what saves have left that died, if they are so old that no save can still be under way.
func (s *Snapshots) sweep(ctx context.Context) error {
	list, err := s.generations(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	kept := current(list)
	kept = kept[:min(keep, len(kept))]
	isKept := map[string]bool{}
	for _, g := range kept {
		isKept[g.nuid] = true
	}
	for _, g := range list {
		if isKept[g.nuid] {
			continue
		}
		meta := "$O." + s.bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(g.name))
		if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(meta)); err != nil {
			return err
		}
		if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.chunks(g.nuid))); err != nil {
			return err
		}
	}
	chunks, err := s.chunkCounts(ctx, s.chunks(">"))
	if err != nil {
		return err
	}
	for subject := range chunks { //order: each is looked at for itself
		if isKept[strings.TrimPrefix(subject, s.chunks(""))] {
			continue
		}
		last, err := s.stream.GetLastMsgForSubject(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue
		case err != nil:
			return err
		}
		// Both times are the servers'.
		if slices.MaxFunc(list, func(a, b generation) int { return a.stored.Compare(b.stored) }).stored.Sub(last.Time) < s.sweepAge {
			continue
		}
		if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return err
		}
	}
	return nil
}

// chunks is the subject of the chunks of one object.
func (s *Snapshots) chunks(nuid string) string { return "$O." + s.bucket + ".C." + nuid }

// chunkCounts says how many chunks there are, by subject.
func (s *Snapshots) chunkCounts(ctx context.Context, filter string) (map[string]uint64, error) {
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// Load implements journal.Snapshots.
func (s *Snapshots) Load(ctx context.Context) (seq uint64, entries [][]byte, err error) {
	if s.closed.Load() {
		return 0, nil, journal.ErrClosed
	}
	var bad error
	for before := ""; ; {
		short, cancel := context.WithTimeout(ctx, callMax)
		list, err := s.generations(short)
		cancel()
		if err != nil {
			return 0, nil, fmt.Errorf("objectsnap: list of generations: %w", jetstreamlog.PortError(errors.Join(ctx.Err(), err)))
		}
		// Those that were listed may have been replaced by newer ones while they were read.
		now := fmt.Sprint(list)
		if now == before {
			return 0, nil, fmt.Errorf("objectsnap: %w: no snapshot is whole: %w", journal.ErrCorrupt, bad)
		}
		before, bad = now, nil
		for _, g := range list {
			entries, err := s.load(ctx, g)
			if err == nil {
				return g.seq, entries, nil
			}
			if ctx.Err() != nil {
				return 0, nil, ctx.Err()
			}
			bad = errors.Join(bad, fmt.Errorf("snapshot of record %d: %w", g.seq, err))
		}
		if bad == nil {
			return 0, nil, nil
		}
	}
}

func (s *Snapshots) load(ctx context.Context, g generation) (entries [][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, callMax+time.Duration(g.size/slowest)*time.Second)
	defer cancel()
	// A reader would wait for chunks that are gone.
	counts, err := s.chunkCounts(ctx, s.chunks(g.nuid))
	if err != nil {
		return nil, err
	}
	if n := counts[s.chunks(g.nuid)]; n != uint64(g.chunks) {
		return nil, fmt.Errorf("it has %d chunks of %d", n, g.chunks)
	}
	object, err := s.objects.Get(ctx, g.name)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	data := make([]byte, 0, g.size)
	for len(data) < int(g.size) {
		n, err := object.Read(data[len(data):g.size])
		if data = data[:len(data)+n]; err != nil && (len(data) < int(g.size) || !errors.Is(err, io.EOF)) {
			return nil, fmt.Errorf("it ends after %d bytes of %d: %w", len(data), g.size, errors.Join(ctx.Err(), err))
		}
	}
	return split(data, g)
}

// Close implements journal.Snapshots.
func (s *Snapshots) Close() error {
	s.closed.Store(true)
	return nil
}
