package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/troupe-sched/troupe/node/meter"
)

const (
	// crashName is the file in the directory of a process that tells how it died, if the runtime ended it; crashBefore the
	// one of an earlier process.
	crashName, crashBefore = "crash.log", "crash.1.log"
	// memoryShare is the part of a control group's memory, in percent, that is for the Go runtime; the rest is for what it
	// does not count, such as maps of files.
	memoryShare = 90
)

// lastWords is keepLastWords for a process that goes on without.
func lastWords(dir string, log *slog.Logger) {
	if err := keepLastWords(dir, log); err != nil {
		log.Warn("a crash of this process would be told on the standard error alone", "reason", err)
	}
}

// keepLastWords has the runtime write to a file in dir, beside the standard error, what every goroutine was doing when it
// ends the process: at a panic that nobody takes, a fault of memory or a fatal error. It says so when the file of an
// earlier process tells of its end, and keeps that one.
func keepLastWords(dir string, log *slog.Logger) error {
	path, before := filepath.Join(dir, crashName), filepath.Join(dir, crashBefore)
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("last words: %w", err)
	case info.Size() > 0:
		if err := os.Rename(path, before); err != nil {
			return fmt.Errorf("last words: %w", err)
		}
		log.Warn("the process before this one crashed", "at", info.ModTime(), "file", before)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		err = errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close()) // it has a file descriptor of its own
	}
	if err != nil {
		return fmt.Errorf("last words: %w", err)
	}
	debug.SetTraceback("all")
	return nil
}

// limitMemory gives the collector of garbage the limit that the process has: what is wanted, or GOMEMLIMIT, or nearly
// what its control group has. With a limit it works the harder the nearer the process is to it, instead of letting garbage
// grow beyond.
func limitMemory(want int64, log *slog.Logger) {
	limit := debug.SetMemoryLimit(-1)
	from := "GOMEMLIMIT"
	if group := meter.MemoryLimit(); limit == math.MaxInt64 && group > 0 {
		limit, from = group/100*memoryShare, "the control group"
	}
	if want > 0 && want < limit {
		limit, from = want, "limits.memory"
	}
	if limit < math.MaxInt64 {
		debug.SetMemoryLimit(limit)
		log.Info("memory is limited", "bytes", limit, "by", from)
	}
}
