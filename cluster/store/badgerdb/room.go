package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

const (
	// QuotaMin is the least Quota: below it the memtables and their logs alone would fill it.
	QuotaMin = 64 << 20
	// quotaEvery is how long a measured size is believed. What is written meanwhile may exceed the quota.
	quotaEvery = 100 * time.Millisecond
	// flushMax bounds the wait for a memtable to become a table, flushEvery is how often it is looked for.
	flushMax, flushEvery = 10 * time.Second, 10 * time.Millisecond
)

// quota is the most that a directory may take. The zero value allows anything.
type quota struct {
	max int64

	mu    sync.Mutex
	taken int64
	at    time.Time
}

// Room fails with ErrFull if a write would not be taken now: the file system has less free than the reserve, or the
// directory takes its quota.
func (d *DB) Room() error {
	if err := d.room(d.reserve); err != nil {
		return err
	}
	return d.quota.check(d.dir)
}

func (d *DB) room(need uint64) error {
	free, err := Free(d.dir)
	if err == nil && uint64(free) < need {
		err = fmt.Errorf("%w: %s has %d MiB free, %d MiB must stay free: make room, and writing goes on", ErrFull, d.dir, free>>20, need>>20)
	}
	return err
}

// Free is how many bytes the file system of dir has free for this user.
func Free(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("badgerdb: room of %s: %w", dir, err)
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}

func (q *quota) check(dir string) error {
	if q.max == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); q.taken >= q.max || now.Sub(q.at) > quotaEvery {
		taken, err := Taken(dir)
		if err != nil {
			return err
		}
		q.taken, q.at = taken, now
	}
	if q.taken >= q.max {
		return fmt.Errorf("%w: %s takes %d MiB of the %d MiB that it may: allow it more, and writing goes on", ErrFull, dir, q.taken>>20, q.max>>20)
	}
	return nil
}

// Taken is how many bytes a directory takes on its disk. Files that go while it counts are not counted.
func Taken(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil && !entry.IsDir() {
			info, err = entry.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && info == nil:
			return nil
		case err != nil:
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512 // badger's logs are sparse: their length says nothing
		} else {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("badgerdb: size of %s: %w", dir, err)
	}
	return total, nil
}

// Shrink is a Write that deletes, so that less is taken in the end: it may do so where a Write may not, over the quota
// and with half of the reserve. When more than half of the quota is taken it returns when what was deleted has left the
// disk: nothing else would drive it out once the rest is taken, too.
func (d *DB) Shrink(fn func(*Batch) error) error {
	if err := d.room(d.reserve / 2); err != nil {
		return err
	}
	if err := d.write(fn, func() error { return d.room(d.reserve / 2) }); err != nil {
		return err
	}
	if d.quota.max == 0 {
		return nil
	}
	taken, err := Taken(d.dir)
	if err != nil || taken < d.quota.max/2 {
		return err
	}
	return d.compact()
}

// compact takes from the disk what was deleted. badger does that when it happens to merge the tables that hold the
// deletion and the deleted, which needs further writes; but nothing more is written over the quota. So the memtable is
// pushed out by entries that mean nothing, and when it is a table all tables are merged.
func (d *DB) compact() error {
	wb := d.db.NewWriteBatch()
	defer wb.Cancel()
	const size = 512 << 10
	nothing := make([]byte, size)
	for i := range memTable/size + 4 { // one more than fits, whatever badger adds to each
		e := badger.NewEntry(fmt.Append(nil, "nothing", i), nothing)
		e.ExpiresAt = 1 // long ago: nobody ever reads it, and the merge leaves it out
		if err := wb.SetEntry(e); err != nil {
			return fmt.Errorf("badgerdb: compact: %w", err)
		}
	}
	if err := wb.Flush(); err != nil {
		return fmt.Errorf("badgerdb: compact: %w", err)
	}
	if err := d.flushed(); err != nil {
		return err
	}
	if err := d.db.Flatten(1); err != nil {
		return fmt.Errorf("badgerdb: compact: %w", err)
	}
	return nil
}

// flushed waits until all memtables but the one being written are tables: then each of the others has lost its log.
func (d *DB) flushed() error {
	for end := time.Now().Add(flushMax); time.Now().Before(end); time.Sleep(flushEvery) {
		logs, err := filepath.Glob(filepath.Join(d.dir, "*.mem"))
		if err != nil || len(logs) <= 1 {
			return err
		}
	}
	return nil // it is on its way, and more is merged the next time
}
