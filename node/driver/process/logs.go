//go:build linux || darwin

package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// chunkMax bounds one LogChunk.
const chunkMax = 64 << 10

// logBook knows the output of ended attempts, within a budget: the oldest goes first.
type logBook struct {
	dir     string
	keep    int
	budget  int64
	mu      sync.Mutex
	bytes   int64
	entries []logEntry // in the order of their ends
}

type logEntry struct {
	id    wire.LogID
	bytes int64
}

// openLogBook takes in what is in dir, but for attempts that are still busy.
func openLogBook(dir string, keep int, budget int64, busy map[uint64]bool) (*logBook, error) {
	b := &logBook{dir: dir, keep: keep, budget: budget}
	folders, err := os.ReadDir(dir) // sorted by name, which is by fence
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if id, ok := wire.ParseLogID(f.Name()); ok && !busy[id.Fence] {
			b.ended(id, diskBytes(filepath.Join(dir, f.Name())))
		}
	}
	return b, nil
}

// ended takes in the output of one more attempt. Most have none, which costs nothing.
func (b *logBook) ended(id wire.LogID, size int64) {
	if size == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, logEntry{id, size})
	b.bytes += size
	drop := 0
	for drop < len(b.entries) && (len(b.entries)-drop > b.keep || b.bytes > b.budget) {
		b.bytes -= b.entries[drop].bytes
		_ = os.RemoveAll(filepath.Join(b.dir, b.entries[drop].id.String()))
		drop++
	}
	b.entries = slices.Delete(b.entries, 0, drop)
}

// diskBytes is how much the files of a folder hold.
func diskBytes(dir string) int64 {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	total := int64(0)
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			total += info.Size()
		}
	}
	return total
}

// Logs copies the captured output of one attempt.
func (d *Driver) Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	if req.Fence == 0 && req.Uid == 0 {
		return errors.New("logs: fence and uid are both missing; give the fence of an attempt, or uid, stage and index")
	}
	id, ok := d.findLog(req)
	if !ok {
		return fmt.Errorf("logs of uid %d stage %q index %d fence %d: %w", req.Uid, req.Stage, req.Index, req.Fence, fs.ErrNotExist)
	}
	dir := filepath.Join(d.opt.Dir, wire.LogsDir, id.String())
	readers := [2]logReader{{dir: dir, stream: wire.Stdout, tail: req.TailBytes}, {dir: dir, stream: wire.Stderr, tail: req.TailBytes}}
	for {
		// Looked at before reading: what an ended attempt wrote is all there.
		follow := req.Follow && d.runs(id.Fence)
		for i := range readers {
			if err := readers[i].copy(ctx, fn); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.closed:
			return errors.New("logs: the driver is closed")
		case <-time.After(d.opt.FollowEvery):
		}
	}
}

// findLog finds the attempt that is meant: the newest one, of those that run and those whose output is kept.
func (d *Driver) findLog(req *v1.LogsRequest) (wire.LogID, bool) {
	stage := wire.SafeName(req.Stage)
	var best wire.LogID
	consider := func(id wire.LogID) {
		match := id.UID == req.Uid && id.Index == req.Index && id.Stage == stage
		if req.Fence != 0 {
			match = id.Fence == req.Fence
		}
		if match && id.Fence > best.Fence {
			best = id
		}
	}
	for _, s := range d.all() {
		s.mu.Lock()
		consider(s.id)
		s.mu.Unlock()
	}
	d.logs.mu.Lock()
	for _, e := range d.logs.entries {
		consider(e.id)
	}
	d.logs.mu.Unlock()
	return best, best.Fence != 0
}

// runs says whether the attempt is still busy.
func (d *Driver) runs(fence uint64) bool {
	for _, s := range d.all() {
		s.mu.Lock()
		found := s.busy && s.id.Fence == fence
		s.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

// all slots of the moment. Their locks are taken without the driver's.
func (d *Driver) all() []*slot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.slots))
}

// busy is the set of fences that run among what was found.
func (d *Driver) busy(found []adopted) map[uint64]bool {
	fences := map[uint64]bool{}
	for _, a := range found {
		if a.slot.busy {
			fences[a.slot.id.Fence] = true
		}
	}
	return fences
}

// logReader reads one stream, file by file, while the shim may be writing and dropping files.
type logReader struct {
	dir, stream string
	tail        int64
	begun       bool
	// pos is the offset of the next byte, skipped what rotation dropped before it.
	pos, skipped int64
}

type logFile struct {
	base, end int64
	path      string
}

// copy hands over what there is beyond the last position.
func (r *logReader) copy(ctx context.Context, fn func(*v1.LogChunk) error) error {
	files, err := r.list()
	if err != nil || len(files) == 0 {
		return err
	}
	if !r.begun && r.tail > 0 {
		r.pos = max(files[0].base, files[len(files)-1].end-r.tail)
	}
	r.begun = true
	for _, f := range files {
		gap := max(0, f.base-r.pos)
		r.pos, r.skipped = r.pos+gap, r.skipped+gap
		for r.pos < f.end {
			if err := ctx.Err(); err != nil {
				return err
			}
			data, err := r.read(f)
			if errors.Is(err, fs.ErrNotExist) {
				break // dropped meanwhile: the next file begins with what was skipped
			}
			if err != nil {
				return fmt.Errorf("logs: %w", err)
			}
			chunk := &v1.LogChunk{Stream: r.stream, Data: data, Offset: r.pos, Skipped: r.skipped}
			r.pos += int64(len(data))
			r.skipped = 0
			if err := fn(chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads the next chunk of f. The chunk is the reader's to keep.
func (r *logReader) read(f logFile) ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := make([]byte, min(chunkMax, f.end-r.pos))
	n, err := file.ReadAt(data, r.pos-f.base)
	if n > 0 {
		return data[:n], nil
	}
	if errors.Is(err, io.EOF) {
		return nil, fs.ErrNotExist
	}
	return nil, err
}

// list finds the files of the stream that are there, in order.
func (r *logReader) list() ([]logFile, error) {
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	var files []logFile
	for _, e := range entries {
		stream, base, ok := wire.ParseSegment(e.Name())
		if !ok || stream != r.stream {
			continue
		}
		if info, err := e.Info(); err == nil {
			files = append(files, logFile{base: base, end: base + info.Size(), path: filepath.Join(r.dir, e.Name())})
		}
	}
	slices.SortFunc(files, func(a, b logFile) int { return cmp.Compare(a.base, b.base) })
	return files, nil
}
