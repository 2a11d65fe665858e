package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/natsd"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// namesPer is how many operations a name gets: more would take long to judge.
	namesPer = 35
	// variants of a job that clients submit under one name.
	variants = 2
	// tryFor is how long a client waits for an answer before it asks again, lastingFor how long it does so, lastFor how long
	// for the answers that are asked for in the end. One client in impatient never asks again: what it does not learn
	// stays unknown. Were all so, no history could be judged in time.
	tryFor, lastingFor, lastFor = 250 * time.Millisecond, 5 * time.Second, 20 * time.Second
	impatient                   = 10
	// judgeFor is how long one history is judged.
	judgeFor = 20 * time.Second
	// brokenMax is how many broken histories are kept.
	brokenMax = 10
)

// Options of a run.
type Options struct {
	// Histories that are lived and judged, one after another on each processor.
	Histories int
	// Clients of each, and Ops that each of them has.
	Clients, Ops int
	// Kinds of cells, taken in turn; all if there are none.
	Kinds []string
	// Seed draws faults and questions. Which of them meet is up to the machine.
	Seed uint64
	// Dir keeps stores while they are used, and histories that are not linearizable.
	Dir string
	// Tell gets a line now and then; nil drops them.
	Tell func(string)
}

// Report tells what became of a run.
type Report struct {
	Histories int `json:"histories"`
	Ops       int `json:"ops"`
	// Unknown are operations whose outcome no client learned.
	Unknown int `json:"unknown"`
	// ByKind are the histories by kind of cell.
	ByKind map[string]int `json:"by_kind"`
	// Failures are appends that failed on purpose, each of which tears a master down; Changes are leaders that resigned
	// or were stalled.
	Failures int `json:"failures"`
	Changes  int `json:"changes"`
	// Broken histories are not linearizable; Undecided took too long to judge. At most ten are kept in files.
	Broken    int      `json:"broken"`
	Undecided int      `json:"undecided"`
	Kept      []string `json:"kept,omitempty"`
	Problems  []string `json:"problems,omitempty"`
	Seed      uint64   `json:"seed"`
	Seconds   float64  `json:"seconds"`
}

func (o *Options) fill() error {
	if len(o.Kinds) == 0 {
		o.Kinds = []string{Memory, Masters, Badger, JetStream}
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	for _, c := range []struct {
		name    string
		n, most int
	}{{"histories", o.Histories, 1_000_000}, {"clients", o.Clients, 1000}, {"operations", o.Ops, 10_000}} {
		if c.n < 1 || c.n > c.most {
			return fmt.Errorf("crowd: %d %s: it must be from 1 to %d", c.n, c.name, c.most)
		}
	}
	if o.Dir == "" {
		return errors.New("crowd: no folder is given")
	}
	return nil
}

// Run lives and judges histories. That some are broken is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	// What a lazy server loses is lost with the whole machine: here nothing is cut off from power.
	server, err := natsd.Start(natsd.Options{Dir: filepath.Join(o.Dir, "nats"), SyncLazily: true})
	if err != nil {
		return nil, fmt.Errorf("crowd: %w", err)
	}
	defer server.Close()
	r := &Report{ByKind: map[string]int{}, Seed: o.Seed}
	var (
		mu    sync.Mutex
		next  atomic.Int64
		group sync.WaitGroup
		first error
		began = time.Now()
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= o.Histories || ctx.Err() != nil {
					return
				}
				l := &life{Options: o, kind: o.Kinds[i%len(o.Kinds)], seed: o.Seed + uint64(i), server: server}
				err := l.live(ctx)
				verdict := history.Check(l.ops, judgeFor)
				mu.Lock()
				if first == nil && err != nil {
					first = fmt.Errorf("crowd: history of seed %d over %s: %w", l.seed, l.kind, err)
					next.Store(int64(o.Histories))
				}
				r.add(l, &verdict)
				if r.Histories%50 == 0 {
					o.Tell(fmt.Sprintf("%d of %d histories, %d operations, %d of unknown outcome: %d broken, %d undecided", r.Histories, o.Histories, r.Ops, r.Unknown, r.Broken, r.Undecided))
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	r.Seconds = time.Since(began).Seconds()
	return r, errors.Join(first, ctx.Err())
}

func (r *Report) add(l *life, v *history.Report) {
	r.Histories++
	r.Ops, r.Unknown = r.Ops+v.Ops, r.Unknown+v.Unknown
	r.ByKind[l.kind]++
	r.Failures, r.Changes = r.Failures+int(l.failures), r.Changes+int(l.changes)
	switch v.Verdict {
	case history.Linearizable:
		return
	case history.Broken:
		r.Broken++
	case history.Undecided:
		r.Undecided++
	}
	if len(r.Kept) == brokenMax {
		return
	}
	for _, f := range v.Findings {
		r.Problems = append(r.Problems, fmt.Sprintf("seed %d over %s: %s: %s", l.seed, l.kind, f.Job, f.Problem))
		r.Problems = append(r.Problems, f.Ops...)
	}
	name := filepath.Join(l.Dir, fmt.Sprintf("%s-%s-%d.jsonl", v.Verdict, l.kind, l.seed))
	if err := keep(name, l.ops); err != nil {
		name = err.Error()
	}
	r.Kept = append(r.Kept, name)
}

func keep(name string, ops []history.Op) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	w := history.NewWriter(file)
	for _, op := range ops {
		if err := w.Add(op); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return errors.Join(w.Flush(), file.Close())
}

// life is one history.
type life struct {
	Options
	kind   string
	seed   uint64
	server *natsd.Server

	mu                sync.Mutex
	ops               []history.Op
	failures, changes int32
	began             time.Time
}

func (l *life) live(ctx context.Context) error {
	random := rand.New(rand.NewPCG(l.seed, 1))
	w := &weather{random: rand.New(rand.NewPCG(l.seed, 2)), slow: time.Duration(random.IntN(3)) * 15 * time.Millisecond, failures: random.IntN(4)}
	c, err := openCell(ctx, l.server, l.kind, fmt.Sprintf("h%d", l.seed), l.Dir, w)
	if err != nil {
		return err
	}
	defer c.close()
	w.begin()
	l.began = time.Now()
	trouble, stop := context.WithCancel(ctx)
	var struck atomic.Int32
	var troubles, clients sync.WaitGroup
	if l.kind == Masters {
		troubles.Go(func() { c.trouble(trouble, rand.New(rand.NewPCG(l.seed, 3)).IntN, &struck) })
	}
	errs := make(chan error, l.Clients)
	for i := range l.Clients {
		clients.Go(func() { errs <- l.client(ctx, c, i) })
	}
	clients.Wait()
	stop()
	troubles.Wait()
	w.calmDown()
	for range l.Clients {
		err = errors.Join(err, <-errs)
	}
	l.failures, l.changes = w.failed.Load(), struck.Load()
	return errors.Join(err, l.last(ctx, c))
}

// names are the jobs that all clients ask about.
func (l *life) names() int { return max(1, l.Clients*l.Ops/namesPer) }

// asker makes a client of the cell's API.
func (l *life) asker(c *cell, number int, patience time.Duration) (history.Client, func(), error) {
	nc, err := c.server.Connect(fmt.Sprint("client ", number))
	if err != nil {
		return history.Client{}, nil, err
	}
	asks, err := client.New(client.Config{Conn: nc, Cell: c.name, Try: tryFor, Wait: patience})
	now := func() int64 { return int64(time.Since(l.began)) }
	return history.Client{Number: number, Cell: asks, Now: now}, nc.Close, err
}

// client is one of the crowd.
func (l *life) client(ctx context.Context, c *cell, number int) error {
	patience := lastingFor
	if number%impatient == 0 {
		patience = tryFor
	}
	asks, end, err := l.asker(c, number, patience)
	if err != nil {
		return err
	}
	defer end()
	random := rand.New(rand.NewPCG(l.seed, uint64(100+number)))
	for i := range l.Ops {
		if pause.For(ctx, time.Duration(random.IntN(4))*time.Millisecond) != nil {
			return ctx.Err()
		}
		name := fmt.Sprint("job-", random.IntN(l.names()))
		var op history.Op
		switch n := random.IntN(20); {
		case n < 7:
			// Keys that several clients use at about the same time, and again later.
			variant := random.IntN(variants)
			key := fmt.Sprintf("%s-%d-%d", name, variant, max(0, i/8-random.IntN(2)))
			op = asks.Submit(ctx, batch(name, variant), key, fmt.Sprint(variant))
		case n < 13:
			op = asks.Status(ctx, api.DefaultQueue, name)
		case n < 16:
			op = asks.Stop(ctx, api.DefaultQueue, name, 0)
		default:
			op = asks.List(ctx, api.DefaultQueue, name)
		}
		l.note(op)
	}
	return nil
}

func (l *life) note(op history.Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, op)
}

func batch(name string, variant int) *v1.JobSpec {
	return &v1.JobSpec{
		Name: name, Queue: api.DefaultQueue, Kind: "batch", Labels: map[string]string{"variant": fmt.Sprint(variant)},
		Stages: []*v1.StageSpec{{Name: "s", Instances: 1, Command: []string{"true"}}},
	}
}

// last asks about all jobs when everything is calm: what was acknowledged must be there.
func (l *life) last(ctx context.Context, c *cell) error {
	asks, end, err := l.asker(c, l.Clients, lastFor)
	if err != nil {
		return err
	}
	defer end()
	for i := range l.names() {
		op := asks.Status(ctx, api.DefaultQueue, fmt.Sprint("job-", i))
		l.note(op)
		if op.Outcome == history.Unknown {
			return errors.Join(fmt.Errorf("the cell is calm and does not tell of %s: %s", op.Job, op.Error), c.ended())
		}
	}
	slices.SortFunc(l.ops, func(a, b history.Op) int { return int(a.Call - b.Call) })
	return nil
}
