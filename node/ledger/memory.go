package ledger

import (
	"maps"
	"slices"
	"sync"
)

// Mem is a Store in memory. Writes are done before Write returns. Its content outlives Close, so that a simulated
// restart finds it again with Reopen.
type Mem struct {
	mu      sync.Mutex
	entries map[string][]byte
	closed  bool
}

// Memory makes an empty Mem.
func Memory() *Mem { return &Mem{entries: map[string][]byte{}} }

// Load implements Store.
func (m *Mem) Load() ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	out := make([]Entry, 0, len(m.entries))
	for _, key := range slices.Sorted(maps.Keys(m.entries)) {
		e, err := decode([]byte(key), m.entries[key])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Write implements Store.
func (m *Mem) Write(changes []Entry, done func(error)) { done(m.write(changes)) }

func (m *Mem) write(changes []Entry) error {
	batch, err := encode(changes)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for _, e := range batch {
		if e.value == nil {
			delete(m.entries, string(e.key))
		} else {
			m.entries[string(e.key)] = e.value
		}
	}
	return nil
}

// Close implements Store.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Reopen makes a closed Mem usable again, with what it holds.
func (m *Mem) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}
