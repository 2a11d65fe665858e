package durability

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/troupe-sched/troupe/chaos/lossyfs"
)

// childArg is the first argument of a test binary that is a process of a run.
const childArg = "child-of-a-run"

// TestMain lets the test binary be the processes of a run.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != childArg {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := RunChild(ctx, os.Args[2:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func try(t *testing.T, o Options) *Report {
	t.Helper()
	t.Parallel() // most of the time is waiting for elections
	if err := lossyfs.Supported(); err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Self, o.Seed, o.Tell = t.TempDir(), []string{self, childArg}, 1, func(line string) { t.Log(line) }
	r, err := Run(t.Context(), o)
	if err != nil {
		for _, name := range []string{"server0", "server1", "server2", "badger"} {
			if log, err := os.ReadFile(o.Dir + "/" + name + ".log"); err == nil {
				t.Logf("%s: %s", name, log[max(0, len(log)-2000):])
			}
		}
		t.Fatalf("%+v: %v", r, err)
	}
	t.Logf("%+v", r)
	return r
}

func TestB14_S5_BadgerKeepsWhatItAcknowledged(t *testing.T) {
	r := try(t, Options{Store: "badger", Records: 4000, Cuts: 4, Kills: 4})
	if !r.Kept() || r.Records < 4000 || r.Stored < r.Records || r.Cuts != 4 || r.Kills != 4 {
		t.Errorf("%+v", r)
	}
}

// A generation of snapshots is there whole or not at all, and one that was saved stays until there is a later one.
func TestF30_S5_SnapshotsAreWholeAfterPowerCuts(t *testing.T) {
	r := try(t, Options{Store: "snapshots", Records: 200, Cuts: 8, Kills: 4})
	if !r.Kept() || r.Records < 200 || r.Cuts != 8 {
		t.Errorf("%+v", r)
	}
}

func TestB14_S5_OneServerKeepsWhatItAcknowledged(t *testing.T) {
	r := try(t, Options{Store: "jetstream", Servers: 1, Records: 4000, Rate: 3000, Cuts: 2, Kills: 2})
	if !r.Kept() || r.Records < 4000 || r.Stored < r.Records || r.CutsOfAll != 2 {
		t.Errorf("%+v", r)
	}
}

func TestB14_S5_ThreeServersKeepWhatTheyAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take their time to elect a leader")
	}
	r := try(t, Options{Store: "jetstream", Servers: 3, Records: 4000, Rate: 3000, Cuts: 1, Kills: 1, Stepdowns: 2})
	if !r.Kept() || r.Records < 4000 || r.Stored < r.Records {
		t.Errorf("%+v", r)
	}
}

// The check can fail: who acknowledges before data is on disk loses records, and is found out.
func TestB14_S5_LazyStoresAreFoundOut(t *testing.T) {
	for name, o := range map[string]Options{
		"a disk that lies": {Store: "badger", Records: 3000, Cuts: 1, Lazy: true},
		"a lazy server":    {Store: "jetstream", Servers: 1, Records: 3000, Cuts: 1, Lazy: true},
	} {
		t.Run(name, func(t *testing.T) {
			if r := try(t, o); r.Kept() || r.Lost == 0 || r.Example == "" {
				t.Errorf("records were acknowledged before they were on disk, and none is lost: %+v", r)
			}
		})
	}
}
