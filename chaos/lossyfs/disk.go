package lossyfs

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Names says when a change of names is on disk.
type Names int

const (
	// Journaled: in order, with the next sync of anything.
	Journaled Names = iota
	// Harsh: with the next sync of the folder.
	Harsh
	// Eager: at once.
	Eager
)

// BytesDefault is the size of a disk for which Options names none.
const BytesDefault = 4 << 30

// namesMax is the most entries of one folder, fileMax the most bytes of one file.
const (
	namesMax = 1 << 20
	fileMax  = 1 << 40
)

// Options of a Disk.
type Options struct {
	// Bytes is how much room there is, BytesDefault if zero; beyond it writes fail with ENOSPC.
	Bytes int64
	// Names says when a change of names is on disk.
	Names Names
}

// Faults are what a disk does wrong from now on. The zero value is a disk that works.
type Faults struct {
	// Read, Write and Sync are what these fail with, such as syscall.EIO. What fails has no effect. Write is also for
	// changes of names and lengths.
	Read, Write, Sync syscall.Errno
	// ReadDelay, WriteDelay and SyncDelay are how long each takes.
	ReadDelay, WriteDelay, SyncDelay time.Duration
	// LoseSyncs answers every sync with success and brings nothing to disk.
	LoseSyncs bool
	// Only restricts faults to the files whose path has this text in it.
	Only string
}

// Stats count what a disk has done.
type Stats struct {
	Reads, Writes, Syncs uint64
	// BytesWritten by programs; BytesSynced are those of the pages that came to disk.
	BytesWritten, BytesSynced uint64
	// Used is how many bytes the files have now.
	Used int64
	// Cuts, and the bytes of pages that they have taken away.
	Cuts, BytesLost uint64
}

// Disk is one disk: what is on it outlives every mount, but only if it was synced. It is safe for concurrent use.
type Disk struct {
	mu     sync.Mutex
	opts   Options
	root   *inode
	lastID uint64
	faults Faults
	stats  Stats
	// unsynced are the folders whose names are not all on disk.
	unsynced map[*inode]struct{}
	// power is closed by a power cut, and then replaced: who sleeps on a slow disk wakes up.
	power chan struct{}
	mount *mount
}

// inode is a file or a folder, as programs see it and as it is on disk.
type inode struct {
	id   uint64
	mode uint32 // permission bits, and S_IFDIR or S_IFREG
	mod  time.Time
	// names of a folder: live, and on disk.
	live, disk map[string]*inode
	// file is nil for a folder.
	file *file
	// gone says that no name leads here any more, and opened how many handles do.
	gone   bool
	opened int
}

func (n *inode) folder() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// New makes an empty disk.
func New(opts Options) *Disk {
	if opts.Bytes <= 0 {
		opts.Bytes = BytesDefault
	}
	d := &Disk{opts: opts, unsynced: map[*inode]struct{}{}, power: make(chan struct{})}
	d.root = d.newInode(syscall.S_IFDIR | 0o755)
	return d
}

func (d *Disk) newInode(mode uint32) *inode {
	d.lastID++
	n := &inode{id: d.lastID, mode: mode, mod: time.Now()}
	if n.folder() {
		n.live, n.disk = map[string]*inode{}, map[string]*inode{}
	} else {
		n.file = &file{}
	}
	return n
}

// SetFaults changes what goes wrong.
func (d *Disk) SetFaults(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// SetBytes changes how much room there is: less than what is used is a full disk.
func (d *Disk) SetBytes(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opts.Bytes = n
}

// Stats tells what the disk has done so far.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Flip turns one bit of a file, as programs see it and on disk. A program that has the page in memory sees it after the
// next mount.
func (d *Disk) Flip(name string, offset int64, bit uint) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	switch {
	case err != nil:
		return err
	case n.folder():
		return fmt.Errorf("lossyfs: %s is a folder", name)
	case offset < 0 || offset >= n.file.live.size || bit > 7:
		return fmt.Errorf("lossyfs: bit %d of byte %d of %s: it has %d bytes, of 8 bits each", bit, offset, name, n.file.live.size)
	}
	n.file.flip(offset, 1<<bit)
	return nil
}

// Files lists the files that programs see, by path, with their lengths.
func (d *Disk) Files() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]int64{}
	var walk func(n *inode, at string)
	walk = func(n *inode, at string) {
		for name, c := range n.live {
			if c.folder() {
				walk(c, path.Join(at, name))
			} else {
				all[path.Join(at, name)] = c.file.live.size
			}
		}
	}
	walk(d.root, "")
	return all
}

func (d *Disk) find(name string) (*inode, error) {
	n := d.root
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if part == "" || part == "." {
			continue
		}
		if n = n.live[part]; n == nil {
			return nil, fmt.Errorf("lossyfs: %s: %w", name, fs.ErrNotExist)
		}
	}
	return n, nil
}

// named notes that the names in a folder have changed.
func (d *Disk) named(n *inode) {
	n.mod = time.Now()
	if d.opts.Names == Eager {
		n.settle()
		return
	}
	d.unsynced[n] = struct{}{}
}

// settle brings the names of a folder to disk.
func (n *inode) settle() {
	n.disk = make(map[string]*inode, len(n.live))
	for name, c := range n.live {
		n.disk[name] = c
	}
}

// sync brings an inode to disk, and with it the names that go along.
func (d *Disk) sync(n *inode) {
	d.stats.Syncs++
	if d.faults.LoseSyncs {
		return
	}
	if n.file != nil {
		d.stats.BytesSynced += n.file.sync()
	}
	switch {
	case d.opts.Names == Journaled:
		for folder := range d.unsynced {
			folder.settle()
		}
		clear(d.unsynced)
	case n.folder():
		n.settle()
		delete(d.unsynced, n)
	}
}

// cut takes away all that is not on disk. With torn, some of it stays, by its choice.
func (d *Disk) cut(torn *rand.Rand) {
	d.stats.Cuts++
	close(d.power)
	d.power = make(chan struct{})
	clear(d.unsynced)
	d.stats.Used = 0
	seen := map[*inode]bool{}
	var walk func(n *inode)
	walk = func(n *inode) {
		if seen[n] {
			return
		}
		seen[n] = true
		n.opened, n.gone = 0, false
		if n.file != nil {
			d.stats.BytesLost += n.file.cut(torn)
			d.stats.Used += n.file.live.bytes()
			return
		}
		n.live = make(map[string]*inode, len(n.disk))
		for name, c := range n.disk {
			n.live[name] = c
			walk(c)
		}
	}
	walk(d.root)
}

// settleAll is what an orderly unmount does: everything comes to disk.
func (d *Disk) settleAll() {
	var walk func(n *inode)
	walk = func(n *inode) {
		if n.file != nil {
			d.stats.BytesSynced += n.file.sync()
			return
		}
		n.settle()
		for _, c := range n.live {
			walk(c)
		}
	}
	walk(d.root)
	clear(d.unsynced)
}
