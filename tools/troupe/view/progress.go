package view

import (
	"fmt"
	"strings"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	barWidth = 24
	// barsMax bounds the stages that are drawn one by one.
	barsMax = 12
	nameMax = 24
)

// Progress draws how far a job is: a bar for every stage and one for all of it.
type Progress struct {
	meter Meter
	now   time.Time
	job   *v1.JobStatus
	// part is the progress of running instances by stage, in thousandths of an instance.
	part map[string]uint64
	// Why says why nothing runs, or what would help; empty if something does.
	Why string
}

// Update takes the newest status.
func (p *Progress) Update(now time.Time, job *v1.JobStatus) {
	p.now, p.job, p.part = now, job, map[string]uint64{}
	var partial uint64
	for _, i := range job.GetInstances() {
		milli := uint64(min(i.GetProgressMilli(), 1000))
		p.part[i.GetStage()] += milli
		partial += milli
	}
	p.meter.Add(now, job.GetCounts().GetDone()*1000+partial)
}

// Lines are the drawing for a terminal of that many columns.
func (p *Progress) Lines(width int) []string {
	stages, hidden := p.shown()
	name := len("total")
	for _, s := range stages {
		name = max(name, min(nameMax, Width(Clean(s.GetName()))))
	}
	lines := make([]string, 0, len(stages)+3)
	head := fmt.Sprintf("%s/%s %s", p.job.GetQueue(), p.job.GetName(), p.job.GetPhase())
	if p.job.GetReason() != "" {
		head += ": " + p.job.GetReason()
	}
	lines = append(lines, Clean(head))
	for _, s := range stages {
		lines = append(lines, p.bar(s.GetName(), name, s.GetCounts(), p.part[s.GetName()], stageNote(s)))
	}
	if hidden > 0 {
		lines = append(lines, fmt.Sprintf("… %s without work now", plural(uint64(hidden), "more stage")))
	}
	lines = append(lines, p.bar("total", name, p.job.GetCounts(), p.partial(), p.pace()))
	if p.Why != "" {
		lines = append(lines, "waits: "+Clean(p.Why))
	}
	if width > 0 {
		for i := range lines {
			lines[i] = Cut(lines[i], width-1) // the last column stays empty: some terminals wrap after it
		}
	}
	return lines
}

// shown are the stages to draw: all, or those where something happens.
func (p *Progress) shown() (stages []*v1.StageStatus, hidden int) {
	all := p.job.GetStages()
	if len(all) <= barsMax {
		return all, 0
	}
	for _, s := range all {
		if busy := s.GetPhase() == "running" || s.GetPhase() == "failed" || s.GetPhase() == "pending"; busy && len(stages) < barsMax {
			stages = append(stages, s)
		}
	}
	return stages, len(all) - len(stages)
}

func (p *Progress) partial() uint64 {
	var sum uint64
	for _, milli := range p.part {
		sum += milli
	}
	return sum
}

func (p *Progress) bar(name string, width int, c *v1.Counts, partMilli uint64, note string) string {
	milli := fraction(c, partMilli)
	full := int(milli * barWidth / 1000)
	bar := strings.Repeat("=", full)
	if full < barWidth {
		if milli > 0 {
			bar += ">"
		}
		bar += strings.Repeat(" ", barWidth-len(bar))
	}
	done := fmt.Sprintf("%s/%s", Count(c.GetDone()), Count(c.GetWanted()))
	line := fmt.Sprintf("%s [%s] %3d%%  %s", pad(Cut(Clean(name), width), width, false), bar, milli/10, done)
	return strings.TrimRight(line+counted(c)+note, " ")
}

// fraction of c that is done, in thousandths; 1000 only when all is done.
func fraction(c *v1.Counts, partMilli uint64) uint64 {
	wanted := c.GetWanted()
	if wanted == 0 || c.GetDone() >= wanted {
		return 1000
	}
	share := (float64(c.GetDone())*1000 + float64(partMilli)) / float64(wanted)
	return uint64(min(share, 999))
}

func counted(c *v1.Counts) string {
	var b strings.Builder
	for _, f := range []struct {
		name string
		n    uint64
	}{{"running", c.GetRunning()}, {"waiting", c.GetWaiting()}, {"dead", c.GetDead()}, {"failed attempts", c.GetFailedAttempts()}} {
		if f.n > 0 {
			fmt.Fprintf(&b, ", %s %s", Count(f.n), f.name)
		}
	}
	return b.String()
}

func stageNote(s *v1.StageStatus) string {
	switch s.GetPhase() {
	case "blocked":
		return " (waits for the stages before it)"
	case "failed":
		return " (failed)"
	}
	return ""
}

// pace tells rate, time so far and time left.
func (p *Progress) pace() string {
	note := ""
	if rate := p.meter.PerSecond(); rate > 0 {
		note += ", " + Rate(rate)
	}
	if p.job.GetSubmittedUnixMs() > 0 {
		note += ", after " + Span(p.now.Sub(time.UnixMilli(p.job.GetSubmittedUnixMs())))
	}
	c := p.job.GetCounts()
	left := int64(c.GetWanted())*1000 - int64(c.GetDone()+c.GetDead())*1000 - int64(p.partial())
	if p.job.GetKind() != "service" && left > 0 {
		if eta, ok := p.meter.Left(uint64(left)); ok {
			note += ", ETA " + Span(eta)
		}
	}
	return note
}

// Line is the drawing for a log: the total and the stages that work now.
func (p *Progress) Line() string {
	c := p.job.GetCounts()
	line := fmt.Sprintf("%s/%s %s: %d%%  %s/%s done%s%s", p.job.GetQueue(), p.job.GetName(), p.job.GetPhase(),
		fraction(c, p.partial())/10, Count(c.GetDone()), Count(c.GetWanted()), counted(c), p.pace())
	var busy []string
	for _, s := range p.job.GetStages() {
		if s.GetPhase() == "running" || s.GetPhase() == "pending" {
			if len(busy) == barsMax {
				busy = append(busy, "…")
				break
			}
			busy = append(busy, fmt.Sprintf("%s %s/%s", s.GetName(), Count(s.GetCounts().GetDone()), Count(s.GetCounts().GetWanted())))
		}
	}
	if len(busy) > 0 {
		line += "; stages: " + strings.Join(busy, ", ")
	}
	if p.Why != "" {
		line += "; waits: " + p.Why
	}
	return Clean(line)
}
