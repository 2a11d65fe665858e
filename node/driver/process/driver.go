//go:build linux || darwin

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process/internal/shim"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
)

var _ driver.Driver = (*Driver)(nil)

// Driver runs programs. Make it with New, then Open it.
type Driver struct {
	opt  Options
	sink func(driver.Event)
	lock *os.File
	logs *logBook
	// spawning bounds how many shims are being started at once.
	spawning chan struct{}
	serving  sync.WaitGroup
	closing  atomic.Bool
	closed   chan struct{}
	// patience is how long beyond the grace a shim may take to end its attempt before it is taken for broken and killed.
	patience time.Duration

	mu    sync.Mutex
	slots map[uint64]*slot
}

// New makes a driver; it touches nothing before Open.
func New(opt Options) (*Driver, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Driver{opt: opt, slots: map[uint64]*slot{}, spawning: make(chan struct{}, 8), closed: make(chan struct{}),
		patience: 10 * time.Second}, nil
}

// ShimMain runs a shim in this process and returns its exit status. A program that uses the driver calls it first thing
// when it is started with the words of Options.Shim; args are what follows those.
func ShimMain(args []string) int { return shim.Main(args) }

// Name is "process".
func (d *Driver) Name() string { return "process" }

// Open takes the directory and everything that lives in it. It fails if another agent has it.
func (d *Driver) Open(ctx context.Context, sink func(driver.Event)) ([]driver.Slot, error) {
	if d.sink != nil {
		return nil, errors.New("process driver: opened twice")
	}
	for _, dir := range []string{wire.SlotsDir, wire.LogsDir} {
		if err := os.MkdirAll(filepath.Join(d.opt.Dir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("process driver: %w", err)
		}
	}
	lock, err := lockDir(d.opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("process driver: %w", err)
	}
	d.sink, d.lock = sink, lock
	found, err := d.adopt(ctx)
	if err == nil {
		d.logs, err = openLogBook(filepath.Join(d.opt.Dir, wire.LogsDir), d.opt.LogsKept, d.opt.LogBytes, d.busy(found))
	}
	if err != nil {
		for _, a := range found {
			a.letGo()
		}
		return nil, errors.Join(fmt.Errorf("process driver: %w", err), lock.Close())
	}
	slots := make([]driver.Slot, 0, len(found))
	for _, a := range found {
		slots = append(slots, a.slot.describe())
		d.slots[a.slot.number] = a.slot
	}
	for _, a := range found {
		d.begin(a)
	}
	return slots, nil
}

// begin lets a slot that was found live on.
func (d *Driver) begin(a adopted) {
	if a.link == nil {
		if a.first != nil {
			sink(d, *a.first)
		}
		return
	}
	d.serving.Add(1)
	go func() {
		defer d.serving.Done()
		if a.first != nil {
			sink(d, *a.first)
		}
		a.slot.live(a.link)
	}()
}

func sink(d *Driver, e driver.Event) {
	if !d.closing.Load() {
		d.sink(e)
	}
}

// lockDir makes sure that one agent drives the directory. The kernel frees the lock when its holder dies.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, wire.LockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("dir %s is driven by another agent; stop that one or choose another dir (%w)", dir, err)
	}
	return f, nil
}

// Start runs t.
func (d *Driver) Start(t driver.Task) {
	for !d.closing.Load() {
		s, err := d.slot(t.Slot)
		if err != nil {
			sink(d, driver.Refusal(&t, err.Error()))
			return
		}
		answer, ok := s.start(&t)
		if !ok {
			continue // the slot was just released: take a new one
		}
		if answer != nil {
			sink(d, *answer)
		}
		return
	}
}

// slot finds or makes it.
func (d *Driver) slot(number uint64) (*slot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing.Load() {
		return nil, errors.New("the driver is closed")
	}
	if s := d.slots[number]; s != nil {
		return s, nil
	}
	if len(d.slots) >= d.opt.SlotsMax {
		return nil, fmt.Errorf("the driver holds %d slots, its limit", len(d.slots))
	}
	s := d.newSlot(number)
	d.slots[number] = s
	return s, nil
}

func (d *Driver) newSlot(number uint64) *slot {
	return &slot{d: d, number: number, dir: filepath.Join(d.opt.Dir, wire.SlotsDir, wire.SlotName(number))}
}

func (d *Driver) find(number uint64) *slot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slots[number]
}

// Stop ends an attempt.
func (d *Driver) Stop(slot, fence uint64, reason string) {
	if s := d.find(slot); s != nil {
		s.stop(fence, reason)
	}
}

// Release empties a slot.
func (d *Driver) Release(slot uint64, reason string) {
	if s := d.find(slot); s == nil || !s.release(reason) {
		sink(d, driver.Event{Slot: slot, Released: true})
	}
}

// Close lets go of the shims: their attempts go on, and the next Open finds them.
func (d *Driver) Close() error {
	if d.closing.Swap(true) {
		return nil
	}
	close(d.closed)
	d.mu.Lock()
	slots := d.slots
	d.slots = map[uint64]*slot{}
	d.mu.Unlock()
	for _, s := range slots {
		s.letGo()
	}
	d.serving.Wait()
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}
