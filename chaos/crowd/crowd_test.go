package crowd

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

// What clients were told while a cell was being broken could have been told by one that never was.
func TestB42_F30_CrowdsAreToldWhatACellWithoutFaultsCouldTell(t *testing.T) {
	for _, kind := range []string{Memory, Masters, Badger, JetStream} {
		t.Run(kind, func(t *testing.T) {
			r, err := Run(t.Context(), Options{Histories: 2, Clients: 10, Ops: 50, Kinds: []string{kind}, Seed: 1, Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if r.Histories != 2 || r.Ops < 2*500 {
				t.Errorf("%d histories of %d operations", r.Histories, r.Ops)
			}
			if r.Broken > 0 || r.Undecided > 0 {
				t.Errorf("%d are broken, %d undecided: %v", r.Broken, r.Undecided, strings.Join(r.Problems, "\n"))
			}
		})
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	for want, o := range map[string]Options{
		"0 histories":         {Clients: 1, Ops: 1, Dir: t.TempDir()},
		"0 clients":           {Histories: 1, Ops: 1, Dir: t.TempDir()},
		"20000 operations":    {Histories: 1, Clients: 1, Ops: 20_000, Dir: t.TempDir()},
		"no folder":           {Histories: 1, Clients: 1, Ops: 1},
		`no cell of kind "x"`: {Histories: 1, Clients: 1, Ops: 1, Kinds: []string{"x"}, Dir: t.TempDir()},
	} {
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
}

// In bad weather some appends fail, with and without effect; then all later ones do, and answers keep their order.
func TestBadWeather(t *testing.T) {
	effects := map[bool]int{}
	for seed := range uint64(40) {
		disk := memlog.New(memlog.Options{})
		w := &weather{random: rand.New(rand.NewPCG(seed, 1)), slow: 10 * time.Microsecond, failures: 1, bad: true}
		l := newLog(disk.Reopen(), w)
		var mu sync.Mutex
		var answers []error
		var group sync.WaitGroup
		for seq := uint64(1); seq <= 200; seq++ {
			group.Add(1)
			l.Append(seq, []byte("x"), func(err error) {
				mu.Lock()
				answers = append(answers, err)
				mu.Unlock()
				group.Done()
			})
		}
		group.Wait()
		stored := 0
		for stored < len(answers) && answers[stored] == nil {
			stored++
		}
		for _, err := range answers[stored:] {
			if !errors.Is(err, errPlayed) {
				t.Fatalf("seed %d: after a failure: %v", seed, err)
			}
		}
		_, last, err := disk.Bounds(context.Background())
		if err != nil || last != uint64(stored) && last != uint64(stored)+1 {
			t.Fatalf("seed %d: %d appends succeeded, and the log ends with %d: %v", seed, stored, last, err)
		}
		if stored < 200 {
			effects[last > uint64(stored)]++
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		answer := make(chan error, 1)
		l.Append(1, []byte("x"), func(err error) { answer <- err })
		if err := <-answer; !errors.Is(err, journal.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	}
	if effects[true] == 0 || effects[false] == 0 {
		t.Errorf("failures with an effect %d, without %d", effects[true], effects[false])
	}
}
