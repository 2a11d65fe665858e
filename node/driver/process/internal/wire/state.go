package wire

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// stateMax is the place of one state in the file: an attempt's result, its reason and some to spare.
const stateMax = 96 << 10

// StateFile keeps the last state of a shim on disk. It has two places, written in turn: a state that was torn by the
// death of its writer fails its checksum, and the one before it still stands. Compared with a new file renamed over
// the old one this is one system call instead of four, and it needs no free space once it is there. Nothing is synced:
// the file has to survive the process, not the machine, whose crash ends all attempts anyway.
type StateFile struct {
	f      *os.File
	number uint64
	frame  []byte
}

// OpenState opens or makes the file at path and returns the state in it, nil if there is none.
func OpenState(path string) (*StateFile, *v1.ShimState, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	last, number, err := readState(f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	s := &StateFile{f: f, number: number}
	// Space is claimed here, once, so that a full disk cannot keep an end from being saved.
	if err := s.claim(); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return s, last, nil
}

func (s *StateFile) claim() error {
	info, err := s.f.Stat()
	if err != nil || info.Size() >= 2*stateMax {
		return err
	}
	_, err = s.f.WriteAt(make([]byte, 2*stateMax-info.Size()), info.Size())
	return err
}

// Save writes st and returns its frame, good until the next Save.
func (s *StateFile) Save(st *v1.ShimState) ([]byte, error) {
	frame, err := AppendFrame(s.frame[:0], s.number+1, st)
	if err != nil {
		return nil, err
	}
	s.frame = frame
	if len(frame) > stateMax {
		return nil, fmt.Errorf("state has %d bytes, limit %d", len(frame), stateMax)
	}
	s.number++
	if _, err := s.f.WriteAt(frame, int64(s.number%2)*stateMax); err != nil {
		return nil, err
	}
	return frame, nil
}

// ReadState reads the last whole state in the file at path; nil if there is no file or no state in it.
func ReadState(path string) (*v1.ShimState, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, _, err := readState(f)
	return st, err
}

// readState takes the newer of the two places that holds a whole frame. It is an error if both hold something and
// neither is whole: at most one can be torn.
func readState(f *os.File) (*v1.ShimState, uint64, error) {
	var last *v1.ShimState
	var newest uint64
	damaged := 0
	buf := make([]byte, stateMax)
	for place := range int64(2) {
		clear(buf)
		if _, err := f.ReadAt(buf, place*stateMax); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		if allZero(buf[:headerSize]) {
			continue
		}
		number, message, size, err := decode(buf)
		if err != nil || size == 0 {
			damaged++
			continue
		}
		if number <= newest {
			continue
		}
		st := &v1.ShimState{}
		if err := proto.Unmarshal(message, st); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", f.Name(), err)
		}
		last, newest = st, number
	}
	if last == nil && damaged > 0 {
		return nil, 0, fmt.Errorf("%s: %w", f.Name(), ErrDamaged)
	}
	return last, newest, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
