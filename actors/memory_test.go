package actors

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// said is a log handler that hands the text of each line on.
type said chan string

func (s said) Enabled(context.Context, slog.Level) bool { return true }
func (s said) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s said) WithGroup(string) slog.Handler            { return s }
func (s said) Handle(_ context.Context, r slog.Record) error {
	s <- r.Message
	return nil
}

func TestM6_ADumpTellsWhyAndWhatAndThreeAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dumps")
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 5 {
		to, err := dump(dir, "memory", "reason "+string(rune('a'+i)), start.Add(time.Duration(i)*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		for name, part := range map[string]string{"reason.txt": "reason " + string(rune('a'+i)), "goroutines.txt": "TestM6_", "heap.pprof": ""} {
			data, err := os.ReadFile(filepath.Join(to, name))
			if err != nil || len(data) == 0 || !bytes.Contains(data, []byte(part)) {
				t.Errorf("%s of dump %d has %d bytes, %v", name, i, len(data), err)
			}
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != dumpsMax {
		t.Fatalf("%d dumps are kept, %v", len(left), err)
	}
	if got := left[2].Name(); got != "20260102T030405_004Z-memory" {
		t.Errorf("the newest is %s", got)
	}
	if got := left[0].Name(); !strings.Contains(got, "_002Z") {
		t.Errorf("the oldest is %s", got)
	}
}

func TestM6_ReliefWritesADump(t *testing.T) {
	dir, lines := t.TempDir(), make(said, 10)
	c := &Cell{opts: Options{Dumps: dir}, log: slog.New(lines)}
	c.memoryPorts().Relieve(96, 100)
	if line := <-lines; line != "a dump was written" {
		t.Fatal(line)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*-memory", "reason.txt"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if text, err := os.ReadFile(found[0]); err != nil || !strings.Contains(string(text), "96 bytes are in use of at most 100") {
		t.Fatalf("%s, %v", text, err)
	}
	c.opts.Dumps = filepath.Join(dir, "reason", "\x00")
	c.postMortem("failure", "why")
	if line := <-lines; line != "no dump could be written" {
		t.Fatal(line)
	}
}

// What a collection would give back does not count: a process that makes much garbage is not short of memory.
func TestM5_GarbageIsNotInUse(t *testing.T) {
	const size = 256 << 20
	runtime.GC()
	before := processMemory()
	old := debug.SetGCPercent(-1) // garbage stays
	defer debug.SetGCPercent(old)
	for range size >> 20 {
		sink = make([]byte, 1<<20)
	}
	if grown := processMemory() - before; grown > size/4 {
		t.Errorf("%d MiB of garbage count as %d MiB", size>>20, grown>>20)
	}
	live := make([][]byte, 0, 64)
	for range 64 {
		live = append(live, make([]byte, 1<<20))
	}
	runtime.GC()
	if grown := processMemory() - before; grown < 60<<20 {
		t.Errorf("64 MiB that live count as %d MiB", grown>>20)
	}
	runtime.KeepAlive(live)
}

var sink []byte

func TestM2_TheLimitOfTheRuntimeIsTheLimit(t *testing.T) {
	old := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(old)
	c, err := Open(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if got := c.opts.Limits.MemoryBytes; got != 1<<40 {
		t.Errorf("the limit is %d", got)
	}
	debug.SetMemoryLimit(1<<63 - 1)
	if got := processLimit(); got != 0 {
		t.Errorf("without a limit it is %d", got)
	}
}
