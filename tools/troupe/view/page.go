package view

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// Page is where a command writes what people read.
type Page struct {
	// Terminal says that a person looks at it: lines are cut at Width and task output is made harmless.
	Terminal bool
	// Width of the terminal in columns; 0 means lines are never cut.
	Width int
	// Now is the moment from which ages are told.
	Now time.Time

	out *bufio.Writer
}

// NewPage makes a page that writes to out. Call Flush when it is full: that tells of all errors before it.
func NewPage(out io.Writer, now time.Time) *Page {
	return &Page{Now: now, out: bufio.NewWriter(out)}
}

// Line writes one line. Foreign text among args must have gone through Clean.
func (p *Page) Line(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Flush writes what is still held back.
func (p *Page) Flush() error { return p.out.Flush() }

// Facts writes pairs of name and value, the values under one another; pairs with an empty value are left out.
func (p *Page) Facts(pairs ...[2]string) {
	width := 0
	for _, f := range pairs {
		if f[1] != "" {
			width = max(width, Width(f[0]))
		}
	}
	for _, f := range pairs {
		if f[1] != "" {
			p.Line("%s  %s", pad(f[0], width, false), Clean(f[1]))
		}
	}
}
