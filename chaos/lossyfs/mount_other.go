//go:build !linux

package lossyfs

import (
	"errors"
	"math/rand/v2"
)

type mount struct{}

var errSystem = errors.New("lossyfs: disks are mounted by FUSE, for which this program needs Linux")

// Supported says why disks cannot be mounted here.
func Supported() error { return errSystem }

// Mount fails on this system.
func (d *Disk) Mount(string) error { return errSystem }

// Cut is a power cut.
func (d *Disk) Cut(torn *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut(torn)
	return nil
}

// Unmount brings everything to disk.
func (d *Disk) Unmount() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleAll()
	return nil
}
