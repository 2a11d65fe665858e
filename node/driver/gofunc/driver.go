package gofunc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var _ driver.Driver = (*Driver)(nil)

// Options of the driver. Registry is needed, all else has defaults.
type Options struct {
	Registry *Registry
	Log      *slog.Logger
	// SlotsMax bounds the slots; default 65536. More are refused. There is one goroutine a running attempt.
	SlotsMax int
	// LogMax is how many of the newest bytes of each stream of an attempt are kept; default 256 KiB.
	LogMax int
	// LogsKept and LogBytes bound the output of ended attempts that is kept, oldest dropped first; default 1000, 64 MiB.
	LogsKept, LogBytes int
}

// Driver runs Go functions. Make it with New, then Open it.
type Driver struct {
	opt     Options
	sink    func(driver.Event)
	logs    logBook
	leaked  atomic.Int64
	closing atomic.Bool
	closed  chan struct{}

	mu    sync.Mutex
	slots map[uint64]*slot
}

// New makes a driver.
func New(opt Options) (*Driver, error) {
	if opt.Registry == nil {
		return nil, errors.New("func driver: registry is missing; make one with NewRegistry")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	for _, limit := range []struct {
		name  string
		field *int
		value int
	}{{"slots max", &opt.SlotsMax, 65536}, {"log max", &opt.LogMax, 256 << 10},
		{"logs kept", &opt.LogsKept, 1000}, {"log bytes", &opt.LogBytes, 64 << 20}} {
		if *limit.field < 0 {
			return nil, fmt.Errorf("func driver: %s is %d; give a positive number, or 0 for %d", limit.name, *limit.field, limit.value)
		}
		if *limit.field == 0 {
			*limit.field = limit.value
		}
	}
	return &Driver{opt: opt, slots: map[uint64]*slot{}, closed: make(chan struct{}),
		logs: logBook{keep: opt.LogsKept, budget: opt.LogBytes}}, nil
}

// Name is "func".
func (d *Driver) Name() string { return "func" }

// Open finds nothing: functions end with their program.
func (d *Driver) Open(_ context.Context, sink func(driver.Event)) ([]driver.Slot, error) {
	if d.sink != nil {
		return nil, errors.New("func driver: opened twice")
	}
	d.sink = sink
	return nil, nil
}

// Leaked is how many functions were told to end and did not in their grace. They go down when they return.
func (d *Driver) Leaked() int { return int(d.leaked.Load()) }

// Start runs t.
func (d *Driver) Start(t driver.Task) {
	for !d.closing.Load() {
		s, err := d.slot(t.Slot)
		if err != nil {
			d.sink(driver.Refusal(&t, err.Error()))
			return
		}
		if s.start(&t) {
			return
		}
		// The slot was just released: take a new one.
	}
}

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
	s := &slot{d: d, number: number}
	d.slots[number] = s
	return s, nil
}

func (d *Driver) find(number uint64) *slot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slots[number]
}

// all slots of the moment. Their locks are taken without the driver's.
func (d *Driver) all() []*slot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.slots))
}

// Stop ends an attempt.
func (d *Driver) Stop(slot, fence uint64, reason string) {
	if s := d.find(slot); s != nil {
		s.stop(fence, reason)
	}
}

// Release empties a slot. It is reported released when its function has returned, however long that takes.
func (d *Driver) Release(slot uint64, reason string) {
	if s := d.find(slot); s == nil || !s.release(reason) {
		if !d.closing.Load() {
			d.sink(driver.Event{Slot: slot, Released: true})
		}
	}
}

// Close asks all functions to end and waits for each as long as its grace. It fails if some do not.
func (d *Driver) Close() error {
	if d.closing.Swap(true) {
		return nil
	}
	close(d.closed)
	deadline := time.Now()
	var waits []<-chan struct{}
	for _, s := range d.all() {
		if done, grace := s.close(); done != nil {
			waits = append(waits, done)
			if at := time.Now().Add(grace); at.After(deadline) {
				deadline = at
			}
		}
	}
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	expired := false
	left := 0
	for _, done := range waits {
		select {
		case <-done:
			continue
		default:
		}
		if !expired {
			select {
			case <-done:
				continue
			case <-late.C:
				expired = true
			}
		}
		left++
	}
	if left > 0 {
		return fmt.Errorf("func driver: %d functions did not return in their grace and go on", left)
	}
	return nil
}

// The phases that the driver gives.
const (
	running   = v1.AttemptPhase_ATTEMPT_PHASE_RUNNING
	succeeded = v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED
	failed    = v1.AttemptPhase_ATTEMPT_PHASE_FAILED
	stopped   = v1.AttemptPhase_ATTEMPT_PHASE_STOPPED
)
