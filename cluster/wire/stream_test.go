package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// bench is a writer and a reader of streams over one server.
type bench struct {
	server         *server.Server
	writer, reader *nats.Conn
	streams        *Streams
	ended          chan error
}

const streamSubject = "test.logs"

// newBench serves run on streamSubject.
func newBench(t *testing.T, run func(context.Context, func(*v1.LogChunk) error) error) *bench {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	b := &bench{server: s, writer: dial(t, s), reader: dial(t, s), ended: make(chan error, 10)}
	if b.streams, err = NewStreams(b.writer); err != nil {
		t.Fatal(err)
	}
	_, err = b.writer.Subscribe(streamSubject, func(m *nats.Msg) {
		go func() { b.ended <- Serve(t.Context(), b.streams, m.Reply, m.Header, run, model.FaultOf) }()
	})
	if err == nil {
		err = b.writer.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func dial(t *testing.T, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", append(ConnOptions(t.Name(), slog.New(slog.DiscardHandler)), nats.InProcessServer(s))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (b *bench) receive(ctx context.Context, window int, fn func(*v1.LogChunk) error) error {
	return Receive(ctx, b.reader, streamSubject, &v1.LogsRequest{}, window, fn)
}

func TestStreamsArriveWholeAndInOrder(t *testing.T) {
	want := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(want)
	b := newBench(t, func(_ context.Context, send func(*v1.LogChunk) error) error {
		err := send(&v1.LogChunk{Stream: "stdout"}) // must not end the stream
		return errors.Join(err, send(&v1.LogChunk{Stream: "stdout", Data: want[:1<<20], Skipped: 7}),
			send(&v1.LogChunk{Stream: "stdout", Data: want[1<<20:], Offset: 1 << 20}))
	})
	for _, window := range []int{1, 4, 1000} {
		var got []byte
		var skipped int64
		err := b.receive(t.Context(), window, func(c *v1.LogChunk) error {
			if c.GetOffset() != int64(len(got)) {
				return fmt.Errorf("offset %d after %d bytes", c.GetOffset(), len(got))
			}
			got, skipped = append(got, c.GetData()...), skipped+c.GetSkipped()
			return nil
		})
		if err != nil || !bytes.Equal(got, want) || skipped != 7 {
			t.Fatalf("window %d: %d bytes, %d skipped, %v", window, len(got), skipped, err)
		}
		if err := <-b.ended; err != nil {
			t.Fatal(err)
		}
	}
}

func TestX6_AnyNATSClientReadsAStream(t *testing.T) {
	b := newBench(t, func(_ context.Context, send func(*v1.LogChunk) error) error {
		return errors.Join(send(&v1.LogChunk{Stream: "stdout", Data: []byte("a")}), send(&v1.LogChunk{Stream: "stderr", Data: []byte("b"), Offset: 1}))
	})
	sub, err := b.reader.SubscribeSync(b.reader.NewInbox())
	if err == nil {
		err = b.reader.PublishRequest(streamSubject, sub.Subject, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"stream":"stdout","data":"YQ==","offset":"0","skipped":"0"}`, `{"stream":"stderr","data":"Yg==","offset":"1","skipped":"0"}`, "",
	} {
		m, err := sub.NextMsgWithContext(t.Context())
		if err != nil || string(m.Data) != want || FaultIn(m) != nil {
			t.Fatalf("got %s, %v, want %s", m.Data, err, want)
		}
	}
}

func TestStreamRefusals(t *testing.T) {
	b := newBench(t, func(_ context.Context, send func(*v1.LogChunk) error) error {
		return errors.Join(send(&v1.LogChunk{Data: []byte("a")}), model.NotFound("no such attempt"))
	})
	seen := 0
	err := b.receive(t.Context(), 8, func(*v1.LogChunk) error { seen++; return nil })
	if !errors.Is(err, model.NotFound("")) || seen != 1 {
		t.Fatalf("got %v after %d chunks, want not_found after 1", err, seen)
	}
	for header, value := range map[string]string{HeaderWindow: "0", HeaderContentType: "text/plain"} {
		m := nats.NewMsg(streamSubject)
		m.Header.Set(header, value)
		answer, err := b.reader.RequestMsgWithContext(t.Context(), m)
		if err != nil || FaultIn(answer) == nil || FaultIn(answer).Code != 400 {
			t.Fatalf("%s %q: got %v, %v", header, value, answer, err)
		}
	}
	err = Receive(t.Context(), b.reader, "test.nobody", &v1.LogsRequest{}, 8, func(*v1.LogChunk) error { return nil })
	if !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("got %v, want no responders", err)
	}
}

func TestM3_ASlowReaderSlowsTheWriterDown(t *testing.T) {
	const window = 4
	sent := make(chan int, 1000)
	b := newBench(t, func(_ context.Context, send func(*v1.LogChunk) error) error {
		for i := range 100 {
			if err := send(&v1.LogChunk{Data: []byte{1}, Offset: int64(i)}); err != nil {
				return err
			}
			sent <- i
		}
		return nil
	})
	read := 0
	err := b.receive(t.Context(), window, func(*v1.LogChunk) error {
		read++
		if ahead := len(sent) - read; ahead > window {
			return fmt.Errorf("the writer is %d messages ahead of the window %d", ahead, window)
		}
		return nil
	})
	if err != nil || read != 100 {
		t.Fatalf("%d messages, %v", read, err)
	}
}

func TestAStreamEndsWhenItsReaderIsGone(t *testing.T) {
	b := newBench(t, func(ctx context.Context, send func(*v1.LogChunk) error) error {
		for {
			if err := send(&v1.LogChunk{Data: []byte("endless")}); err != nil {
				return err
			}
		}
	})
	stop := errors.New("enough")
	if err := b.receive(t.Context(), 8, func(*v1.LogChunk) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if err := <-b.ended; err != nil {
		t.Fatalf("got %v, want an end without complaint", err)
	}
	if n := len(b.streams.live); n != 0 {
		t.Fatalf("%d streams are still there", n)
	}
}

func TestASilentStreamFindsOutThatItsReaderIsGone(t *testing.T) {
	b := newBench(t, func(ctx context.Context, send func(*v1.LogChunk) error) error {
		err := send(&v1.LogChunk{Data: []byte("hello")})
		<-ctx.Done()
		return errors.Join(err, context.Cause(ctx))
	})
	b.streams.keepAlive = time.Millisecond
	stop := errors.New("enough")
	if err := b.receive(t.Context(), 8, func(*v1.LogChunk) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if err := <-b.ended; err != nil {
		t.Fatalf("got %v, want an end without complaint", err)
	}
}

func TestAReaderThatStopsAcknowledgingIsGivenUp(t *testing.T) {
	b := newBench(t, func(ctx context.Context, send func(*v1.LogChunk) error) error {
		for {
			if err := send(&v1.LogChunk{Data: []byte("endless")}); err != nil {
				return err
			}
		}
	})
	b.streams.patience = 10 * time.Millisecond
	sub, err := b.reader.SubscribeSync(b.reader.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg(streamSubject)
	m.Reply = sub.Subject
	m.Header.Set(HeaderWindow, "2")
	if err := b.reader.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	for want := range 3 {
		m, err := sub.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f := FaultIn(m); (f != nil) != (want == 2) || f != nil && f.Err != model.ErrDeadline {
			t.Fatalf("message %d: %v %s", want, f, m.Data)
		}
	}
	if err := <-b.ended; !errors.Is(err, errStalled) {
		t.Fatalf("got %v, want the reader given up", err)
	}
}

func TestAReaderGivesUpASilentOrBrokenStream(t *testing.T) {
	b := newBench(t, func(ctx context.Context, _ func(*v1.LogChunk) error) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	none := func(*v1.LogChunk) error { return nil }
	err := receive(t.Context(), b.reader, streamSubject, &v1.LogsRequest{}, 8, time.Millisecond, none)
	if !errors.Is(err, errSilent) {
		t.Fatalf("got %v, want silence noticed", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.receive(ctx, 8, none); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want cancelled", err)
	}
	_, err = b.writer.Subscribe("test.broken", func(m *nats.Msg) {
		out := JSON.Message(m.Reply, []byte(`{"data":"YQ=="}`))
		out.Header.Set(HeaderSeq, "2")
		_ = m.RespondMsg(out)
	})
	if err == nil {
		err = b.writer.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = Receive(t.Context(), b.reader, "test.broken", &v1.LogsRequest{}, 8, none)
	if !errors.Is(err, model.Unavailable("")) {
		t.Fatalf("got %v, want a broken stream noticed", err)
	}
}
