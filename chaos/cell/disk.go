package cell

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/troupe-sched/troupe/chaos/lossyfs"
)

// noRoom is less than any disk has used.
const noRoom = 1

// lossy is a disk of package lossyfs as one part of the cell has it.
type lossy struct {
	disk *lossyfs.Disk
	dir  string
}

// openDisk mounts a new disk in a folder.
func openDisk(dir string) (Disk, error) {
	if err := lossyfs.Supported(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnable, err)
	}
	d := &lossy{lossyfs.New(lossyfs.Options{}), dir}
	if err := d.disk.Mount(dir); err != nil {
		return nil, err
	}
	return d, nil
}

// Full implements Disk.
func (d *lossy) Full(on bool) error {
	if on {
		d.disk.SetBytes(noRoom)
	} else {
		d.disk.SetBytes(lossyfs.BytesDefault)
	}
	return nil
}

// Slow implements Disk.
func (d *lossy) Slow(by time.Duration) error {
	d.disk.SetFaults(lossyfs.Faults{SyncDelay: by})
	return nil
}

// Cut implements Disk.
func (d *lossy) Cut() error {
	return errors.Join(d.disk.Cut(nil), d.disk.Mount(d.dir))
}

// Close implements Disk.
func (d *lossy) Close() error { return d.disk.Cut(nil) }

// Plain is a folder like Data that this process may read in any way. What is on a disk that this process serves itself is
// copied, because it must not map such files.
func (c *Cell) Plain(p *Part) (string, error) {
	if p.Disk == nil {
		return p.Data, nil
	}
	dir := filepath.Join(c.Dir, "copies", p.ID)
	below, err := filepath.Rel(p.Data, p.kept())
	if err == nil {
		err = os.RemoveAll(dir)
	}
	to := filepath.Join(dir, below)
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	if err != nil {
		return "", err
	}
	return dir, os.CopyFS(to, os.DirFS(p.kept()))
}
