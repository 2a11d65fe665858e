//go:build linux || darwin

package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
)

// openPlain opens a file that an attempt may have written, or put anything else in the place of.
func openPlain(name string) (fd int, size int64, err error) {
	fd, err = unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return -1, 0, errors.New("not a regular file")
	}
	return fd, st.Size, nil
}

// readResult takes the result file; problem says what is wrong with it.
func readResult() (result []byte, problem string) {
	fd, size, err := openPlain(wire.ResultName)
	if errors.Is(err, unix.ENOENT) {
		return nil, ""
	}
	if err != nil {
		return nil, fmt.Sprintf("result cannot be read: %v", err)
	}
	defer unix.Close(fd)
	if size > driver.ResultMax {
		return nil, fmt.Sprintf("result too large: %d bytes, limit %d", size, driver.ResultMax)
	}
	result = make([]byte, size)
	n, err := unix.Pread(fd, result, 0)
	if err != nil {
		return nil, fmt.Sprintf("result cannot be read: %v", err)
	}
	return result[:n], ""
}

// readProgress takes the last line of the progress file: "done total" or a fraction such as "0.42". What cannot be
// understood changes nothing: it may be half written.
func readProgress(before uint32) uint32 {
	fd, size, err := openPlain(wire.ProgressName)
	if err != nil {
		return before
	}
	defer unix.Close(fd)
	var buf [256]byte
	n, err := unix.Pread(fd, buf[:], max(0, size-int64(len(buf))))
	if err != nil {
		return before
	}
	text := bytes.TrimSpace(buf[:n])
	if i := bytes.LastIndexAny(text, "\r\n"); i >= 0 {
		text = text[i+1:]
	}
	milli, ok := parseProgress(text)
	if !ok {
		return before
	}
	return milli
}

func parseProgress(line []byte) (milli uint32, ok bool) {
	words := bytes.Fields(line)
	part := 0.0
	switch len(words) {
	case 1:
		p, err := strconv.ParseFloat(string(words[0]), 64)
		if err != nil {
			return 0, false
		}
		part = p
	case 2:
		done, err1 := strconv.ParseFloat(string(words[0]), 64)
		total, err2 := strconv.ParseFloat(string(words[1]), 64)
		if err1 != nil || err2 != nil || total <= 0 {
			return 0, false
		}
		part = done / total
	default:
		return 0, false
	}
	if !(part >= 0) { // also not a number
		return 0, false
	}
	return uint32(min(part, 1) * 1000), true
}

// openWork makes the directory that attempts without one of their own run in, and clears what a former shim left.
func (s *shim) openWork() error {
	if err := os.Mkdir(wire.WorkName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var err error
	if s.work, err = os.Open(wire.WorkName); err != nil {
		return err
	}
	s.cleanUp()
	return nil
}

// cleanUp removes what an attempt left in the slot: usually nothing, which costs four system calls to learn.
func (s *shim) cleanUp() {
	for _, name := range []string{wire.ResultName, wire.ProgressName} {
		if err := unix.Unlink(name); err != nil && !errors.Is(err, unix.ENOENT) {
			if err := host.RemoveAll(name); err != nil {
				s.log.Error("cannot clean up", "file", name, "error", err)
			}
		}
	}
	if _, err := s.work.Seek(0, io.SeekStart); err == nil {
		if _, err := s.work.Readdirnames(1); errors.Is(err, io.EOF) {
			return
		}
	}
	s.work.Close()
	err := host.RemoveAll(wire.WorkName)
	if err == nil {
		err = os.Mkdir(wire.WorkName, 0o700)
	}
	if err != nil {
		s.log.Error("cannot clean up", "file", wire.WorkName, "error", err)
	}
	if s.work, err = os.Open(wire.WorkName); err != nil {
		// The next attempt fails at entering it, and says so.
		s.log.Error("cannot open the working directory", "error", err)
	}
}
