package gofunc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// The streams of an attempt: what the function wrote, and the stack of its panic.
const (
	stdout = iota
	stderr
	streams
)

var streamNames = [streams]string{"stdout", "stderr"}

// chunkMax bounds one LogChunk.
const chunkMax = 64 << 10

// attemptLog is the output of one attempt, in memory. Of each stream the newest bytes are kept.
type attemptLog struct {
	fence, uid, index uint64
	stage             string
	max               int

	mu      sync.Mutex
	bufs    [streams][]byte
	dropped [streams]int64
	ended   bool
	changed chan struct{} // closed at the next change, if somebody waits for it
}

// write appends. When twice the limit is reached the older half goes, so that a byte is moved once at most.
func (l *attemptLog) write(stream int, p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	if l.ended || n == 0 {
		return n, nil
	}
	if over := n - l.max; over > 0 {
		p = p[over:]
		l.dropped[stream] += int64(over)
	}
	buf := append(l.bufs[stream], p...)
	if over := len(buf) - l.max; len(buf) > 2*l.max {
		l.dropped[stream] += int64(over)
		buf = buf[:copy(buf, buf[over:])]
	}
	l.bufs[stream] = buf
	l.wake()
	return n, nil
}

// end closes the log, gives back what is beyond the limit, and returns its size.
func (l *attemptLog) end() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wake()
	size := 0
	for i, buf := range l.bufs {
		if over := len(buf) - l.max; over > 0 {
			l.dropped[i] += int64(over)
			buf = buf[over:]
		}
		l.bufs[i] = slices.Clone(buf)
		size += len(buf)
	}
	return size
}

// wake tells those who wait. Called with mu held.
func (l *attemptLog) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// next copies what a stream holds from offset pos on. The chunk has no data if there is none; then wait is closed at
// the next change, and nil if there will be none.
func (l *attemptLog) next(stream int, pos int64) (chunk *v1.LogChunk, wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	buf, first := l.bufs[stream], l.dropped[stream]
	chunk = &v1.LogChunk{Stream: streamNames[stream], Offset: max(pos, first), Skipped: max(0, first-pos)}
	rest := buf[min(int64(len(buf)), chunk.Offset-first):]
	chunk.Data = slices.Clone(rest[:min(len(rest), chunkMax)])
	if !l.ended {
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		wait = l.changed
	}
	return chunk, wait
}

// span is where a reader of a stream begins, to see at most tail bytes (all if 0), and where the stream ends now.
func (l *attemptLog) span(stream int, tail int64) (from, to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.dropped[stream]
	to = first + int64(len(l.bufs[stream]))
	if tail > 0 {
		from = max(first, to-tail)
	}
	return from, to
}

// copy hands the log to fn: what is there now, or following, what comes until the attempt ends.
func (l *attemptLog) copy(ctx context.Context, closed <-chan struct{}, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	var pos, end [streams]int64
	for i := range pos {
		pos[i], end[i] = l.span(i, req.TailBytes)
	}
	for {
		idle := true
		var wait <-chan struct{}
		for i := range pos {
			chunk, w := l.next(i, pos[i])
			if i == 0 {
				wait = w // the first one misses no change
			}
			if len(chunk.Data) == 0 || !req.Follow && pos[i] >= end[i] {
				continue
			}
			idle = false
			pos[i] = chunk.Offset + int64(len(chunk.Data))
			if err := fn(chunk); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !idle {
			continue
		}
		if !req.Follow || wait == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-closed:
			return errors.New("logs: the driver is closed")
		case <-wait:
		}
	}
}

// logBook holds the logs of ended attempts, within a budget: the oldest goes first.
type logBook struct {
	keep, budget int
	mu           sync.Mutex
	bytes        int
	logs         []*attemptLog
}

// ended takes in one more log. Most are empty, which costs nothing.
func (b *logBook) ended(l *attemptLog) {
	size := l.end()
	if size == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logs = append(b.logs, l)
	b.bytes += size
	drop := 0
	for drop < len(b.logs) && (len(b.logs)-drop > b.keep || b.bytes > b.budget) {
		b.bytes -= b.logs[drop].size()
		drop++
	}
	b.logs = slices.Delete(b.logs, 0, drop)
}

func (l *attemptLog) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.bufs[stdout]) + len(l.bufs[stderr])
}

// Logs copies the captured output of one attempt.
func (d *Driver) Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	if req.Fence == 0 && req.Uid == 0 {
		return errors.New("logs: fence and uid are both missing; give the fence of an attempt, or uid, stage and index")
	}
	log := d.findLog(req)
	if log == nil {
		return fmt.Errorf("logs of uid %d stage %q index %d fence %d: %w", req.Uid, req.Stage, req.Index, req.Fence, fs.ErrNotExist)
	}
	return log.copy(ctx, d.closed, req, fn)
}

// findLog finds the attempt that is meant: the newest one, of those in slots and those whose output is kept.
func (d *Driver) findLog(req *v1.LogsRequest) *attemptLog {
	var best *attemptLog
	consider := func(l *attemptLog) {
		match := l.uid == req.Uid && l.index == req.Index && l.stage == req.Stage
		if req.Fence != 0 {
			match = l.fence == req.Fence
		}
		if match && (best == nil || l.fence > best.fence) {
			best = l
		}
	}
	for _, s := range d.all() {
		s.mu.Lock()
		if s.attempt != nil {
			consider(s.attempt.log)
		}
		s.mu.Unlock()
	}
	d.logs.mu.Lock()
	defer d.logs.mu.Unlock()
	for _, l := range d.logs.logs {
		consider(l)
	}
	return best
}
