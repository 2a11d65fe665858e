package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/rivo/uniseg"
)

// The measures of the timeline, in units of its drawing.
const (
	chartWide = 1200
	margin    = 120 // for the names of rows
	rowHigh   = 18
	rowGap    = 6
	laneHigh  = 4
	barsHigh  = 48
	// lanesMax bounds the lanes of attempts of one node; what runs beside more than that is counted only.
	lanesMax = 40
	// buckets is how many columns the operations have.
	buckets = 240
	// letter is how wide a letter is at least, besideColumns how many of them stand beside a box that is too small for its
	// text.
	letter        = 7
	besideColumns = 14
)

// chart is the timeline, ready to be drawn.
type chart struct {
	Wide, High int
	Names      []label
	Boxes      []box
	Bands      []box
	Ticks      []tick
	// Dropped are attempts for which there was no lane.
	Dropped int
}

// label is the name of a row.
type label struct {
	Y    float64
	Text string
	Full string
}

// box is something that lasts, of a class that gives its colour; Text is in it, Beside right of it, and Title is told when
// it is pointed at.
type box struct {
	X, Y, W, H          float64
	Class               string
	Text, Beside, Title string
}

// Right is where it ends.
func (b box) Right() float64 { return b.X + b.W }

type tick struct {
	X    float64
	Text string
}

// drawing lays rows under each other.
type drawing struct {
	chart
	from, to int64
	y        float64
}

func draw(r *Report) chart {
	d := &drawing{to: max(r.LengthMS, 1), y: rowGap}
	d.Wide = chartWide
	d.faults(r.Faults)
	d.spans("leader", r.Leaders)
	d.y += rowGap
	for _, p := range r.Parts {
		d.spans(p.ID, p.Spans)
	}
	d.y += rowGap
	d.operations(r.Operations)
	d.attempts(r.Attempts)
	d.High = int(d.y) + 24
	d.ticks()
	for _, f := range r.Faults {
		if f.Skipped == "" {
			d.Bands = append(d.Bands, box{X: d.x(f.FromMS), W: max(1, d.x(f.ToMS)-d.x(f.FromMS)), H: d.y})
		}
	}
	return d.chart
}

// x is where a time is.
func (d *drawing) x(ms int64) float64 {
	ms = min(max(ms, d.from), d.to)
	return margin + float64(ms-d.from)/float64(d.to-d.from)*(chartWide-margin-8)
}

func (d *drawing) name(text string) {
	d.Names = append(d.Names, label{Y: d.y + rowHigh - 5, Text: fit(text, (margin-8)/letter), Full: text})
}

// bar adds a box in the present row.
func (d *drawing) bar(from, to int64, high float64, class, text, title string) {
	b := box{X: d.x(from), Y: d.y, H: high, Class: class, Title: title}
	b.W = max(1.5, d.x(to)-b.X)
	if columns := int(b.W-6) / letter; columns > 2 && high >= rowHigh {
		b.Text = fit(text, columns)
	}
	d.Boxes = append(d.Boxes, b)
}

// faults are in as many rows as are needed for those that overlap.
func (d *drawing) faults(faults []Fault) {
	d.name("faults")
	var ends []int64 // of each row
	top := d.y
	for _, f := range faults {
		row := slices.IndexFunc(ends, func(end int64) bool { return end <= f.FromMS })
		if row < 0 {
			row = len(ends)
			ends = append(ends, 0)
		}
		ends[row] = f.ToMS + (d.to-d.from)*besideColumns*letter/(chartWide-margin)
		d.y = top + float64(row)*(rowHigh+2)
		class, title := "fault", fmt.Sprintf("%s\n%v\n%.1f s to %.1f s", f.Text, f.Parts, float64(f.FromMS)/1000, float64(f.ToMS)/1000)
		switch {
		case f.Skipped != "":
			class, title = "skipped", title+"\nnot done: "+f.Skipped
		case f.Failed != "":
			class, title = "failed", title+"\n"+f.Failed
		}
		d.bar(f.FromMS, max(f.ToMS, f.FromMS), rowHigh, class, f.Text, title)
		if b := &d.Boxes[len(d.Boxes)-1]; uniseg.StringWidth(b.Text) < min(uniseg.StringWidth(f.Text), besideColumns) {
			b.Text, b.Beside = "", fit(f.Text, besideColumns)
		}
	}
	d.y = top + float64(max(1, len(ends)))*(rowHigh+2) + rowGap
}

func (d *drawing) spans(name string, spans []Span) {
	d.name(name)
	for _, s := range spans {
		if s.ToMS >= d.from {
			d.bar(s.FromMS, s.ToMS, rowHigh, s.Kind, s.Text, fmt.Sprintf("%s\n%.1f s to %.1f s", s.Text, float64(s.FromMS)/1000, float64(s.ToMS)/1000))
		}
	}
	d.y += rowHigh + 2
}

// operations are columns: how many were answered and how many were not, by the time at which they were called.
func (d *drawing) operations(all []Operation) {
	if len(all) == 0 {
		return
	}
	var answered, failed [buckets]int
	var slowest [buckets]int64
	most := 1
	for _, o := range all {
		i := min(buckets-1, max(0, int((o.FromMS-d.from)*buckets/(d.to-d.from))))
		if o.Err != "" {
			failed[i]++
		} else {
			answered[i]++
		}
		slowest[i] = max(slowest[i], o.ToMS-o.FromMS)
		most = max(most, answered[i]+failed[i])
	}
	d.name("operations")
	unit, top := float64(barsHigh)/float64(most), d.y
	for i := range buckets {
		from, to := d.from+int64(i)*(d.to-d.from)/buckets, d.from+int64(i+1)*(d.to-d.from)/buckets
		title := fmt.Sprintf("%.1f s: %d answered, %d not, the slowest took %d ms", float64(from)/1000, answered[i], failed[i], slowest[i])
		d.y = top + barsHigh
		for _, part := range []struct {
			n     int
			class string
		}{{answered[i], "answered"}, {failed[i], "unanswered"}} {
			if part.n > 0 {
				high := float64(part.n) * unit
				d.y -= high
				d.bar(from, to, high, part.class, "", title)
			}
		}
	}
	d.y = top + barsHigh + rowGap
}

// attempts are thin lanes, those of each node together.
func (d *drawing) attempts(all []Attempt) {
	byNode := map[string][]Attempt{}
	var nodes []string
	for _, a := range all {
		if byNode[a.Node] == nil {
			nodes = append(nodes, a.Node)
		}
		byNode[a.Node] = append(byNode[a.Node], a)
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		d.name("on " + node)
		top := d.y
		var ends []int64
		list := byNode[node]
		slices.SortStableFunc(list, func(a, b Attempt) int { return cmp.Compare(a.FromMS, b.FromMS) })
		for _, a := range list {
			to := a.ToMS
			if to == 0 {
				to = d.to // it did not tell of its end
			}
			lane := slices.IndexFunc(ends, func(end int64) bool { return end <= a.FromMS })
			if lane < 0 && len(ends) == lanesMax {
				d.Dropped++
				continue
			}
			if lane < 0 {
				lane = len(ends)
				ends = append(ends, 0)
			}
			ends[lane] = to
			d.y = top + float64(lane)*(laneHigh+1)
			class := "attempt"
			if a.Restart {
				class = "restart"
			}
			d.bar(a.FromMS, to, laneHigh, class, "", fmt.Sprintf("%s instance %d, fence %d\nfrom %.1f s", a.Job, a.Index, a.Fence, float64(a.FromMS)/1000))
		}
		d.y = top + max(rowHigh, float64(len(ends))*(laneHigh+1)) + rowGap
	}
}

// ticks are some round times.
func (d *drawing) ticks() {
	step := int64(100)
	for _, s := range []int64{200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000, 36_000_000} {
		if (d.to-d.from)/step > 12 {
			step = s
		}
	}
	for at := int64(0); at <= d.to; at += step {
		d.Ticks = append(d.Ticks, tick{d.x(at), fmt.Sprintf("%gs", float64(at)/1000)})
	}
}
