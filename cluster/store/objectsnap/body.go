package objectsnap

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// body is the form of a snapshot as an object: every entry behind its length as a varint. It is read in pieces as large
// as the reader asks for, so that no second copy of the state is made.
type body struct {
	entries [][]byte
	size    int64
	next    int    // entry whose length comes next
	rest    []byte // of what was begun
	entry   []byte // comes after rest
	number  [binary.MaxVarintLen64]byte
}

func newBody(entries [][]byte) *body {
	b := &body{entries: entries}
	for _, e := range entries {
		b.size += int64(len(binary.AppendUvarint(b.number[:0], uint64(len(e)))) + len(e))
	}
	return b
}

// Read implements io.Reader; it fills p as far as there is anything.
func (b *body) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(b.rest) == 0 {
			switch {
			case len(b.entry) > 0:
				b.rest, b.entry = b.entry, nil
			case b.next < len(b.entries):
				b.entry = b.entries[b.next]
				b.rest = binary.AppendUvarint(b.number[:0], uint64(len(b.entry)))
				b.next++
			case n == 0:
				return 0, io.EOF
			default:
				return n, nil
			}
		}
		m := copy(p[n:], b.rest)
		b.rest = b.rest[m:]
		n += m
	}
	return n, nil
}

// sum is the hash of the whole body.
func (b *body) sum() []byte {
	h := sha256.New()
	_, _ = io.Copy(h, newBody(b.entries)) // neither fails
	return h.Sum(nil)
}

// split is the reverse: the entries of a body, which must be as its generation says.
func split(data []byte, g generation) (entries [][]byte, err error) {
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != g.sum {
		return nil, errors.New("it does not match its checksum")
	}
	for len(data) > 0 {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			return nil, fmt.Errorf("its entry %d is cut off", len(entries))
		}
		entries = append(entries, data[n:n+int(size):n+int(size)])
		data = data[n+int(size):]
	}
	if uint64(len(entries)) != g.count {
		return nil, fmt.Errorf("it has %d entries of %d", len(entries), g.count)
	}
	return entries, nil
}
