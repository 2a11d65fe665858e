package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// plainGap is the least time between two plain lines, plainSame the most without any.
	plainGap  = time.Second
	plainSame = 15 * time.Second
)

// Live shows a drawing that changes: in place on a terminal, else as plain lines, at most one a second. It is a writer
// too, for text that comes in between, such as log lines. All methods may be called from any goroutine.
type Live struct {
	out      io.Writer
	terminal bool

	mu    sync.Mutex
	lines []string
	drawn int
	last  string
	at    time.Time
}

// NewLive shows on out.
func NewLive(out io.Writer, terminal bool) *Live { return &Live{out: out, terminal: terminal} }

// Draw shows the newest state: lines on a terminal, else plain. last says that nothing will follow, so that the plain
// line must not be held back.
func (l *Live) Draw(now time.Time, lines []string, plain string, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal {
		l.lines = lines
		l.redraw(nil)
		return
	}
	since := now.Sub(l.at)
	switch {
	case !l.at.IsZero() && since < plainGap && !last:
		return
	case plain == l.last && (last || since < plainSame):
		return
	}
	l.last, l.at = plain, now
	fmt.Fprintln(l.out, plain)
}

// Clear takes the drawing off the terminal; the next Draw puts one there again.
func (l *Live) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal {
		l.lines = nil
		l.redraw(nil)
	}
}

// Write puts whole lines above the drawing.
func (l *Live) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.terminal {
		return l.out.Write(data)
	}
	text := CleanText(string(data))
	if !bytes.HasSuffix(data, []byte("\n")) {
		text += "\n"
	}
	return len(data), l.redraw(strings.Split(strings.TrimSuffix(text, "\n"), "\n"))
}

// redraw goes up to the first line of the old drawing and writes text and the new drawing over it, all in one write so
// that it does not flicker.
func (l *Live) redraw(text []string) error {
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.drawn)
	}
	b.WriteString("\r")
	for _, line := range append(text, l.lines...) {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	l.drawn = len(l.lines)
	_, err := io.WriteString(l.out, b.String())
	return err
}
