package bench

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/node/hollow"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// fleetLink carries the messages of all agents of a cell over one connection, and counts them. What a real agent has of its
// own, connections and lanes, is left out: it is not the master's.
type fleetLink struct {
	nc    *nats.Conn
	fleet atomic.Pointer[hollow.Fleet]
	began atomic.Int64 // in nanoseconds
	// buckets count messages by tenths of a second since then.
	buckets [bucketsMax]atomic.Uint64
	beatMs  atomic.Int64
	unread  atomic.Uint64
}

const (
	bucketsMax = 3000
	bucket     = 100 * time.Millisecond
)

func newFleetLink(server *natsd.Server) (*fleetLink, error) {
	nc, err := server.Connect("bench-agents")
	if err != nil {
		return nil, err
	}
	l := &fleetLink{nc: nc}
	l.reset()
	return l, nil
}

// attach delivers what masters say from now on.
func (l *fleetLink) attach(f *hollow.Fleet) error {
	l.fleet.Store(f)
	for _, lane := range []subject.Lane{subject.To, subject.Ping} {
		pattern, err := subject.AgentPattern(rebuildCell, lane)
		if err != nil {
			return err
		}
		sub, err := l.nc.Subscribe(pattern, l.take)
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			return err
		}
	}
	return l.nc.FlushTimeout(10 * time.Second)
}

func (l *fleetLink) take(in *nats.Msg) {
	m := &v1.ToAgent{}
	if in.Header != nil || proto.Unmarshal(in.Data, m) != nil {
		l.unread.Add(1) // these messages are too small to be compressed
		return
	}
	l.count()
	if w := m.GetWelcome(); w != nil {
		l.beatMs.Store(w.GetHeartbeatMs())
	}
	l.fleet.Load().Send(m)
}

// send is hollow.Options.Deliver.
func (l *fleetLink) send(m *v1.FromAgent) {
	lane := subject.From
	if m.GetHello() == nil && len(m.GetChanges()) == 0 && m.GetDigest() == 0 {
		lane = subject.Beat
	}
	to, err := subject.Agent(rebuildCell, m.GetNode(), lane)
	if err != nil {
		return
	}
	data, err := proto.Marshal(m)
	if err == nil && l.nc.Publish(to, data) == nil {
		l.count()
	}
}

func (l *fleetLink) count() {
	i := (time.Now().UnixNano() - l.began.Load()) / int64(bucket)
	if i >= 0 && i < bucketsMax {
		l.buckets[i].Add(1)
	}
}

// reset begins to count anew.
func (l *fleetLink) reset() {
	l.began.Store(time.Now().UnixNano())
	for i := range l.buckets {
		l.buckets[i].Store(0)
	}
}

// figures are all messages since reset, and the most in one bucket, a second.
func (l *fleetLink) figures() (sum, peak uint64) {
	for i := range l.buckets {
		n := l.buckets[i].Load()
		sum += n
		peak = max(peak, n*uint64(time.Second/bucket))
	}
	return sum, peak
}

// period is how often agents are told to report, in milliseconds.
func (l *fleetLink) period() int64 { return l.beatMs.Load() }

func (l *fleetLink) close() { l.nc.Close() }
