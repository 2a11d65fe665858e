package natsd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/cluster/store/badgerdb/smalldisk"
)

// locked is a buffer that several goroutines write.
type locked struct {
	mu  chan struct{}
	buf bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.buf.Write(b)
}

func (l *locked) String() string {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.buf.String()
}

// A server on a disk without room only lets publishers wait, and goes on doing so when there is room again. It is found
// out and started again, at the same address; what it had acknowledged is there.
func TestTrapFullDisk_B12_TheServerIsStartedAgainWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	dir := smalldisk.Mount(t, 160<<20)
	log := &locked{mu: make(chan struct{}, 1)}
	s := start(t, Options{Dir: filepath.Join(dir, "nats"), StoreMax: 150 << 20, Port: RandomPort, Log: slog.New(slog.NewTextHandler(log, nil))})
	url := s.ClientURL()
	if err := s.Room(); err != nil {
		t.Fatal(err)
	}
	nc := connect(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 140<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Room(); !errors.Is(err, ErrFull) {
		t.Fatalf("room for more: %v", err)
	}
	acknowledged := uint64(0)
	for publish(ctx, js) == nil {
		acknowledged++
	}
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	for publish(ctx, js) != nil {
		if ctx.Err() != nil {
			t.Fatalf("with room again nothing is taken: %s", log)
		}
	}
	if got := s.ClientURL(); got != url {
		t.Errorf("it was at %s and is at %s", url, got)
	}
	info, err := stream.Info(ctx)
	if err != nil || info.State.Msgs <= acknowledged {
		t.Fatalf("%d messages are there, %v; %d were acknowledged on the full disk, and one since", info.State.Msgs, err, acknowledged)
	}
	if text := log.String(); !strings.Contains(text, "no space left") || !strings.Contains(text, "has started again") {
		t.Fatalf("the log does not tell: %s", text)
	}
	if !nc.IsConnected() {
		t.Error("the connection within the process did not find the server again")
	}
}

// publish sends one message of half a megabyte and waits a second for its acknowledgement.
func publish(ctx context.Context, js jetstream.JetStream) error {
	m := nats.NewMsg("s")
	m.Data = make([]byte, 512<<10)
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	return err
}
