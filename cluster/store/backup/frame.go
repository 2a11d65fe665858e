package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// Format is the form of the file that this version writes, and the only one that it reads.
	Format = 1
	// FrameMax is the most bytes of one frame: the entry of a job holds all its results.
	FrameMax = 128 << 20
)

// Encoder writes frames. Their tail gets its hash here.
type Encoder struct {
	w   io.Writer
	sum hash.Hash
}

// NewEncoder writes to w, one call of Write a frame.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w, sum: sha256.New()} }

// Write writes one frame.
func (e *Encoder) Write(f *v1.BackupFrame) error {
	if tail := f.GetTail(); tail != nil {
		tail.Sha256 = e.sum.Sum(nil)
	}
	size := proto.Size(f)
	if size > FrameMax {
		return fmt.Errorf("backup: a frame of %d bytes, at most %d are possible", size, FrameMax)
	}
	data, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(binary.AppendUvarint(make([]byte, 0, size+binary.MaxVarintLen32), uint64(size)), f)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	e.sum.Write(data)
	_, err = e.w.Write(data)
	return err
}

// Decoder reads frames.
type Decoder struct {
	r   *bufio.Reader
	sum hash.Hash
	// past is how many bytes were read, for messages.
	past int64
	done bool
}

// NewDecoder reads from r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
}

// Next returns the next frame. After the tail it is io.EOF; a stream that ends before, damage, and anything behind the
// tail are journal.ErrCorrupt.
func (d *Decoder) Next() (*v1.BackupFrame, error) {
	size, err := binary.ReadUvarint(d.r)
	switch {
	case d.done && errors.Is(err, io.EOF):
		return nil, io.EOF
	case d.done:
		return nil, d.corrupt("more follows behind its end")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, d.corrupt("it ends before its tail: the end of it is missing")
	case err != nil:
		return nil, fmt.Errorf("backup: %w", err)
	case size == 0 || size > FrameMax:
		return nil, d.corrupt("a frame of %d bytes: this is no backup, or it is damaged", size)
	}
	// Grown as it comes, so that a damaged length costs no memory.
	var body bytes.Buffer
	if n, err := io.CopyN(&body, d.r, int64(size)); errors.Is(err, io.EOF) {
		return nil, d.corrupt("it ends within a frame, after %d bytes of %d", n, size)
	} else if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	f := &v1.BackupFrame{}
	if err := model.UnmarshalExact(body.Bytes(), f); err != nil {
		return nil, d.corrupt("a frame: %v", err)
	}
	if tail := f.GetTail(); tail != nil {
		d.done = true
		if !bytes.Equal(tail.GetSha256(), d.sum.Sum(nil)) {
			return nil, d.corrupt("its frames do not match the hash in its tail")
		}
	}
	length := binary.AppendUvarint(nil, size)
	d.sum.Write(length)
	d.sum.Write(body.Bytes())
	d.past += int64(len(length) + body.Len())
	return f, nil
}

func (d *Decoder) corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: backup: at byte %d: %s", journal.ErrCorrupt, d.past, fmt.Sprintf(format, args...))
}

// Each calls fn with every frame of r.
func Each(r io.Reader, fn func(*v1.BackupFrame) error) error {
	for d := NewDecoder(r); ; {
		f, err := d.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(f)
		}
		if err != nil {
			return err
		}
	}
}

// Splitter reads the records of frames that come without head and tail, in pieces of any size, as a cell sends those of its
// journal. It implements io.Writer.
type Splitter struct {
	// Each is called with every record; its error is that of Write.
	Each func(*v1.Record) error
	rest []byte
}

// Write takes the next piece.
func (r *Splitter) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		size, n := binary.Uvarint(r.rest)
		switch {
		case n < 0 || size > FrameMax:
			return 0, fmt.Errorf("%w: a frame of %d bytes", journal.ErrCorrupt, size)
		case n == 0 || size > uint64(len(r.rest)-n):
			return len(p), nil
		}
		f := &v1.BackupFrame{}
		if err := model.UnmarshalExact(r.rest[n:n+int(size)], f); err != nil {
			return 0, fmt.Errorf("%w: a frame: %w", journal.ErrCorrupt, err)
		}
		r.rest = r.rest[n+int(size):]
		rec, _, err := journal.DecodeRecord(f.GetRecord())
		if err == nil {
			err = r.Each(rec)
		}
		if err != nil {
			return 0, err
		}
	}
}
