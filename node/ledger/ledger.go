// Package ledger keeps what an agent must know again after a restart: its lives and the highest epoch it has seen,
// templates, live slots with their newest launch, ends that are not settled yet, and slots released lately. What the
// entries mean is decided by package agent; here they are read and written, all of a write or nothing, in order.
//
// Badger keeps them on disk, synced before a write is done; Memory keeps them as long as the process lives.
package ledger

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Errors of a store. They are wrapped; test with errors.Is.
var (
	// ErrFull: there is no room on the disk. Nothing was written; reading still works. A store on disk keeps some room for
	// changes by which nothing begins: they are refused last.
	ErrFull = errors.New("ledger: no room on the disk")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("ledger: closed")
	// ErrCorrupt: an entry cannot be read, or is of a kind that this version does not know.
	ErrCorrupt = errors.New("ledger: corrupt")
)

// Kind of an entry. It is part of the key on disk: never change one.
type Kind byte

// The kinds, each with its message.
const (
	Head     Kind = 'a' // v1.LedgerHead, one
	Template Kind = 't' // v1.Template by job and stage
	Slot     Kind = 's' // v1.LedgerSlot by slot
	End      Kind = 'e' // v1.AttemptState by fence
	Released Kind = 'r' // v1.SlotReleased by slot
)

// Key names one entry.
type Key struct {
	Kind Kind
	// A and B are the numbers that the kind asks for; zero if it asks for none.
	A, B uint64
}

// Compare orders keys as the store does.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.A, o.A), cmp.Compare(k.B, o.B))
}

// Entry is one entry, or as part of a write the wish that it be so. A nil Value removes the entry. Values are frozen.
type Entry struct {
	Key   Key
	Value proto.Message
}

// Store keeps entries. One goroutine at a time calls Write; Load is not called while a write is under way.
// RunStore in ledgertest is the conformance suite of all stores.
type Store interface {
	// Load reads all entries, sorted by key; the values are the caller's.
	Load() ([]Entry, error)
	// Write makes all changes durable, or none, after those of the writes before, and returns at once. done is called
	// once, from any goroutine, in the order of the writes. A write without changes is done when all before it are.
	Write(changes []Entry, done func(error))
	// Close waits for the writes under way. Writes that come later fail with ErrClosed.
	Close() error
}

const keySize = 17

func (k Key) encode() []byte {
	b := make([]byte, 0, keySize)
	b = append(b, byte(k.Kind))
	b = binary.BigEndian.AppendUint64(b, k.A)
	return binary.BigEndian.AppendUint64(b, k.B)
}

func decodeKey(b []byte) (Key, error) {
	if len(b) != keySize {
		return Key{}, fmt.Errorf("%w: key of %d bytes", ErrCorrupt, len(b))
	}
	return Key{Kind(b[0]), binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])}, nil
}

// encoded is a change as stores keep it; a nil value removes the key.
type encoded struct {
	key, value []byte
	// begins says that it is about something that begins, and need not: a launch, and what it is made of.
	begins bool
}

func encode(changes []Entry) ([]encoded, error) {
	out := make([]encoded, 0, len(changes))
	for _, c := range changes {
		e := encoded{key: c.Key.encode()}
		if c.Value != nil {
			value, err := proto.Marshal(c.Value)
			if err != nil {
				return nil, fmt.Errorf("ledger: encode %c %d %d: %w", c.Key.Kind, c.Key.A, c.Key.B, err)
			}
			e.value = append([]byte{}, value...) // never nil, also for a message without fields
			slot, is := c.Value.(*v1.LedgerSlot)
			e.begins = c.Key.Kind == Template || is && !slot.GetEnded() && !slot.GetReleasing()
		}
		out = append(out, e)
	}
	return out, nil
}

func decode(key, value []byte) (Entry, error) {
	k, err := decodeKey(key)
	if err != nil {
		return Entry{}, err
	}
	var m proto.Message
	switch k.Kind {
	case Head:
		m = &v1.LedgerHead{}
	case Template:
		m = &v1.Template{}
	case Slot:
		m = &v1.LedgerSlot{}
	case End:
		m = &v1.AttemptState{}
	case Released:
		m = &v1.SlotReleased{}
	default:
		return Entry{}, fmt.Errorf("%w: kind %q of entry %d %d is not known to this version", ErrCorrupt, k.Kind, k.A, k.B)
	}
	if err := proto.Unmarshal(value, m); err != nil {
		return Entry{}, fmt.Errorf("%w: entry %c %d %d: %w", ErrCorrupt, k.Kind, k.A, k.B, err)
	}
	return Entry{k, m}, nil
}
