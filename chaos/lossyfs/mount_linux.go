package lossyfs

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// mount is one time that a disk is mounted. Its handles die with it.
type mount struct {
	disk   *Disk
	dir    string
	server *fuse.Server
	// dead is set by a power cut: whoever still holds a file gets EIO. The disk's lock guards it.
	dead bool
}

// Supported says why disks cannot be mounted here, nil if they can.
func Supported() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("lossyfs: a disk is mounted by /dev/fuse, which cannot be opened: %w", err)
	}
	_ = f.Close() // nothing was written
	if os.Geteuid() != 0 {
		return errors.New("lossyfs: only root may mount a disk; run it as root, or in a user namespace of your own")
	}
	return nil
}

// Mount mounts the disk in a folder, which is made if it is not there. A disk is mounted once at a time.
func (d *Disk) Mount(dir string) error {
	if err := Supported(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("lossyfs: %w", err)
	}
	m := &mount{disk: d, dir: dir}
	d.mu.Lock()
	taken := d.mount != nil
	if !taken {
		d.mount = m
	}
	d.mu.Unlock()
	if taken {
		return fmt.Errorf("lossyfs: the disk is mounted already, in %s", d.mount.dir)
	}
	long := time.Hour // all changes come through this mount
	// The device is opened without the flag that keeps it from children; one that had it would keep a mount from ending
	// with this process.
	syscall.ForkLock.RLock()
	server, err := fs.Mount(dir, &node{m: m, n: d.root}, &fs.Options{
		EntryTimeout: &long, AttrTimeout: &long,
		RootStableAttr: &fs.StableAttr{Ino: d.root.id, Mode: fuse.S_IFDIR},
		MountOptions: fuse.MountOptions{
			Name: "lossyfs", FsName: "lossyfs", DirectMountStrict: true, DisableXAttrs: true, MaxWrite: 1 << 20,
			Logger: log.New(io.Discard, "", 0),
		},
	})
	keepFromChildren("/dev/fuse")
	syscall.ForkLock.RUnlock()
	if err != nil {
		d.mu.Lock()
		d.mount = nil
		d.mu.Unlock()
		return fmt.Errorf("lossyfs: mount in %s: %w", dir, err)
	}
	m.server = server
	return nil
}

// keepFromChildren marks the descriptors of a file so that they are closed when a child begins.
func keepFromChildren(file string) {
	const all = "/proc/self/fd"
	entries, _ := os.ReadDir(all) // without /proc children have them
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(all, e.Name())); err != nil || to != file {
			continue
		}
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			syscall.CloseOnExec(fd)
		}
	}
}

// Cut is a power cut: what is not on disk is gone, open files answer EIO, and nothing is mounted any more. Processes that
// used the disk go on running: who plays a whole machine kills them. With torn, parts of what was not synced are on disk
// all the same, as it draws.
func (d *Disk) Cut(torn *rand.Rand) error {
	d.mu.Lock()
	m := d.mount
	if m != nil {
		m.dead = true
	}
	d.cut(torn)
	d.mount = nil
	d.mu.Unlock()
	if m == nil {
		return nil
	}
	// The folder is free at once, the connection when the last file is closed.
	if err := unix.Unmount(m.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("lossyfs: unmount %s: %w", m.dir, err)
	}
	return nil
}

// Unmount is an orderly end: everything comes to disk. It fails while a file is open.
func (d *Disk) Unmount() error {
	d.mu.Lock()
	m := d.mount
	d.mu.Unlock()
	if m == nil {
		return nil
	}
	if err := m.server.Unmount(); err != nil {
		return fmt.Errorf("lossyfs: unmount %s: %w", m.dir, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleAll()
	d.mount = nil
	return nil
}
