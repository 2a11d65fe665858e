package actors

import (
	"context"
	"sync"

	"github.com/troupe-sched/troupe/actors/journal"
)

// gate stands between the journal of one reign and its log. It knows when everything that was appended is settled, tells
// of what became durable, and can be held shut.
type gate struct {
	journal.Log
	// durable is called with every record that is; nil if nobody wants to know.
	durable func(seq uint64)

	mu    sync.Mutex
	under int             // appends that are not settled
	idle  []chan struct{} // to be closed when there are none
	shut  bool
	held  []func() // appends that wait for the gate to open; the journal has a few at once
}

// Append implements journal.Log.
func (g *gate) Append(seq uint64, data []byte, done func(error)) {
	settle := func(err error) {
		if err == nil && g.durable != nil {
			g.durable(seq)
		}
		done(err)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.under--; g.under == 0 {
			for _, c := range g.idle {
				close(c)
			}
			g.idle = nil
		}
	}
	if !g.keep(func() { g.Log.Append(seq, data, settle) }) {
		g.Log.Append(seq, data, settle)
	}
}

// keep counts an append, and takes it if it must wait.
func (g *gate) keep(send func()) (held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.under++
	if held = g.shut || len(g.held) > 0; held {
		g.held = append(g.held, send)
	}
	return held
}

// hold shuts the gate: what is appended waits.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

// open lets through what waited, in its order.
func (g *gate) open() {
	for {
		g.mu.Lock()
		g.shut = false
		if len(g.held) == 0 {
			g.mu.Unlock()
			return
		}
		next := g.held[0]
		g.mu.Unlock()
		next()
		g.mu.Lock()
		g.held = g.held[1:] // until now what comes queues behind it
		g.mu.Unlock()
	}
}

// settled waits until no append is under way, so that nothing of this master can come after what others write now.
func (g *gate) settled(ctx context.Context) error {
	g.mu.Lock()
	if g.under == 0 {
		g.mu.Unlock()
		return nil
	}
	c := make(chan struct{})
	g.idle = append(g.idle, c)
	g.mu.Unlock()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
