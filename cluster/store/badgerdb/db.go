// Package badgerdb opens badger the way all parts of the house need it: every write on disk before it is confirmed, every
// checksum verified, small in memory, and with a guard in front of it that refuses writes while there is still room.
//
// badger writes through sparse memory maps. On a full disk a page that cannot be had is a SIGBUS in one of badger's own
// goroutines, which kills the process and cannot be caught. So the guard asks the file system before each write, and
// keeps in reserve what badger may still need to bring confirmed writes into its tables.
package badgerdb

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// ErrFull: the file system has less room than the reserve; nothing was written, reads still work.
var ErrFull = errors.New("badgerdb: disk is full")

// ErrLocked: another process has the directory open.
var ErrLocked = errors.New("badgerdb: another process uses the directory")

const (
	// Reserve is what the file system must have free for a write to be taken, unless Options says otherwise: three
	// memtables with their logs, and the largest compaction that a store of our size meets.
	Reserve = 160 << 20
	// ValueMax is the most bytes of one value. Below it values lie in the tables and the value log stays unused, with
	// its garbage collection and the traps of that.
	ValueMax = 1<<20 - 1

	memTable = 8 << 20
	// batchStep is how much a Batch takes between two looks at the room that is left.
	batchStep = 8 << 20
	// lockPatience is how long a directory lock is waited for: that of a killed process goes a moment after it.
	lockPatience = 500 * time.Millisecond
	// opensMax is how often a directory is opened whose files have to be mended, one each time.
	opensMax = 6
)

// Options of a DB. Dir is required.
type Options struct {
	// Dir is the directory of the database, made if it is not there.
	Dir string
	// Log gets badger's own lines; nil drops them.
	Log *slog.Logger
	// Reserve overrides the constant of that name.
	Reserve int64
	// Quota is the most bytes that the directory may take on its disk, at least QuotaMin; 0 for as many as there are. Merging tables takes
	// more for a moment.
	Quota int64
}

// DB is an open badger database.
type DB struct {
	db      *badger.DB
	dir     string
	log     *slog.Logger
	reserve uint64
	quota   quota
	close   sync.Once
}

// Open opens the database in dir with the usual reserve.
func Open(dir string, log *slog.Logger) (*DB, error) { return OpenWith(Options{Dir: dir, Log: log}) }

// OpenWith opens the database that opts describes.
func OpenWith(opts Options) (*DB, error) {
	if opts.Dir == "" {
		return nil, errors.New("badgerdb: no directory given")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Reserve <= 0 {
		opts.Reserve = Reserve
	}
	if opts.Quota != 0 && opts.Quota < QuotaMin {
		return nil, fmt.Errorf("badgerdb: quota of %d bytes for %s: it must be 0 for none, or at least %d MiB", opts.Quota, opts.Dir, QuotaMin>>20)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("badgerdb: %w", err)
	}
	d := &DB{dir: opts.Dir, log: opts.Log.With("badger", opts.Dir), reserve: uint64(opts.Reserve), quota: quota{max: opts.Quota}}
	if d.db = resume(opts.Dir); d.db != nil {
		return d, nil
	}
	// Opening writes, too, but a store that just became full must open again to be read.
	if err := d.room(d.reserve / 2); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	db, err := d.open()
	if err != nil {
		return nil, fmt.Errorf("badgerdb: open %s: %w", opts.Dir, err)
	}
	d.db = db
	return d, nil
}

func (d *DB) open() (*badger.DB, error) {
	opts := badger.DefaultOptions(d.dir).
		WithSyncWrites(true).
		WithChecksumVerificationMode(options.OnTableAndBlockRead).
		WithVerifyValueChecksum(true).
		WithMemTableSize(memTable).WithNumMemtables(2).
		WithBlockCacheSize(8 << 20).
		WithValueLogFileSize(16 << 20).WithValueThreshold(ValueMax + 1).
		// Few and small tables take part in one compaction: what it writes before it deletes is what Reserve is for.
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(5).
		WithBaseTableSize(2 << 20).
		WithNumCompactors(2).WithNumGoroutines(2).
		WithMetricsEnabled(false).
		WithLogger(lines{d.log})
	opts.TableSizeMultiplier = 1
	deadline := time.Now().Add(lockPatience)
	for opens := 1; ; {
		db, err := badger.Open(opts)
		switch {
		case err == nil:
			return db, nil
		case strings.Contains(err.Error(), "Cannot acquire directory lock"): // badger names it by its text alone
			if time.Now().After(deadline) {
				return nil, fmt.Errorf("%w: %w", ErrLocked, err)
			}
			time.Sleep(lockPatience / 20)
		case opens == opensMax || opens > 1 && !strings.Contains(err.Error(), "Create a new file"):
			return nil, err
		default:
			// After a kill in the wrong moment an open stumbles over a file of no bytes, and has mended it for the next.
			// After a power cut there may be one of each kind: their names were on disk, and nothing of them yet.
			d.log.Warn("opening failed, trying once more", "err", err)
			opens++
		}
	}
}

// Dir is the directory of the database. Files next to badger's own may be kept in it.
func (d *DB) Dir() string { return d.dir }

// View reads.
func (d *DB) View(fn func(*badger.Txn) error) error { return d.db.View(fn) }

// Update writes in one transaction of at most about a megabyte, durable when it returns.
func (d *DB) Update(fn func(*badger.Txn) error) error {
	if err := d.Room(); err != nil {
		return err
	}
	return d.db.Update(fn)
}

// Keep is an Update of a little that must not be lost where an Update is refused: over the quota, and with half of the
// reserve.
func (d *DB) Keep(fn func(*badger.Txn) error) error {
	if err := d.room(d.reserve / 2); err != nil {
		return err
	}
	return d.db.Update(fn)
}

// Write writes any number of keys, in order, durable when it returns. It is not atomic: after a crash a part is there,
// the first of what was set, never a later key without an earlier one. After ErrFull, too, if it has more than batchStep
// bytes; of a smaller one nothing is there.
func (d *DB) Write(fn func(*Batch) error) error {
	if err := d.Room(); err != nil {
		return err
	}
	return d.write(fn, d.Room)
}

func (d *DB) write(fn func(*Batch) error, room func() error) error {
	b := &Batch{room: room, wb: d.db.NewWriteBatch()}
	if err := fn(b); err != nil {
		b.wb.Cancel()
		return err
	}
	return b.wb.Flush()
}

// Batch collects the keys of one Write. Keys and values given to it must not be changed before Write returns.
type Batch struct {
	room  func() error
	wb    *badger.WriteBatch
	since int
}

// Set sets a key to a value of at most ValueMax bytes.
func (b *Batch) Set(key, value []byte) error {
	if len(value) > ValueMax {
		return fmt.Errorf("badgerdb: value of %d bytes for key %q, at most %d are possible", len(value), key, ValueMax)
	}
	if err := b.grown(len(key) + len(value)); err != nil {
		return err
	}
	return b.wb.Set(key, value)
}

// Delete deletes a key.
func (b *Batch) Delete(key []byte) error {
	if err := b.grown(len(key)); err != nil {
		return err
	}
	return b.wb.Delete(key)
}

func (b *Batch) grown(n int) error {
	if b.since += n; b.since < batchStep {
		return nil
	}
	b.since = 0
	return b.room()
}

// Close closes the database. It does nothing when called again. With so little room left that bringing the newest
// writes into a table could fail, it leaves them in their log, where the next Open finds them, and the directory locked;
// the error says so. In the same process Open goes on with what was left.
func (d *DB) Close() error {
	var err error
	d.close.Do(func() {
		if err = d.room(4 * memTable); err != nil {
			err = fmt.Errorf("close: left as it is: %w", err)
			leave(d.dir, d.db)
			return
		}
		err = d.db.Close()
	})
	return err
}

// lines carries badger's log into ours. badger's Info is about its own inner life: our Debug.
type lines struct{ log *slog.Logger }

func (l lines) Errorf(format string, args ...any)   { l.log.Error(line(format, args)) }
func (l lines) Warningf(format string, args ...any) { l.log.Warn(line(format, args)) }
func (l lines) Infof(format string, args ...any)    { l.log.Debug(line(format, args)) }
func (l lines) Debugf(string, ...any)               {}

func line(format string, args []any) string {
	s := fmt.Sprintf(format, args...)
	for len(s) > 0 && s[len(s)-1] == '\n' {
		s = s[:len(s)-1]
	}
	return s
}
