package durability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
)

// cellName is the cell whose journal is tried.
const cellName = "durability"

// jetStream is a journal on NATS servers, each on a machine of its own. The writer is in this process.
type jetStream struct {
	*run
	machines []*machine
	urls     []string
	nc       *nats.Conn

	// The writer's goroutine and ours share the rest.
	mu    sync.Mutex
	log   *jetstreamlog.Log
	marks []mark // behind the last check
	all   []mark
	count uint64
	// last is when something was acknowledged, gap the longest time between two.
	last time.Time
	gap  time.Duration
	// writers is how often the writer began anew, failed why it has given up.
	writers int
	failed  error

	stop  context.CancelFunc
	ended chan struct{}
	// checked is how far the log was checked.
	checked tip
}

func newJetStream(r *run) *jetStream { return &jetStream{run: r} }

func (j *jetStream) open(ctx context.Context) error {
	ports, err := freePorts(2 * j.Servers)
	if err != nil {
		return err
	}
	var routes []string
	for i := range j.Servers {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[2*i+1]))
		j.urls = append(j.urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[2*i]))
	}
	for i := range j.Servers {
		name := fmt.Sprint("server", i)
		args := []string{"-kind=nats", "-name=" + name, "-port=" + strconv.Itoa(ports[2*i]), "-lazy=" + strconv.FormatBool(j.Lazy)}
		if j.Servers > 1 {
			args = append(args, "-cluster-port="+strconv.Itoa(ports[2*i+1]), "-routes="+join(routes))
		}
		m, err := j.machine(name, args)
		if err != nil {
			return err
		}
		m.proc.SetProgram(append(m.proc.Program(), "-dir="+m.dir))
		j.machines = append(j.machines, m)
	}
	if err := j.up(ctx, j.machines...); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	if j.nc, err = natsd.Dial(join(j.urls), "durability", quiet); err != nil {
		return err
	}
	if err := j.reopen(ctx); err != nil {
		return err
	}
	wctx, stop := context.WithCancel(context.Background())
	j.stop, j.ended = stop, make(chan struct{})
	go j.write(wctx)
	return nil
}

// up starts machines, all at once, and waits until they are up.
func (j *jetStream) up(ctx context.Context, machines ...*machine) error {
	errs := make(chan error, len(machines))
	for _, m := range machines {
		go func() {
			_, err := m.up(ctx)
			errs <- err
		}()
	}
	var err error
	for range machines {
		err = errors.Join(err, <-errs)
	}
	return err
}

// reopen gives the log another handle, as a new master has one.
func (j *jetStream) reopen(ctx context.Context) error {
	log, err := jetstreamlog.Open(ctx, j.nc, jetstreamlog.Options{Cell: cellName, Replicas: j.Servers, Patience: progressWithin})
	if err != nil {
		return err
	}
	j.mu.Lock()
	old := j.log
	j.log = log
	j.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// write appends for ever; when an append fails it begins anew behind what is there, as the next master does. When the log
// is not what it was it ends: what is wrong with it is for check to say.
func (j *jetStream) write(ctx context.Context) {
	defer close(j.ended)
	for epoch := uint64(1); ctx.Err() == nil; epoch++ {
		if epoch > 1 {
			j.mu.Lock()
			j.writers++
			j.mu.Unlock()
			if err := j.reopen(ctx); err != nil {
				j.fail(err)
				return
			}
		}
		j.mu.Lock()
		log, from := j.log, j.checked
		j.mu.Unlock()
		end, found, err := check(ctx, log, from, nil)
		if found.Disorder > 0 {
			return
		}
		if err != nil {
			j.fail(err)
			return
		}
		w := writer{log: log, epoch: epoch, tip: end, window: j.Window, rate: j.Rate, acked: j.remember}
		if err := w.run(ctx); errors.Is(err, journal.ErrCorrupt) {
			return
		}
	}
}

func (j *jetStream) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil && !errors.Is(err, context.Canceled) {
		j.failed = err
	}
}

func (j *jetStream) remember(t tip) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count++
	now := time.Now()
	if !j.last.IsZero() {
		j.gap = max(j.gap, now.Sub(j.last))
	}
	j.last = now
	j.marks = append(j.marks, t.mark())
	j.all = append(j.all, t.mark())
}

func (j *jetStream) acked() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}

func (j *jetStream) strike(ctx context.Context, f fault) error {
	switch f {
	case cutFault:
		return j.cut(ctx)
	case killFault:
		j.report.Kills++
		m := j.machines[j.random.IntN(len(j.machines))]
		if err := m.kill(); err != nil {
			return err
		}
		return j.up(ctx, m)
	}
	j.report.Stepdowns++
	return j.stepDown(ctx)
}

// cut takes the power of one, two or all machines at once.
func (j *jetStream) cut(ctx context.Context) error {
	n := 1 + j.random.IntN(len(j.machines))
	first := j.random.IntN(len(j.machines))
	var gone []*machine
	for i := range n {
		gone = append(gone, j.machines[(first+i)%len(j.machines)])
	}
	j.report.Cuts++
	if n == len(j.machines) {
		j.report.CutsOfAll++
	}
	var err error
	torn := j.torn()
	for _, m := range gone { // the disks first: nothing is synced any more when the processes learn of it
		err = errors.Join(err, m.disk.Cut(torn))
	}
	for _, m := range gone {
		err = errors.Join(err, m.kill(), m.disk.Mount(m.dir))
	}
	if err != nil {
		return err
	}
	j.lostBytes(j.machines...)
	return j.up(ctx, gone...)
}

// stepDown asks the leader of the stream to step down, which there may be none of at this moment.
func (j *jetStream) stepDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, progressWithin)
	defer cancel()
	for {
		answer, err := j.nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+jetstreamlog.StreamName(cellName), nil)
		if err == nil && len(answer.Data) > 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no leader can be asked to step down: %w", errors.Join(ctx.Err(), err))
		}
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// check reads what is there by now, while the writer goes on.
func (j *jetStream) check(ctx context.Context, whole bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*progressWithin)
	defer cancel()
	for {
		j.mu.Lock()
		log, from, marks, failed := j.log, j.checked, j.marks, j.failed
		if whole {
			from, marks = tip{}, j.all
		}
		j.mu.Unlock()
		if failed != nil {
			return failed
		}
		end, found, err := check(ctx, log, from, marks)
		if errors.Is(err, journal.ErrClosed) { // the writer has a new handle
			continue
		}
		if err != nil {
			return err
		}
		j.report.add(found)
		j.report.Stored = end.seq
		if whole {
			j.report.WholeChecks++
		} else {
			j.report.Checks++
		}
		j.mu.Lock()
		j.checked = end
		rest := j.marks[:0:0]
		for _, m := range j.marks {
			if m.seq > end.seq {
				rest = append(rest, m)
			}
		}
		j.marks = rest
		j.mu.Unlock()
		return nil
	}
}

func (j *jetStream) finish() error {
	j.stop()
	if !j.report.Kept() {
		j.closeLog() // else the writer would search for what will never be there
	}
	<-j.ended
	j.report.Records, j.report.Writers, j.report.LongestGap = j.acked(), j.writers, j.gap.Seconds()
	js, err := jetstream.New(j.nc)
	if err != nil || !j.report.Kept() {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), progressWithin)
	defer cancel()
	stream, err := js.Stream(ctx, jetstreamlog.StreamName(cellName))
	if err == nil {
		j.report.Messages = stream.CachedInfo().State.LastSeq
	}
	return err
}

func (j *jetStream) closeLog() {
	j.mu.Lock()
	log := j.log
	j.mu.Unlock()
	if log != nil {
		_ = log.Close() // whoever uses it learns of it
	}
}

func (j *jetStream) close() {
	if j.stop != nil {
		j.stop()
		j.closeLog()
		<-j.ended
	}
	if j.nc != nil {
		j.nc.Close()
	}
	for _, m := range j.machines {
		m.close()
	}
}

// freePorts are ports that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
