package chaos

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/chaos/audit"
	"github.com/troupe-sched/troupe/chaos/cell"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// askEvery is how often the cell is asked what it is, askWithin how long it may take to answer.
	askEvery  = 250 * time.Millisecond
	askWithin = time.Second
	// lookEvery is how often the machine is looked at.
	lookEvery = 500 * time.Millisecond
	// scrapeWithin bounds the reading of one process's metrics.
	scrapeWithin = 2 * time.Second
	// momentsMax and samplesMax bound what is kept of them; of a longer run every second one is dropped, again and again.
	momentsMax = 20_000
	samplesMax = 4_000
)

// watch looks at a cell while it is struck.
type watch struct {
	scenario scenario.Scenario

	mu      sync.Mutex
	events  []timed
	moments []audit.Moment
	seen    []audit.Seen
	sizes   map[sizeOf][]sample
}

// timed is an event with its time.
type timed struct {
	proc.Event
	at time.Time
}

// sizeOf names one row of samples: what of which part.
type sizeOf struct{ part, what string }

type sample struct {
	at    time.Time
	value int64
}

func newWatch(s scenario.Scenario) *watch {
	return &watch{scenario: s, sizes: map[sizeOf][]sample{}}
}

func (w *watch) event(e proc.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, timed{e, time.Now()})
}

// run looks until the function that it returns is called: by asking, and if the cell is here at its processes, too.
func (w *watch) run(ctx context.Context, asks api.Cell, c *cell.Cell) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	again := func(every time.Duration, fn func()) {
		all.Add(1)
		go func() {
			defer all.Done()
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					fn()
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	again(askEvery, func() { w.ask(ctx, asks) })
	if c == nil {
		return func() { cancel(); all.Wait() }
	}
	again(lookEvery, func() { w.look(c.Name) })
	if every := w.scenario.Sample.Std(); every > 0 {
		web := &http.Client{Transport: &http.Transport{DialContext: c.Reach, DisableKeepAlives: true}, Timeout: scrapeWithin}
		again(every, func() { w.sample(ctx, c, web) })
	}
	return func() { cancel(); all.Wait() }
}

// ask asks the cell what it is.
func (w *watch) ask(ctx context.Context, asking api.Cell) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	at := time.Now()
	status, err := asking.CellStatus(ctx, &v1.CellStatusRequest{})
	s := audit.Seen{At: at, Epoch: status.GetEpoch(), Seq: status.GetSeq(), Master: status.GetMaster(), State: status.GetState()}
	if err != nil {
		s.Err = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, s)
}

// look notes what runs on the machine.
func (w *watch) look(cell string) {
	m := audit.Moment{Attempts: proc.Attempts(cell)}
	m.At = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moments = append(w.moments, m)
	if len(w.moments) == momentsMax {
		w.moments = everyOther(w.moments)
	}
}

// sample takes the size of every process that is up.
func (w *watch) sample(ctx context.Context, c *cell.Cell, web *http.Client) {
	at := time.Now()
	for _, p := range c.Parts() {
		facts, up := p.Proc.Facts()
		pid := p.Proc.PID()
		if !up || pid == 0 {
			continue
		}
		if u, ok := proc.UsageOf(pid); ok {
			w.note(p.ID, "memory", at, u.RSS)
			w.note(p.ID, "files", at, int64(u.FDs))
			w.note(p.ID, "threads", at, int64(u.Threads))
		}
		if facts.HTTP != "" {
			if n, ok := goroutines(ctx, web, facts.HTTP); ok {
				w.note(p.ID, "goroutines", at, n)
			}
		}
	}
}

func (w *watch) note(part, what string, at time.Time, value int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := sizeOf{part, what}
	w.sizes[key] = append(w.sizes[key], sample{at, value})
	if len(w.sizes[key]) == samplesMax {
		w.sizes[key] = everyOther(w.sizes[key])
	}
}

// goroutines reads how many a process has from its metrics.
func goroutines(ctx context.Context, web *http.Client, url string) (int64, bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return 0, false
	}
	answer, err := web.Do(request)
	if err != nil {
		return 0, false
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			n, err := strconv.ParseFloat(text, 64)
			return int64(n), err == nil
		}
	}
	return 0, false
}

// everyOther keeps every second of a list.
func everyOther[T any](list []T) []T {
	kept := list[:0]
	for i := 0; i < len(list); i += 2 {
		kept = append(kept, list[i])
	}
	return kept
}
