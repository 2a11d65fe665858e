package lossyfs

import (
	"context"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is an inode as one mount shows it.
type node struct {
	fs.Inode
	m *mount
	n *inode
}

// handle is an open file.
type handle struct{ n *inode }

var (
	_ fs.NodeLookuper  = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeReleaser  = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeAllocater = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
	_ fs.NodeReaddirer = (*node)(nil)
	_ fs.NodeStatfser  = (*node)(nil)
)

// op is what faults can be set for.
type op int

const (
	opLook op = iota // never fails by a fault
	opRead
	opWrite
	opSync
)

// do runs fn on the disk, with the faults of o, or fails.
func (x *node) do(o op, fn func(d *Disk) syscall.Errno) syscall.Errno {
	d := x.m.disk
	wrong, err := x.fault(o)
	if err != 0 {
		return err
	}
	if wrong > 0 {
		d.mu.Lock()
		power := d.power
		d.mu.Unlock()
		select {
		case <-time.After(wrong):
		case <-power:
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.m.dead {
		return syscall.EIO
	}
	return fn(d)
}

// fault is how long an operation is to take, or what it fails with.
func (x *node) fault(o op) (time.Duration, syscall.Errno) {
	d := x.m.disk
	d.mu.Lock()
	f := d.faults
	d.mu.Unlock()
	if o == opLook || f.Only != "" && !strings.Contains(x.Path(nil), f.Only) {
		return 0, 0
	}
	switch o {
	case opRead:
		return f.ReadDelay, f.Read
	case opWrite:
		return f.WriteDelay, f.Write
	}
	return f.SyncDelay, f.Sync
}

func (n *inode) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink, out.Blksize = n.id, n.mode, 1, 4096
	out.Mtime, out.Mtimensec = uint64(n.mod.Unix()), uint32(n.mod.Nanosecond())
	out.Ctime, out.Ctimensec, out.Atime, out.Atimensec = out.Mtime, out.Mtimensec, out.Mtime, out.Mtimensec
	if n.file != nil {
		out.Size, out.Blocks = uint64(n.file.live.size), uint64(n.file.live.bytes()/512)
	}
}

// child makes the node of an inode known to the kernel.
func (x *node) child(ctx context.Context, n *inode, out *fuse.EntryOut) *fs.Inode {
	n.attr(&out.Attr)
	return x.NewInode(ctx, &node{m: x.m, n: n}, fs.StableAttr{Ino: n.id, Mode: n.mode & syscall.S_IFMT})
}

func (x *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (found *fs.Inode, err syscall.Errno) {
	err = x.do(opLook, func(*Disk) syscall.Errno {
		n := x.n.live[name]
		if n == nil {
			return syscall.ENOENT
		}
		found = x.child(ctx, n, out)
		return 0
	})
	return found, err
}

func (x *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return x.do(opLook, func(*Disk) syscall.Errno {
		x.n.attr(&out.Attr)
		return 0
	})
}

func (x *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return x.do(opWrite, func(d *Disk) syscall.Errno {
		if mode, ok := in.GetMode(); ok {
			x.n.mode = x.n.mode&syscall.S_IFMT | mode&^uint32(syscall.S_IFMT)
		}
		if mod, ok := in.GetMTime(); ok {
			x.n.mod = mod
		}
		if size, ok := in.GetSize(); ok {
			switch {
			case x.n.file == nil:
				return syscall.EISDIR
			case size > fileMax:
				return syscall.EFBIG
			}
			d.stats.Used -= x.n.file.truncate(int64(size))
			x.n.mod = time.Now()
		}
		x.n.attr(&out.Attr)
		return 0
	})
}

func (x *node) Open(_ context.Context, flags uint32) (h fs.FileHandle, _ uint32, err syscall.Errno) {
	err = x.do(opLook, func(d *Disk) syscall.Errno {
		x.n.opened++
		h = &handle{x.n}
		return 0
	})
	return h, fuse.FOPEN_KEEP_CACHE, err
}

// Release closes a handle, and with the last one forgets a file that has no name.
func (x *node) Release(context.Context, fs.FileHandle) syscall.Errno {
	return x.do(opLook, func(d *Disk) syscall.Errno {
		x.n.opened--
		d.free(x.n)
		return 0
	})
}

// free gives back the room of a file that neither a name nor a handle leads to.
func (d *Disk) free(n *inode) {
	if n.gone && n.opened <= 0 && n.file != nil {
		d.stats.Used -= n.file.live.bytes()
		n.file.live = content{}
	}
}

func (x *node) Read(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	n := 0
	err := x.do(opRead, func(d *Disk) syscall.Errno {
		d.stats.Reads++
		n = x.n.file.live.read(p, offset)
		return 0
	})
	return fuse.ReadResultData(p[:n]), err
}

func (x *node) Write(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (n uint32, err syscall.Errno) {
	err = x.do(opWrite, func(d *Disk) syscall.Errno {
		need := x.n.file.room(offset, len(p))
		switch {
		case offset+int64(len(p)) > fileMax:
			return syscall.EFBIG
		case need > 0 && d.stats.Used+need > d.opts.Bytes:
			return syscall.ENOSPC
		}
		x.n.file.write(p, offset)
		x.n.mod = time.Now()
		d.stats.Used += need
		d.stats.Writes++
		d.stats.BytesWritten += uint64(len(p))
		return 0
	})
	if err != 0 {
		return 0, err
	}
	return uint32(len(p)), 0
}

func (x *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return x.do(opSync, func(d *Disk) syscall.Errno {
		d.sync(x.n)
		return 0
	})
}

// Allocate takes no room before it is written; it only makes the file longer.
func (x *node) Allocate(_ context.Context, _ fs.FileHandle, offset, size uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	return x.do(opWrite, func(*Disk) syscall.Errno {
		if offset+size > fileMax {
			return syscall.EFBIG
		}
		x.n.file.live.size = max(x.n.file.live.size, int64(offset+size))
		return 0
	})
}

// add makes a file or a folder in this one.
func (x *node) add(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (made *fs.Inode, n *inode, err syscall.Errno) {
	err = x.do(opWrite, func(d *Disk) syscall.Errno {
		switch {
		case x.n.live[name] != nil:
			return syscall.EEXIST
		case len(x.n.live) >= namesMax:
			return syscall.ENOSPC
		}
		n = d.newInode(mode)
		x.n.live[name] = n
		d.named(x.n)
		made = x.child(ctx, n, out)
		return 0
	})
	return made, n, err
}

func (x *node) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	made, n, err := x.add(ctx, name, syscall.S_IFREG|mode&0o7777, out)
	if err != 0 {
		return nil, nil, 0, err
	}
	x.m.disk.mu.Lock()
	defer x.m.disk.mu.Unlock()
	n.opened++
	return made, &handle{n}, fuse.FOPEN_KEEP_CACHE, 0
}

func (x *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	made, _, err := x.add(ctx, name, syscall.S_IFDIR|mode&0o7777, out)
	return made, err
}

func (x *node) Unlink(_ context.Context, name string) syscall.Errno {
	return x.do(opWrite, func(d *Disk) syscall.Errno {
		n := x.n.live[name]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.folder():
			return syscall.EISDIR
		}
		d.remove(x.n, name)
		return 0
	})
}

func (x *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return x.do(opWrite, func(d *Disk) syscall.Errno {
		n := x.n.live[name]
		switch {
		case n == nil:
			return syscall.ENOENT
		case !n.folder():
			return syscall.ENOTDIR
		case len(n.live) > 0:
			return syscall.ENOTEMPTY
		}
		d.remove(x.n, name)
		return 0
	})
}

// remove takes a name away.
func (d *Disk) remove(folder *inode, name string) {
	n := folder.live[name]
	delete(folder.live, name)
	d.named(folder)
	n.gone = true
	d.free(n)
}

func (x *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	target, ok := to.(*node)
	if !ok || flags != 0 {
		return syscall.EINVAL
	}
	return x.do(opWrite, func(d *Disk) syscall.Errno {
		n, old := x.n.live[name], target.n.live[newName]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n == old:
			return 0
		case old != nil && old.folder() != n.folder():
			return syscall.EEXIST
		case old != nil && len(old.live) > 0:
			return syscall.ENOTEMPTY
		}
		if old != nil {
			d.remove(target.n, newName)
		}
		delete(x.n.live, name)
		target.n.live[newName] = n
		d.named(x.n)
		d.named(target.n)
		return 0
	})
}

func (x *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	var list []fuse.DirEntry
	err := x.do(opRead, func(*Disk) syscall.Errno {
		for name, n := range x.n.live {
			list = append(list, fuse.DirEntry{Name: name, Mode: n.mode, Ino: n.id})
		}
		return 0
	})
	return fs.NewListDirStream(list), err
}

func (x *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return x.do(opLook, func(d *Disk) syscall.Errno {
		out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
		out.Blocks = uint64(d.opts.Bytes / 4096)
		out.Bfree = uint64(max(0, d.opts.Bytes-d.stats.Used) / 4096)
		out.Bavail = out.Bfree
		return 0
	})
}
