package trace

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"
)

// The picture's measures, in pixels.
const (
	pictureWidth  = 960
	panelHeight   = 240
	marginLeft    = 64
	marginRight   = 150
	marginTop     = 48
	panelGap      = 56
	pictureHeight = marginTop + 2*panelHeight + panelGap + 48
)

// lineColours are told apart by eyes that see no red or green, too (Okabe and Ito).
var lineColours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// picture gathers an SVG document; the first error of out stays.
type picture struct {
	out io.Writer
	err error
}

func (p *picture) add(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// series is one line of a panel.
type series struct {
	name   string
	values []float64
}

// Picture draws the curve of a report as SVG: what is held of each resource, and below it how much runs and waits. The
// axis is time, or with arrived the demand that has arrived.
func (r *Report) Picture(out io.Writer, title string, arrived bool) error {
	p := &picture{out: out}
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, pictureWidth, pictureHeight)
	p.add(`<title>%s</title><rect width="100%%" height="100%%" fill="#fff"/>`, html.EscapeString(title))
	p.add(`<text x="%d" y="24" font-size="16">%s</text>`, marginLeft, html.EscapeString(title))
	x := make([]float64, len(r.Curve))
	for i, pt := range r.Curve {
		if x[i] = pt.AtS; arrived {
			x[i] = pt.Arrived * 100
		}
	}
	held := make([]series, len(r.Resources))
	for k, a := range r.Resources {
		held[k].name = a.Name
		for _, pt := range r.Curve {
			held[k].values = append(held[k].values, pt.Held[k]*100)
		}
	}
	counts := []series{{name: "running"}, {name: "waiting"}}
	for _, pt := range r.Curve {
		counts[0].values = append(counts[0].values, float64(pt.Running))
		counts[1].values = append(counts[1].values, float64(pt.Waiting))
	}
	p.panel(marginTop, "held, % of the cell", 100, x, held, arrived)
	most := 1.0
	for _, s := range counts {
		for _, v := range s.values {
			most = max(most, v)
		}
	}
	p.panel(marginTop+panelHeight+panelGap, "instances", most, x, counts, arrived)
	p.add(`</svg>`)
	return p.err
}

// panel draws one system of axes with its lines.
func (p *picture) panel(top int, label string, most float64, x []float64, lines []series, arrived bool) {
	const width = pictureWidth - marginLeft - marginRight
	last := 1.0
	for _, v := range x {
		last = max(last, v)
	}
	step := nice(most / 5)
	most = math.Ceil(most/step) * step
	px := func(v float64) float64 { return marginLeft + v/last*width }
	py := func(v float64) float64 { return float64(top) + panelHeight*(1-v/most) }
	p.add(`<text x="%d" y="%d">%s</text>`, marginLeft, top-8, label)
	for v := 0.0; v <= most*1.001; v += step {
		p.add(`<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`, marginLeft, py(v), marginLeft+width, marginLeft-6, py(v)+4, v)
	}
	tick := nice(last / 6)
	if !arrived {
		tick = niceTime(last / 6)
	}
	for v := 0.0; v <= last; v += tick {
		text := fmt.Sprintf("%g%%", v)
		if !arrived {
			text = ticked(v)
		}
		p.add(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, px(v), top+panelHeight+18, text)
	}
	if arrived {
		p.add(`<text x="%d" y="%d" text-anchor="end">arrived demand</text>`, marginLeft+width, top+panelHeight+34)
	}
	for k, s := range lines {
		var path strings.Builder
		for i, v := range s.values {
			if i == 0 {
				fmt.Fprintf(&path, "M%.1f %.1f", px(x[i]), py(v))
			} else {
				fmt.Fprintf(&path, "H%.1fV%.1f", px(x[i]), py(v))
			}
		}
		colour := lineColours[k%len(lineColours)]
		p.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, path.String(), colour)
		p.add(`<text x="%d" y="%d" fill="%s">%s</text>`, marginLeft+width+12, top+16*(k+1), colour, html.EscapeString(s.name))
	}
}

// nice is the least of 1, 2 and 5 times a power of ten that is no less than v.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if f*base >= v {
			return f * base
		}
	}
	return 10 * base
}

// niceTime is the least step of time that people count in and that is no less than s seconds.
func niceTime(s float64) float64 {
	const minute, hour, day = 60, 3600, 24 * 3600
	for _, step := range []float64{
		1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
		hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day,
	} {
		if step >= s {
			return step
		}
	}
	return nice(s/day) * day
}

// ticked writes seconds shortly.
func ticked(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.3gd", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.3gh", d.Hours())
	case d >= 2*time.Minute:
		return fmt.Sprintf("%.3gmin", d.Minutes())
	}
	return fmt.Sprintf("%.3gs", s)
}
