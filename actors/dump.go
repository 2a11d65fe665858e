package actors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
)

// dumpsMax is how many dumps are kept; the oldest goes.
const dumpsMax = 3

// postMortem writes down what the process is doing, for whoever wants to know later why it had to end or ran short, and
// says in the log where.
func (c *Cell) postMortem(kind, format string, args ...any) {
	if c.opts.Dumps == "" {
		return
	}
	reason := fmt.Sprintf(format, args...)
	dir, err := dump(c.opts.Dumps, kind, reason, time.Now())
	if err != nil {
		c.log.Error("no dump could be written", "kind", kind, "reason", reason, "error", err)
		return
	}
	c.log.Warn("a dump was written", "kind", kind, "reason", reason, "dir", dir)
}

// dump makes a directory in dir with the reason, all goroutines and the heap, and removes the oldest beyond dumpsMax.
func dump(dir, kind, reason string, now time.Time) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	// Room first: the disk may be what is short, too. Names sort by time.
	old, err := filepath.Glob(filepath.Join(dir, "*Z-*"))
	if err != nil {
		return "", err
	}
	for len(old) >= dumpsMax {
		if err := os.RemoveAll(old[0]); err != nil {
			return "", err
		}
		old = old[1:]
	}
	to := filepath.Join(dir, strings.ReplaceAll(now.UTC().Format("20060102T150405.000Z"), ".", "_")+"-"+kind)
	if err := os.Mkdir(to, 0o700); err != nil {
		return "", err
	}
	err = os.WriteFile(filepath.Join(to, "reason.txt"), []byte(reason+"\n"), 0o600)
	return to, errors.Join(err,
		profile(filepath.Join(to, "goroutines.txt"), "goroutine", asText),
		profile(filepath.Join(to, "heap.pprof"), "heap", asProfile))
}

// Forms of a profile: one that people read, and one for "go tool pprof".
const (
	asProfile = 0
	asText    = 1
)

// profile writes one of the runtime's profiles.
func profile(path, name string, form int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, form), f.Close())
}
