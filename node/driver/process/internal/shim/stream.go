//go:build linux || darwin

package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
)

// chunk is how much output is read at once: what a pipe holds.
const chunk = 64 << 10

// stream copies one output of the attempts from a pipe, which lives as long as the shim, to files of bounded size. An
// attempt that writes nothing costs no file. Whatever happens to the files, the pipe is drained: output is lost
// rather than an attempt blocked.
type stream struct {
	name    string
	r, w    int
	buf     []byte
	dir     string // of the attempt's output; empty while none runs
	segment int64  // size of a file
	offset  int64  // in the stream, of the next byte
	files   []segment
	fd      int // the last of files while it is written, else -1
	failed  bool
}

// segment is one file of a stream.
type segment struct {
	path string
	size int64
}

// segmentsKept is how many files of a stream stay on disk.
const segmentsKept = 2

func (s *shim) openStreams() error {
	buf := make([]byte, chunk)
	for i, name := range []string{wire.Stdout, wire.Stderr} {
		r, w, err := pipe()
		if err != nil {
			return err
		}
		s.streams[i] = &stream{name: name, r: r, w: w, buf: buf, fd: -1}
	}
	return nil
}

// pipe makes one whose reading end does not block.
func pipe() (r, w int, err error) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return -1, -1, err
	}
	unix.CloseOnExec(p[0])
	unix.CloseOnExec(p[1])
	return p[0], p[1], unix.SetNonblock(p[0], true)
}

// begin directs the stream to the files of an attempt.
func (st *stream) begin(dir string, segment int64) {
	st.dir, st.segment, st.offset, st.files, st.failed = dir, max(segment, chunk), 0, st.files[:0], false
	// A program that makes its output non-blocking does so to the pipe, and the next one would inherit it.
	_, _ = unix.FcntlInt(uintptr(st.w), unix.F_SETFL, 0)
}

// end closes the files and returns how many bytes of them are on disk.
func (st *stream) end() int64 {
	st.drain(64) // more than a pipe holds: what was written before the end is read
	st.close()
	st.dir = ""
	kept := int64(0)
	for _, f := range st.files {
		kept += f.size
	}
	return kept
}

// drain reads what is there, at most so many times a chunk.
func (st *stream) drain(times int) {
	for range times {
		n, err := unix.Read(st.r, st.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		if st.dir != "" {
			st.write(st.buf[:n])
		}
	}
}

func (st *stream) write(p []byte) {
	for len(p) > 0 {
		n, err := st.writeSome(p)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			st.drop(len(p), err)
			return
		}
		st.offset += int64(n)
		p = p[n:]
	}
}

// writeSome writes to the last file, or to a new one if there is none or it is full. Old files go only when the new one
// has taken something.
func (st *stream) writeSome(p []byte) (int, error) {
	if st.fd < 0 || st.files[len(st.files)-1].size >= st.segment {
		if err := st.next(); err != nil {
			return 0, err
		}
	}
	last := &st.files[len(st.files)-1]
	n, err := unix.Write(st.fd, p[:min(int64(len(p)), st.segment-last.size)])
	if err != nil {
		return 0, err
	}
	last.size += int64(n)
	for len(st.files) > segmentsKept {
		_ = os.Remove(st.files[0].path)
		st.files = st.files[:copy(st.files, st.files[1:])]
	}
	return n, nil
}

// next begins a new file at the current offset.
func (st *stream) next() error {
	if len(st.files) == 0 {
		if err := os.MkdirAll(st.dir, 0o700); err != nil {
			return err
		}
	}
	st.close()
	path := filepath.Join(st.dir, wire.SegmentName(st.name, st.offset))
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	st.fd = fd
	st.files = append(st.files, segment{path: path})
	return nil
}

// drop counts n bytes as written that cannot be: the next file begins after them, so readers see a gap.
func (st *stream) drop(n int, err error) {
	if !st.failed {
		st.failed = true
		// The shim's own log is the only place to say it: the attempt's is what cannot be written.
		fmt.Fprintf(os.Stderr, "%s of %s is dropped: %v\n", st.name, st.dir, err)
	}
	if st.fd >= 0 {
		st.close()
		if last := st.files[len(st.files)-1]; last.size == 0 {
			_ = os.Remove(last.path)
			st.files = st.files[:len(st.files)-1]
		}
	}
	st.offset += int64(n)
}

func (st *stream) close() {
	if st.fd >= 0 {
		unix.Close(st.fd)
		st.fd = -1
	}
}
