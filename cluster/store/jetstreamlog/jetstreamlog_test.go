package jetstreamlog

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/cluster/natsd"
)

func TestMain(m *testing.M) {
	// The server's clock of ticks (package ats) runs as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

func start(t testing.TB, opts natsd.Options) *natsd.Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := natsd.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t testing.TB, s *natsd.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := s.Connect("test", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t testing.TB, nc *nats.Conn, opts Options) *Log {
	t.Helper()
	log, err := Open(t.Context(), nc, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

var cells atomic.Int64

// newCell names a cell of its own.
func newCell() string { return fmt.Sprint("cell", cells.Add(1)) }

// lastCell is the one named last.
func lastCell() string { return fmt.Sprint("cell", cells.Load()) }

func TestLog(t *testing.T) {
	s := start(t, natsd.Options{})
	journaltest.RunLog(t, func(t *testing.T) journaltest.LogStore {
		cell := newCell()
		reopen := func() (journal.Log, error) { return Open(t.Context(), connect(t, s), Options{Cell: cell}) }
		return journaltest.LogStore{
			Open: reopen, Second: reopen,
			Small: func(t *testing.T) journal.Log {
				return open(t, connect(t, s), Options{Cell: newCell(), BytesMax: 3 << 20})
			},
		}
	})
}

// What the disk does is shown on a server of its own, which stops when the log is closed.
func TestLogOnDisk(t *testing.T) {
	journaltest.RunLog(t, func(t *testing.T) journaltest.LogStore {
		if !strings.HasSuffix(t.Name(), "Gap") && !strings.HasSuffix(t.Name(), "FlippedBit") {
			t.Skip("shown by TestLog")
		}
		dir := t.TempDir()
		return journaltest.LogStore{
			Open: func() (journal.Log, error) { return ownServer(t, dir) },
			Flip: func(t *testing.T, seq uint64) { flip(t, dir, fmt.Appendf(nil, "host%d", seq)) },
		}
	})
}

type owner struct {
	*Log
	s *natsd.Server
}

func (o owner) Close() error {
	err := o.Log.Close()
	o.s.Close()
	return err
}

func ownServer(t *testing.T, dir string) (journal.Log, error) {
	s, err := natsd.Start(natsd.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	log, err := Open(t.Context(), connect(t, s), Options{Cell: "c"})
	if err != nil {
		s.Close()
		return nil, err
	}
	return owner{log, s}, nil
}

// flip flips a bit of what the server has stored, where it finds text.
func flip(t *testing.T, dir string, text []byte) {
	t.Helper()
	found := false
	err := filepath.WalkDir(natsd.StoreDir(dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || found {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if at := bytes.Index(data, text); at >= 0 {
			found = true
			data[at] ^= 1
			return os.WriteFile(path, data, 0o600)
		}
		return nil
	})
	if err != nil || !found {
		t.Fatalf("%q is not on disk: %v", text, err)
	}
}
