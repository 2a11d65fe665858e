package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// plainGap is the least time between two plain lines, plainSame the most without any.
	plainGap  = time.Second
	plainSame = 15 * time.Second
)

// Live shows a drawing that changes: in place on a terminal, else as plain lines, at most one a second.
type Live struct {
	out      io.Writer
	terminal bool
	drawn    int
	last     string
	at       time.Time
}

// NewLive shows on out.
func NewLive(out io.Writer, terminal bool) *Live { return &Live{out: out, terminal: terminal} }

// Draw shows the newest state: lines on a terminal, else plain. last says that nothing will follow, so that the plain
// line must not be held back.
func (l *Live) Draw(now time.Time, lines []string, plain string, last bool) {
	if l.terminal {
		l.redraw(lines)
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

// Clear takes the drawing off the terminal, so that other text can be written; the next Draw puts it there again.
func (l *Live) Clear() {
	if l.terminal {
		l.redraw(nil)
	}
}

// redraw goes up to the first line of the old drawing and writes over it, all in one write so that it does not flicker.
func (l *Live) redraw(lines []string) {
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.drawn)
	}
	b.WriteString("\r")
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	l.drawn = len(lines)
	io.WriteString(l.out, b.String())
}
