//go:build linux || darwin

package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/drivertest"
	"github.com/troupe-sched/troupe/node/driver/process"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// TestMain lets the test binary be what the tests start: a shim, or an agent that is to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "shim":
			os.Exit(process.ShimMain(os.Args[2:]))
		case "agent":
			os.Exit(agentMain(os.Args[2]))
		case "nonblock":
			if err := unix.SetNonblock(1, true); err != nil {
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// script is what a behaviour does, in the words of sh.
func script(b drivertest.Behaviour) string {
	switch b {
	case drivertest.Succeed:
		return `exit 0`
	case drivertest.Fail:
		return `exit 3`
	case drivertest.Crash:
		return `kill -SEGV $$`
	case drivertest.Hang:
		return `echo ready; exec sleep 1000`
	case drivertest.Stubborn:
		return `trap '' TERM; echo ready; while :; do sleep 1000; done`
	case drivertest.WriteResult:
		return `printf 'result of %s' "$TROUPE_INDEX" >"$TROUPE_RESULT"`
	case drivertest.WriteLargest:
		return `head -c 65536 /dev/zero >"$TROUPE_RESULT"`
	case drivertest.WriteTooLarge:
		return `head -c 65537 /dev/zero >"$TROUPE_RESULT"`
	case drivertest.ReportProgress:
		return `printf '0 4\n1 4\n' >"$TROUPE_PROGRESS"; exec sleep 1000`
	case drivertest.PrintEnv:
		return `echo "cell=$TROUPE_CELL node=$TROUPE_NODE queue=$TROUPE_QUEUE job=$TROUPE_JOB uid=$TROUPE_JOB_UID ` +
			`stage=$TROUPE_STAGE index=$TROUPE_INDEX count=$TROUPE_COUNT attempt=$TROUPE_ATTEMPT fence=$TROUPE_FENCE COLOR=$COLOR"`
	case drivertest.Print:
		return `printf 'out \377\376\000 音\n'; printf 'err\n' >&2`
	case drivertest.Flood:
		return fmt.Sprintf(`yes %s | head -n %d; printf '%%s\n' %s`, strings.Repeat("x", 63), drivertest.FloodLines-1,
			"'the end"+strings.Repeat(".", 63-len("the end"))+"'")
	case drivertest.SumInputs:
		return `for i in 0 1 2; do cat "$TROUPE_INPUTS/before/$i"; done >"$TROUPE_RESULT"`
	}
	panic("no script for " + string(b))
}

func command(_ *testing.T, b drivertest.Behaviour, spec *v1.StageSpec) {
	if b == drivertest.Missing {
		spec.Command = []string{"missing"}
		return
	}
	spec.Command = []string{"sh", "-c", script(b)}
}

// options keep little output, and look for more of it often.
func options(dir string) process.Options {
	return process.Options{Dir: dir, Shim: shimCommand(), LogSegment: 64 << 10, FollowEvery: 1e6}
}

func newDriver(t testing.TB, opt process.Options) driver.Driver {
	t.Helper()
	d, err := process.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func subject() *drivertest.Subject {
	return &drivertest.Subject{
		New:     func(t *testing.T, dir string) driver.Driver { return newDriver(t, options(dir)) },
		Command: command, Adopts: true, TwoStreams: true,
	}
}

func TestX7_Conformance(t *testing.T) { drivertest.Run(t, subject()) }

// sh makes a task of a script.
func sh(r *drivertest.Rig, slot uint64, script string) driver.Task {
	task := r.Task(slot, drivertest.Succeed)
	task.Template.Spec.Command = []string{"sh", "-c", script}
	return task
}

func slotDir(r *drivertest.Rig, slot uint64) string {
	return filepath.Join(r.Dir, "slots", fmt.Sprintf("%016x", slot))
}

// shimCommand starts this binary as a shim. Built with the race detector, it would wait a second before it ends.
func shimCommand() []string {
	return []string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", os.Args[0], "shim"}
}
