package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/rivo/uniseg"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"seconds": func(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) },
	"size":    size,
}).Parse(pageText))

// HTML writes the report as one page: styles and drawings are in it, nothing is fetched, and whatever text it shows is
// escaped.
func (r *Report) HTML(w io.Writer) error {
	return pageTemplate.Execute(w, struct {
		*Report
		Chart  chart
		Broken int
		Rows   []sizeRow
		Date   string
	}{r, draw(r), r.broken(), sizeRows(r.Sizes), r.Begun.UTC().Format(time.RFC3339)})
}

func (r *Report) broken() int {
	n := 0
	for _, c := range r.Checks {
		if c.Broken > 0 {
			n++
		}
	}
	return n
}

// size writes an amount of something as a person reads it.
func size(what string, n int64) string {
	if what == "memory" {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprint(n)
}

// fit cuts a text to so many columns of a terminal's width: what is as wide as two counts for two.
func fit(text string, columns int) string {
	if uniseg.StringWidth(text) <= columns {
		return text
	}
	out, width := "", 0
	graphemes := uniseg.NewGraphemes(text)
	for graphemes.Next() {
		width += graphemes.Width()
		if width > columns-1 {
			break
		}
		out += graphemes.Str()
	}
	return out + "…"
}

// sizeRow is one row of sizes with its line.
type sizeRow struct {
	Size
	Line string
}

const (
	lineWide = 160
	lineHigh = 28
)

// sizeRows draws the line of each row from its own zero to its own most.
func sizeRows(sizes []Size) []sizeRow {
	var rows []sizeRow
	for _, s := range sizes {
		row := sizeRow{Size: s}
		if n := len(s.Points); n > 1 && s.Max > 0 {
			first, last := s.Points[0][0], s.Points[n-1][0]
			for _, p := range s.Points {
				x := float64(p[0]-first) / float64(max(1, last-first)) * lineWide
				row.Line += fmt.Sprintf("%.1f,%.1f ", x, lineHigh-1-float64(p[1])/float64(s.Max)*(lineHigh-2))
			}
		}
		rows = append(rows, row)
	}
	return rows
}
