package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
)

const crashedDir = "TROUPE_TEST_CRASH_DIR"

// A process that the runtime ends leaves its last words in its directory, and the next one says so.
func TestM6_LastWordsOfACrash(t *testing.T) {
	if dir := os.Getenv(crashedDir); dir != "" {
		if err := keepLastWords(dir, discard); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { panic("nobody takes this") }()
		<-done
	}
	dir := t.TempDir()
	var log bytes.Buffer
	words := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for range 2 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestM6_LastWordsOfACrash$")
		cmd.Env = append(os.Environ(), crashedDir+"="+dir)
		if err := cmd.Run(); err == nil {
			t.Fatal("it did not crash")
		}
	}
	for _, name := range []string{crashName, crashBefore} {
		if text := words(name); !strings.Contains(text, "nobody takes this") || !strings.Contains(text, "TestM6_LastWordsOfACrash") {
			t.Errorf("%s holds %q", name, text)
		}
	}
	if err := keepLastWords(dir, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if err := debug.SetCrashOutput(nil, debug.CrashOptions{}); err != nil {
		t.Fatal(err)
	}
	if text := words(crashName); text != "" || !strings.Contains(log.String(), "the process before this one crashed") {
		t.Errorf("the file holds %q, the log says %s", text, log.String())
	}
	log.Reset()
	if err := keepLastWords(dir, slog.New(slog.NewTextHandler(&log, nil))); err != nil || log.Len() > 0 {
		t.Errorf("after an end in order: %v, %s", err, log.String())
	}
	if err := debug.SetCrashOutput(nil, debug.CrashOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := keepLastWords(filepath.Join(dir, "none"), discard); err == nil {
		t.Error("last words go nowhere")
	}
}

func TestM2_TheCollectorKnowsTheLimit(t *testing.T) {
	old := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(old)
	for _, test := range []struct{ want, limit int64 }{{0, 1 << 40}, {1 << 41, 1 << 40}, {1 << 39, 1 << 39}} {
		debug.SetMemoryLimit(1 << 40)
		limitMemory(test.want, discard)
		if got := debug.SetMemoryLimit(-1); got != test.limit {
			t.Errorf("%d is wanted: the limit is %d, want %d", test.want, got, test.limit)
		}
	}
	debug.SetMemoryLimit(math.MaxInt64)
	limitMemory(1<<38, discard)
	if got := debug.SetMemoryLimit(-1); got > 1<<38 {
		t.Errorf("the limit is %d", got)
	}
}

// What needs room on a disk waits for it; other failures, and an end of patience, are told.
func TestB12_OpeningWaitsForRoom(t *testing.T) {
	var log bytes.Buffer
	said := slog.New(slog.NewTextHandler(&log, nil))
	errs := []error{fmt.Errorf("journal: %w", badgerdb.ErrFull), fmt.Errorf("server: %w", natsd.ErrFull), nil}
	got, err := waitForRoom(t.Context(), said, func() (int, error) {
		err := errs[0]
		errs = errs[1:]
		return 7, err
	})
	if got != 7 || err != nil || len(errs) != 0 || strings.Count(log.String(), "no room on the disk") != 1 {
		t.Errorf("%d, %v, log %s", got, err, log.String())
	}
	other := errors.New("other")
	if _, err := waitForRoom(t.Context(), discard, func() (int, error) { return 0, other }); !errors.Is(err, other) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := waitForRoom(ctx, discard, func() (int, error) { return 0, badgerdb.ErrFull }); !errors.Is(err, badgerdb.ErrFull) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
