// Package masters lets the masters of a cell hear each other over core NATS: signs of life, who leads, who hands over to
// whom. It decides nothing that matters for safety; see actors/policy/elect.
package masters

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/elect"
	"github.com/troupe-sched/troupe/cluster/subject"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// tick is how often the machine is asked.
	tick = 25 * time.Millisecond
	// mastersMax bounds the masters that are remembered, rememberFor how long a silent one is.
	mastersMax  = 32
	rememberFor = time.Minute
	// flushMax bounds the wait until the server has what must leave before this master goes.
	flushMax = time.Second
	// loudEvery is how often a second master of our name is told of.
	loudEvery = 10 * time.Second
)

// Config of this master's part in the election.
type Config struct {
	// Conn is a connection of its own: what blocks others must not silence beats.
	Conn *nats.Conn
	Cell string
	// ID is unique among the masters of the cell, Host names the machine.
	ID, Host, Version string
	// Elect are the times of the election; its ID is that of this Config.
	Elect elect.Options
	Log   *slog.Logger
}

// Masters is this master's ear and voice among the masters of its cell. It is safe for use from several goroutines.
type Masters struct {
	c    Config
	to   string
	sub  *nats.Subscription
	kick chan struct{} // something was heard that may make us due
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	machine *elect.Machine
	self    *v1.MasterInfo
	// began tells this start of the process from others under the same id.
	began   uint64
	outdone chan struct{} // of the reign, closed when it is outdone; nil while there is none
	others  map[string]heard
	// leaderSeq is the last record that the leader has; told says that it is news.
	leaderSeq uint64
	told      bool
	beat      time.Time // of the last one
	muted     time.Time // until then, neither ear nor voice
	// rival is when an older process of our name was heard, loud when that was told.
	rival, loud time.Time
}

type heard struct {
	info *v1.MasterInfo
	at   time.Time
}

// Open begins to listen and to tell that this master lives.
func Open(c Config) (*Masters, error) {
	if wrong := subject.CheckName("master.id", c.ID); wrong != nil {
		return nil, model.Invalid("wrong name of a master", wrong)
	}
	to, err := subject.Beats(c.Cell)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c.Elect.ID = c.ID
	c.Log = c.Log.With("master", c.ID)
	m := &Masters{
		c: c, to: to, kick: make(chan struct{}, 1), done: make(chan struct{}),
		machine: elect.New(c.Elect, now), began: uint64(now.UnixNano()), others: map[string]heard{},
		self: &v1.MasterInfo{Id: c.ID, Host: c.Host, Version: c.Version, Role: elect.Starting, SinceUnixMs: now.UnixMilli()},
	}
	if m.sub, err = c.Conn.Subscribe(to, m.hear); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go m.run(ctx)
	return m, nil
}

// Close says that this master goes, and ends. The connection is left to its owner.
func (m *Masters) Close() {
	m.stop()
	<-m.done
	m.mu.Lock()
	m.setRole(elect.Resigned)
	m.say(false, "")
	m.mu.Unlock()
	_ = m.c.Conn.FlushTimeout(flushMax) // who is not reached misses our beats
	_ = m.sub.Unsubscribe()             // only a closed connection fails, and then it is done
}

// run tells that this master lives.
func (m *Masters) run(ctx context.Context) {
	defer close(m.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			m.mu.Lock()
			if now.Sub(m.beat) >= m.machine.Every(now) {
				m.say(false, "")
			}
			m.mu.Unlock()
		}
	}
}

// say sends a beat; the lock is held.
func (m *Masters) say(resigned bool, successor string) {
	now := time.Now()
	m.beat = now
	if now.Before(m.muted) {
		return
	}
	b := &v1.Beat{Master: m.self, Resigned: resigned, Successor: successor, Incarnation: m.began}
	data, err := proto.Marshal(b)
	if err == nil {
		err = m.c.Conn.Publish(m.to, data)
	}
	if err != nil {
		m.c.Log.Debug("a beat was not sent", "error", err)
	}
}

// hear takes a beat of any master, also our own.
func (m *Masters) hear(in *nats.Msg) {
	b := &v1.Beat{}
	if err := proto.Unmarshal(in.Data, b); err != nil || !subject.ValidName(b.GetMaster().GetId()) {
		m.c.Log.Warn("something that is no beat came among those of the masters", "bytes", len(in.Data))
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Before(m.muted) || b.GetIncarnation() == m.began {
		return
	}
	i := b.GetMaster()
	if i.GetId() == m.c.ID {
		m.hearRival(b, now)
		return
	}
	if _, known := m.others[i.GetId()]; known || m.room(now) {
		m.others[i.GetId()] = heard{i, now}
	}
	m.machine.Heard(elect.Beat{
		ID: i.GetId(), Role: i.GetRole(), Epoch: i.GetEpoch(), Seq: i.GetSeq(), Resigned: b.GetResigned(), Successor: b.GetSuccessor(),
	}, now)
	if leader, epoch := m.machine.Current(); leader == i.GetId() && epoch == i.GetEpoch() && i.GetRole() == elect.Leader {
		m.leaderSeq, m.told = i.GetSeq(), true
	}
	if m.outdone != nil && m.machine.Outdone() {
		close(m.outdone)
		m.outdone = nil
	}
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// hearRival takes the beat of another process with our id. It can do no harm, but neither can hear the other: the
// younger one does not try to lead, and both say so until somebody mends it.
func (m *Masters) hearRival(b *v1.Beat, now time.Time) {
	if b.GetIncarnation() < m.began {
		m.rival = now
	}
	if now.Sub(m.loud) < loudEvery {
		return
	}
	m.loud = now
	m.c.Log.Error("another master has the same id; give one of them another by --id (master.id)",
		"its_host", b.GetMaster().GetHost(), "older", b.GetIncarnation() < m.began)
}

// room makes room for one more master, of those long silent; the lock is held.
func (m *Masters) room(now time.Time) bool {
	for id, h := range m.others { //order: each is judged alone
		if now.Sub(h.at) > rememberFor {
			delete(m.others, id)
		}
	}
	return len(m.others) < mastersMax
}

// Due returns when this master shall try to lead, or ctx's error. While it waits it calls heard with the last record that
// the leader has, whenever the leader says so.
func (m *Masters) Due(ctx context.Context, heard func(seq uint64)) error {
	m.mu.Lock()
	if m.self.Role != elect.Follower {
		m.setRole(elect.Follower)
		m.say(false, "")
	}
	m.mu.Unlock()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		due, told, seq := m.due()
		if told {
			heard(seq)
		}
		if due {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-m.kick:
		case <-ticker.C:
		}
	}
}

// due reports whether to try, and what a leader has told since it was asked last.
func (m *Masters) due() (due, told bool, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !m.c.Conn.IsConnected() {
		m.machine.Listen(now) // who cannot hear does not know that somebody is silent
		return false, false, 0
	}
	told = m.told
	m.told = false
	return m.machine.Due(now) && now.Sub(m.rival) > 2*elect.FollowerBeat, told, m.leaderSeq
}

// Seen tells the last record that this master has applied or, leading, made durable, and the epoch that wrote it.
func (m *Masters) Seen(epoch, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machine.Wrote(epoch, seq, time.Now())
	m.self.Epoch, m.self.Seq = max(m.self.Epoch, epoch), max(m.self.Seq, seq)
}

// Lost tells that trying to lead has failed.
func (m *Masters) Lost() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machine.Lost(time.Now())
}

// Won tells that this master leads. The channel is closed when the leader of a greater epoch has been heard.
func (m *Masters) Won(epoch uint64) (outdone <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setRole(elect.Leader)
	m.self.Epoch = epoch
	m.machine.Won(epoch, time.Now())
	c := make(chan struct{})
	if m.machine.Outdone() {
		close(c)
	} else {
		m.outdone = c
	}
	m.say(false, "")
	return c
}

// Deposed tells that the reign of this master has ended otherwise than by handing over.
func (m *Masters) Deposed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machine.Deposed(time.Now())
	m.outdone = nil
	m.setRole(elect.Follower)
	m.say(false, "")
}

// Resigned tells that the reign of this master is over: it answers nobody any more, and what it wrote is settled. The
// successor, "" if there is none, begins at once.
func (m *Masters) Resigned(successor string) {
	m.mu.Lock()
	m.machine.Resign(time.Now())
	m.outdone = nil
	m.setRole(elect.Resigned)
	m.say(true, successor)
	m.mu.Unlock()
	if err := m.c.Conn.FlushTimeout(flushMax); err != nil {
		m.c.Log.Warn("the others may not have heard that this master resigned; they will miss it soon", "error", err)
	}
}

// Yielded reports whether the leader of that epoch has said that it answers nobody any more.
func (m *Masters) Yielded(epoch uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Yielded(epoch)
}

// Successor is the follower that would be ready soonest, or the one that is wanted; a fault if there is none.
func (m *Masters) Successor(want string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if want == "" {
		if id := m.machine.Successor(now); id != "" {
			return id, nil
		}
		return "", model.Unavailable("no other master follows: there is nobody to hand over to")
	}
	if want == m.c.ID {
		return "", model.Invalid("a leader cannot hand over to itself", &v1.FieldError{Field: "to", Problem: want + " leads", Hint: "name a follower, or nobody"})
	}
	if h, known := m.others[want]; known && h.info.GetRole() == elect.Follower && now.Sub(h.at) < 3*elect.FollowerBeat {
		return want, nil
	}
	return "", model.NotFound("master %s does not follow; troupe master list shows who does", want)
}

// Mute takes ear and voice from this master for a time, for a drill; 0 gives them back.
func (m *Masters) Mute(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.muted = time.Now().Add(d)
}

// Leader is who leads, as far as is known; "" if nobody does.
func (m *Masters) Leader() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, _ := m.machine.Current()
	return id
}

// List tells of this master and of those heard within the last minute, by id.
func (m *Masters) List() []*v1.MasterInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	list := []*v1.MasterInfo{proto.CloneOf(m.self)}
	for _, h := range m.others { //order: sorted below
		if age := now.Sub(h.at); age <= rememberFor {
			info := proto.CloneOf(h.info)
			info.HeardMs = age.Milliseconds()
			list = append(list, info)
		}
	}
	last := uint64(0)
	for _, info := range list {
		last = max(last, info.GetSeq())
	}
	for _, info := range list {
		info.Lag = last - info.GetSeq()
	}
	slices.SortFunc(list, func(a, b *v1.MasterInfo) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return list
}

// setRole changes what beats say; the lock is held.
func (m *Masters) setRole(role string) {
	m.self.Role, m.self.SinceUnixMs = role, time.Now().UnixMilli()
}
