package view

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files again")

// start is a moment in the tests; now is 95 seconds later.
var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now   = start.Add(95 * time.Second)
)

// page draws on a page for a file, and with width on one for a terminal.
func page(t *testing.T, width int, draw func(*Page)) string {
	t.Helper()
	var out bytes.Buffer
	p := NewPage(&out, now)
	p.Terminal, p.Width = width > 0, width
	draw(p)
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (go test ./tools/troupe/view -update writes it again):\n--- want\n%s--- got\n%s", path, want, got)
	}
}
