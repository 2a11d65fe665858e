// Package process is the driver of stages that run programs. Every slot has a shim: a small process that is the parent
// of the slot's attempts, one after another, and outlives the agent. The driver starts shims, tells them what to run,
// and when it is opened again finds them by the directories of their slots and takes them over.
//
// What a program finds in its environment, besides PATH, HOME, TMPDIR and LANG of the agent and the stage's own env:
//
//	TROUPE_CELL TROUPE_NODE TROUPE_QUEUE TROUPE_JOB TROUPE_JOB_UID TROUPE_STAGE   where it runs and for whom
//	TROUPE_INDEX TROUPE_COUNT      which of how many instances of the stage it is
//	TROUPE_ATTEMPT TROUPE_FENCE    which attempt of the instance, and its identity in the cell
//	TROUPE_RESULT                  file to write a result of at most 64 KiB into
//	TROUPE_PROGRESS                file to write progress into; the last line counts: "done total" or "0.42"
//	TROUPE_INPUTS                  directory with the results of earlier stages, <stage>/<index>, if there are any
//
// and of ports, devices and custom units what driver.Extra tells.
//
// Standard input is empty; what goes to standard output and error is kept. The attempt succeeds if its main process
// exits with 0; whatever it left running is killed then.
package process

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Options of the driver. Dir is needed, all else has defaults.
type Options struct {
	// Dir is where slots and logs live; one agent at a time.
	Dir string
	// Shim is the command that runs ShimMain; more arguments are added. Default: this program with the argument "shim".
	Shim []string
	Log  *slog.Logger
	// PassEnv names more variables of the agent's environment that programs get.
	PassEnv []string
	// SlotsMax bounds the slots; default 4096. More are refused.
	SlotsMax int
	// LogSegment is the size of one file of captured output, of which two a stream are kept; default 8 MiB, at least 64 KiB.
	LogSegment int64
	// LogsKept and LogBytes bound the output of ended attempts that is kept, oldest dropped first; default 1000, 1 GiB.
	LogsKept int
	LogBytes int64
	// FollowEvery is how often a follower of a log looks for more; default 100 ms.
	FollowEvery time.Duration
	// ShimIdle is how long a shim stays without an attempt and without an agent; default 10 min.
	ShimIdle time.Duration
	// AdoptWithin bounds the time that Open waits for shims to answer; default 5 s. One that is late is taken over later.
	AdoptWithin time.Duration
}

// withDefaults fills in what is not set and refuses what cannot be.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("process driver: dir is empty; give a directory that outlives the agent")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("process driver: dir %q: %w", o.Dir, err)
	}
	o.Dir = dir
	if len(o.Shim) == 0 {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("process driver: shim: %w", err)
		}
		o.Shim = []string{self, "shim"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.SlotsMax, 4096)
	setDefault(&o.LogSegment, 8<<20)
	setDefault(&o.LogsKept, 1000)
	setDefault(&o.LogBytes, 1<<30)
	setDefault(&o.FollowEvery, 100*time.Millisecond)
	setDefault(&o.ShimIdle, 10*time.Minute)
	setDefault(&o.AdoptWithin, 5*time.Second)
	for name, wrong := range map[string]bool{"slots max": o.SlotsMax < 0, "log segment": o.LogSegment < 64<<10,
		"logs kept": o.LogsKept < 0, "log bytes": o.LogBytes < 0, "follow every": o.FollowEvery < 0,
		"shim idle": o.ShimIdle < 0, "adopt within": o.AdoptWithin < 0} {
		if wrong {
			return o, fmt.Errorf("process driver: %s is too small", name)
		}
	}
	return o, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
