package view

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Width is the number of columns that a terminal gives to s.
func Width(s string) int { return uniseg.StringWidth(s) }

// Column of a table.
type Column struct {
	Title string
	// Right aligns numbers.
	Right bool
	// Flex is cut first when the terminal is too narrow.
	Flex bool
}

const (
	gap     = 2
	flexMin = 12
)

// Table lines up rows of cells under titles.
type Table struct {
	columns []Column
	rows    [][]string
}

// NewTable makes a table. A title that begins with ">" is aligned to the right, one with "~" is cut first on a narrow
// terminal.
func NewTable(titles ...string) *Table {
	t := &Table{columns: make([]Column, len(titles))}
	for i, title := range titles {
		t.columns[i] = Column{
			Title: strings.TrimLeft(title, ">~"),
			Right: strings.HasPrefix(title, ">"),
			Flex:  strings.HasPrefix(title, "~"),
		}
	}
	return t
}

// Row adds a row; its cells are made harmless here. Missing cells stay empty.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.columns))
	for i, cell := range cells[:min(len(cells), len(row))] {
		row[i] = Clean(cell)
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Write puts the table on the page. Columns without any content are left out.
func (t *Table) Write(p *Page) {
	widths := t.widths()
	if p.Terminal && p.Width > 0 {
		t.squeeze(widths, p.Width)
	}
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.Title
	}
	p.Line("%s", t.format(titles, widths))
	for _, row := range t.rows {
		p.Line("%s", t.format(row, widths))
	}
}

// widths of the columns; -1 for one without content.
func (t *Table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = -1
		for _, row := range t.rows {
			if row[i] != "" {
				widths[i] = max(widths[i], Width(row[i]))
			}
		}
		if widths[i] >= 0 {
			widths[i] = max(widths[i], Width(c.Title))
		}
	}
	return widths
}

// squeeze takes from flexible columns what is too much for the terminal.
func (t *Table) squeeze(widths []int, most int) {
	total := -gap
	for _, w := range widths {
		if w >= 0 {
			total += w + gap
		}
	}
	for i := len(widths) - 1; i >= 0 && total > most; i-- {
		if t.columns[i].Flex && widths[i] > flexMin {
			less := max(flexMin, widths[i]-(total-most))
			total -= widths[i] - less
			widths[i] = less
		}
	}
}

func (t *Table) format(cells []string, widths []int) string {
	var b strings.Builder
	first := true
	for i, cell := range cells {
		if widths[i] < 0 {
			continue
		}
		if !first {
			b.WriteString(strings.Repeat(" ", gap))
		}
		first = false
		b.WriteString(pad(Cut(cell, widths[i]), widths[i], t.columns[i].Right))
	}
	return strings.TrimRight(b.String(), " ")
}

// pad fills s with spaces to width columns.
func pad(s string, width int, right bool) string {
	spaces := strings.Repeat(" ", max(0, width-Width(s)))
	if right {
		return spaces + s
	}
	return s + spaces
}

// Cut shortens s to width columns, at the border of a character as people see it, and marks the cut with "…".
func Cut(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	used, end := 0, 0
	for g := uniseg.NewGraphemes(s); g.Next(); {
		if used+g.Width() > width-1 {
			break
		}
		used += g.Width()
		_, end = g.Positions()
	}
	return s[:end] + "…"
}
