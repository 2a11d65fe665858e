package badgerdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// ErrTorn: a long value lacks parts. A crash may leave the value that was being written so.
var ErrTorn = errors.New("badgerdb: value lacks parts")

// A long value lies in parts, under the key followed by the part's number. Each part begins with a byte that says
// whether more parts follow; as a batch is written in order, the last part is there only if all are.
const (
	partMax  = 512 << 10
	partLast = 0
	partMore = 1
	partLen  = 4
)

// SetLong sets a key to a value of any size. The keys of long values, read by ReadLong, must all be of one length.
func (b *Batch) SetLong(key, value []byte) error {
	for part := uint32(0); ; part++ {
		n := min(len(value), partMax)
		flag := byte(partLast)
		if n < len(value) {
			flag = partMore
		}
		data := append(append(make([]byte, 0, 1+n), flag), value[:n]...)
		if err := b.Set(partKey(key, part), data); err != nil {
			return err
		}
		if value = value[n:]; len(value) == 0 {
			return nil
		}
	}
}

func partKey(key []byte, part uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, len(key)+partLen), key...), part)
}

// ReadLong reads the long value at which it stands, and moves it behind the value. A value without all of its parts,
// and one before whose first part it does not stand, is ErrTorn.
func ReadLong(it *badger.Iterator) (key, value []byte, err error) {
	for part := uint32(0); ; part++ {
		if !it.Valid() {
			return key, nil, fmt.Errorf("%w: part %d of key %q", ErrTorn, part, key)
		}
		got, gotPart, err := LongKey(it.Item().Key())
		if err != nil {
			return nil, nil, err
		}
		if part == 0 {
			key = bytes.Clone(got)
		}
		if gotPart != part || !bytes.Equal(got, key) {
			return key, nil, fmt.Errorf("%w: part %d of key %q; next is part %d of key %q", ErrTorn, part, key, gotPart, got)
		}
		last := false
		err = it.Item().Value(func(v []byte) error {
			if len(v) == 0 || v[0] > partMore {
				return fmt.Errorf("%w: part %d of key %q is not one", ErrTorn, part, key)
			}
			last = v[0] == partLast
			value = append(value, v[1:]...)
			return nil
		})
		if err != nil {
			return key, nil, err
		}
		if it.Next(); last {
			return key, value, nil
		}
	}
}

// LongKey takes the key of a part apart.
func LongKey(partKey []byte) (key []byte, part uint32, err error) {
	n := len(partKey) - partLen
	if n < 0 {
		return nil, 0, fmt.Errorf("%w: key %q", ErrTorn, partKey)
	}
	return partKey[:n], binary.BigEndian.Uint32(partKey[n:]), nil
}
