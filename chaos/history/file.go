package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Writer writes a history while it happens. It is safe for use by several clients.
type Writer struct {
	mu  sync.Mutex
	out *bufio.Writer
	n   int
	err error
}

// NewWriter makes a Writer; Flush brings the rest of it into w.
func NewWriter(w io.Writer) *Writer { return &Writer{out: bufio.NewWriterSize(w, 64<<10)} }

// Add writes one operation. Once it has failed it writes nothing more, and fails with the same error.
func (w *Writer) Add(op Op) error {
	line, err := json.Marshal(&op)
	if err == nil {
		err = op.Check()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return w.err
	case err != nil:
		w.err = fmt.Errorf("operation %d: %w", w.n+1, err)
	case len(line) > LineMax:
		w.err = fmt.Errorf("operation %d: it has %d bytes, at most %d are possible", w.n+1, len(line), LineMax)
	case w.n == OpsMax:
		w.err = fmt.Errorf("the history has %d operations, which is the most", w.n)
	default:
		w.n++
		_, w.err = w.out.Write(append(line, '\n'))
	}
	return w.err
}

// Flush writes what is still buffered.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// Read reads a history: one operation a line, in any order; empty lines are skipped. An error names the line.
func Read(r io.Reader) ([]Op, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), LineMax)
	var ops []Op
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if len(ops) == OpsMax {
			return nil, fmt.Errorf("line %d: more than %d operations; check it in parts, by job", n, OpsMax)
		}
		op, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		ops = append(ops, op)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d or after: it has more than %d bytes", len(ops)+1, LineMax)
	} else if err != nil {
		return nil, err
	}
	return ops, nil
}

func parse(line []byte) (op Op, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&op); err != nil {
		return Op{}, fmt.Errorf("not an operation in JSON: %w", err)
	}
	if d.More() {
		return Op{}, errors.New("something follows the operation; give one a line")
	}
	return op, op.Check()
}
