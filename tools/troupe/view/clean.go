package view

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Clean makes foreign text one harmless line: what could move the cursor, change colours, reorder or hide text shows
// as an escape (\x1b, \u202e) instead of acting.
func Clean(s string) string { return clean(s, false) }

// CleanText is Clean for text of many lines: line breaks and tabs stay.
func CleanText(s string) string { return clean(s, true) }

func clean(s string, lines bool) string {
	at := firstHarm(s, lines)
	if at == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:at])
	appendClean(&b, s[at:], lines)
	return b.String()
}

func firstHarm(s string, lines bool) int {
	for i, r := range s {
		if r == utf8.RuneError || harmful(r, lines) {
			return i
		}
	}
	return len(s)
}

func appendClean(b *strings.Builder, s string, lines bool) {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(b, `\x%02x`, s[0])
		case !harmful(r, lines):
			b.WriteString(s[:size])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x80:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
		s = s[size:]
	}
}

// harmful reports whether a terminal would act on r instead of showing it.
func harmful(r rune, lines bool) bool {
	switch {
	case r == '\n' || r == '\t':
		return !lines
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C0, DEL, C1
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // bidi
		return true
	case r == 0x2028, r == 0x2029, r == 0xfeff: // line and paragraph separator, byte order mark
		return true
	case r >= 0xe0000 && r <= 0xe007f: // tags: invisible text
		return true
	}
	return false
}

// Cleaner is a writer that makes a stream of foreign text harmless on its way to a terminal. A character cut in two
// by the border of two writes is put together again.
type Cleaner struct {
	out  io.Writer
	half []byte
}

// NewCleaner returns a Cleaner in front of out.
func NewCleaner(out io.Writer) *Cleaner { return &Cleaner{out: out} }

// Write cleans data and writes it; it reports len(data) unless out failed.
func (c *Cleaner) Write(data []byte) (int, error) {
	all := append(c.half, data...)
	c.half = nil
	if cut := incomplete(all); cut > 0 {
		c.half = append(c.half, all[len(all)-cut:]...)
		all = all[:len(all)-cut]
	}
	if _, err := io.WriteString(c.out, CleanText(string(all))); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Close writes a character that never became whole, as escapes. It does not close out.
func (c *Cleaner) Close() error {
	_, err := io.WriteString(c.out, CleanText(string(c.half)))
	c.half = nil
	return err
}

// incomplete counts the bytes at the end of data that begin a character but do not end it.
func incomplete(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if at := len(data) - n; utf8.RuneStart(data[at]) {
			if utf8.FullRune(data[at:]) {
				return 0
			}
			return n
		}
	}
	return 0
}
