package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/troupe-sched/troupe/chaos/lossyfs"
	"github.com/troupe-sched/troupe/chaos/proc"
)

const (
	// upWithin is how long a process may take to be up, progressWithin how long until something is acknowledged again: it
	// is longer than the election of a stream leader on a slow machine.
	upWithin       = time.Minute
	progressWithin = 2 * time.Minute
	// wholeEvery is after how many faults the whole log is checked, and not only its tail.
	wholeEvery = 50
	// look is how often progress is looked at.
	look = 2 * time.Millisecond
)

// store is what faults are done to while a writer appends.
type store interface {
	// open brings it up, with a writer that appends.
	open(ctx context.Context) error
	// acked is how many records are acknowledged by now.
	acked() uint64
	// strike does one fault.
	strike(ctx context.Context, f fault) error
	// check compares what is there with what was acknowledged: behind the last check, or all of it.
	check(ctx context.Context, whole bool) error
	// finish ends the writer.
	finish() error
	close()
}

// Run does what opts say and reports. It fails when it could not do it; that records were lost is in the report.
func Run(ctx context.Context, opts Options) (report *Report, err error) {
	if err := opts.fill(); err != nil {
		return nil, fmt.Errorf("durability: %w", err)
	}
	r := &run{Options: opts, report: &Report{Store: opts.Store, Servers: opts.Servers, Lazy: opts.Lazy}, random: rand.New(rand.NewPCG(opts.Seed, 42))}
	var s store
	if opts.Store == "jetstream" {
		s = newJetStream(r)
	} else {
		s = newBadger(r)
	}
	began := time.Now()
	defer s.close()
	if err := r.play(ctx, s); err != nil {
		return r.report, fmt.Errorf("durability: %s: %w", opts.Store, err)
	}
	r.report.Seconds = time.Since(began).Seconds()
	return r.report, nil
}

// run is what the stores of one run share.
type run struct {
	Options
	report *Report
	random *rand.Rand
}

func (r *run) play(ctx context.Context, s store) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	faults := r.faults()
	step := r.Records / uint64(len(faults)+1)
	for i, f := range faults {
		if err := r.progress(ctx, s, uint64(i+1)*step); err != nil {
			return fmt.Errorf("before fault %d: %w", i+1, err)
		}
		before := s.acked()
		if err := s.strike(ctx, f); err != nil {
			return fmt.Errorf("fault %d, %s: %w", i+1, f, err)
		}
		if err := s.check(ctx, (i+1)%wholeEvery == 0); err != nil {
			return fmt.Errorf("check after fault %d, %s: %w", i+1, f, err)
		}
		if !r.report.Kept() {
			return s.finish() // it has failed, and goes on from where it does not know
		}
		if err := r.progress(ctx, s, before+1); err != nil {
			return fmt.Errorf("after fault %d, %s: %w", i+1, f, err)
		}
		if (i+1)%10 == 0 {
			r.Tell(fmt.Sprintf("%s: %d of %d faults, %d records acknowledged, %d lost", r.Store, i+1, len(faults), s.acked(), r.report.Lost))
		}
	}
	if err := r.progress(ctx, s, r.Records); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	r.report.Records = s.acked()
	return s.check(ctx, true)
}

// faults are all that are to come, in drawn order.
func (r *run) faults() (all []fault) {
	for f, n := range map[fault]int{cutFault: r.Cuts, killFault: r.Kills, stepdownFault: r.Stepdowns} {
		for range n {
			all = append(all, f)
		}
	}
	counts := []int{r.Cuts, r.Kills, r.Stepdowns}
	for i := range all { // drawn one by one, so that the order does not depend on the map
		n := r.random.IntN(counts[0] + counts[1] + counts[2])
		for k, f := range []fault{cutFault, killFault, stepdownFault} {
			if n -= counts[k]; n < 0 {
				all[i] = f
				counts[k]--
				break
			}
		}
	}
	return all
}

// progress waits until so many records are acknowledged.
func (r *run) progress(ctx context.Context, s store, records uint64) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	seen := s.acked()
	for last := time.Now(); s.acked() < records; {
		if n := s.acked(); n != seen {
			seen, last = n, time.Now()
		}
		if time.Since(last) > progressWithin {
			return fmt.Errorf("nothing was acknowledged for %v; %d records are; logs are in %s", progressWithin, seen, r.Dir)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// torn draws whether a cut leaves parts of what was not synced.
func (r *run) torn() *rand.Rand {
	if r.random.IntN(2) == 0 {
		return nil
	}
	r.report.Torn++
	return rand.New(rand.NewPCG(r.random.Uint64(), 7))
}

// machine is a disk and the one process that uses it.
type machine struct {
	disk *lossyfs.Disk
	dir  string
	proc *proc.Process
}

func (r *run) machine(name string, args []string) (*machine, error) {
	m := &machine{disk: lossyfs.New(lossyfs.Options{Names: r.Names}), dir: filepath.Join(r.Dir, name)}
	if err := m.disk.Mount(m.dir); err != nil {
		return nil, err
	}
	m.proc = proc.New(proc.Spec{
		ID: name, Argv: append(append([]string(nil), r.Self...), args...), Env: os.Environ(), Log: filepath.Join(r.Dir, name+".log"),
	}, func(proc.Event) {})
	return m, nil
}

// up starts the process and waits until it says that it is up.
func (m *machine) up(ctx context.Context) (proc.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	if err := m.proc.Start(); err != nil {
		return proc.Facts{}, err
	}
	return m.proc.Up(ctx)
}

func (m *machine) kill() error {
	_, err := m.proc.End(context.Background(), syscall.SIGKILL)
	return err
}

// cut takes the power away: the disk's and the process's.
func (m *machine) cut(torn *rand.Rand) error { return errors.Join(m.disk.Cut(torn), m.kill()) }

func (m *machine) close() {
	_ = m.cut(nil) // it is thrown away
}

func (r *run) lostBytes(machines ...*machine) {
	r.report.LostBytes = 0
	for _, m := range machines {
		r.report.LostBytes += m.disk.Stats().BytesLost
	}
}

func join(urls []string) string { return strings.Join(urls, ",") }
