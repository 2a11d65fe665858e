package decisions

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/s2"
)

const (
	// format is the form of the files.
	format = 1
	magic  = "TRPDEC1\n"
	// blockMax is how much is gathered before it is compressed and written; a block may be larger by one entry.
	blockMax = 64 << 10
	// blockLimit bounds a block that is read.
	blockLimit = 64 << 20
	suffix     = ".decisions"
)

// Head says whose decisions a segment holds.
type Head struct {
	Format        int
	Cell, Host    string
	Version       string
	Epoch         uint64
	Journal, Jobs string // addresses
	Names, Placer string
	Queues, Nodes string
	Gateway       string
	// Scores are the names of scores that the program has beyond the built-in ones.
	Scores []string
	Began  time.Time
}

// segment is one file that is being written.
type segment struct {
	tap  *tap
	file *os.File
	gob  *gob.Encoder
	raw  bytes.Buffer
	enc  writer
	size int64
}

// create begins a file with an event.
func create(dir string, e *event, version string) (*segment, error) {
	f, err := openNew(dir, e.at)
	if err != nil {
		return nil, err
	}
	s := &segment{tap: e.tap, file: f, size: int64(len(magic))}
	s.gob = gob.NewEncoder(&s.raw)
	env := e.tap.env
	head := Head{
		Format: format, Cell: env.Cell, Host: env.Host, Version: version, Epoch: env.Epoch, Scores: env.Scores, Began: time.Unix(0, e.at),
		Journal: path(env.Refs.Journal), Jobs: path(env.Refs.Jobs), Names: path(env.Refs.Names), Placer: path(env.Refs.Placer),
		Queues: path(env.Refs.Queues), Nodes: path(env.Refs.Nodes), Gateway: path(env.Refs.Gateway),
	}
	_, err = f.WriteString(magic)
	if err == nil {
		err = s.gob.Encode(&head)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// openNew makes a file named after a time; there may be some of that time already.
func openNew(dir string, at int64) (f *os.File, err error) {
	for n := range 100 {
		f, err = os.OpenFile(filepath.Join(dir, fmt.Sprintf("%020d-%02d%s", at, n, suffix)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if !errors.Is(err, os.ErrExist) {
			break
		}
	}
	return f, err
}

func (s *segment) last() int64 { return s.enc.last }

func (s *segment) add(e *event) error {
	l, err := s.enc.line(e.kind, e.at, e.from, e.to, e.message)
	if err == nil {
		err = s.gob.Encode(l)
	}
	if err == nil && s.raw.Len() >= blockMax {
		err = s.flush()
	}
	return err
}

// flush writes what was gathered as one block.
func (s *segment) flush() error {
	if s.raw.Len() == 0 {
		return nil
	}
	block := make([]byte, 8, 8+s2.MaxEncodedLen(s.raw.Len()))
	body := s2.Encode(block[8:cap(block)], s.raw.Bytes())
	s.raw.Reset()
	binary.BigEndian.PutUint32(block, uint32(len(body)))
	binary.BigEndian.PutUint32(block[4:], crc32.Checksum(body, castagnoli))
	n, err := s.file.Write(append(block, body...))
	s.size += int64(n)
	return err
}

func (s *segment) close() error { return errors.Join(s.flush(), s.file.Close()) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Files are the segments in a directory, oldest first.
func Files(dir string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	slices.Sort(names) // they begin with the time, in digits of equal number
	return names, err
}

// prune deletes the oldest segments until those that are left take no more than so many bytes.
func prune(dir string, most int64) error {
	names, err := Files(dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if most -= info.Size(); most < 0 {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrDamaged: a file is no recording, or was damaged.
var ErrDamaged = errors.New("decisions: damaged")

// Read calls fn with the entries of a segment. A file that ends in the middle of a block, because its writer was killed or
// still writes, is read up to there. fn's error ends it and is returned.
func Read(name string, fn func(Head, Entry) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := read(f, fn); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func read(f io.Reader, fn func(Head, Entry) error) error {
	var start [len(magic)]byte
	if _, err := io.ReadFull(f, start[:]); err != nil || string(start[:]) != magic {
		return fmt.Errorf("%w: it is no recording of decisions", ErrDamaged)
	}
	dec := gob.NewDecoder(&blocks{f: f})
	var head Head
	if err := dec.Decode(&head); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // nothing was written yet
		}
		return fmt.Errorf("%w: head: %w", ErrDamaged, err)
	}
	if head.Format != format {
		return fmt.Errorf("%w: it has format %d, this version knows format %d", ErrDamaged, head.Format, format)
	}
	r := reader{}
	for {
		var l line
		err := dec.Decode(&l)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case errors.Is(err, ErrDamaged):
			return err
		case err != nil:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		e, err := r.entry(&l)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := fn(head, e); err != nil {
			return err
		}
	}
}

// blocks reads the blocks of a file as one stream.
type blocks struct {
	f    io.Reader
	rest []byte
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		var head [8]byte
		if _, err := io.ReadFull(b.f, head[:]); err != nil {
			return 0, io.EOF // whole, or cut off
		}
		size := binary.BigEndian.Uint32(head[:])
		if size > blockLimit {
			return 0, fmt.Errorf("%w: a block of %d bytes", ErrDamaged, size)
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(b.f, body); err != nil {
			return 0, io.EOF
		}
		if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
			return 0, fmt.Errorf("%w: a block does not match its checksum", ErrDamaged)
		}
		var err error
		if b.rest, err = s2.Decode(nil, body); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
