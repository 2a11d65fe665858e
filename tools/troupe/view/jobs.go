package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Jobs writes a list of jobs.
func Jobs(p *Page, jobs []*v1.JobSummary) {
	if len(jobs) == 0 {
		p.Line("no jobs")
		return
	}
	t := NewTable("QUEUE", "JOB", "KIND", "BAND", "PHASE", ">WANTED", ">DONE", ">RUNNING", ">WAITING", ">DEAD", ">FAILED", ">AGE", ">TOOK")
	for _, j := range jobs {
		c, took := j.GetCounts(), ""
		if j.GetEndedUnixMs() > 0 {
			took = Span(time.Duration(j.GetEndedUnixMs()-j.GetSubmittedUnixMs()) * time.Millisecond)
		}
		t.Row(j.GetQueue(), j.GetName(), j.GetKind(), j.GetBand(), j.GetPhase(), Count(c.GetWanted()), Count(c.GetDone()),
			some(c.GetRunning()), some(c.GetWaiting()), some(c.GetDead()), some(c.GetFailedAttempts()),
			p.age(j.GetSubmittedUnixMs()), took)
	}
	t.Write(p)
}

// Job writes all about one job.
func Job(p *Page, s *v1.JobStatus) {
	took := ""
	if s.GetEndedUnixMs() > 0 {
		took = Span(time.Duration(s.GetEndedUnixMs()-s.GetSubmittedUnixMs()) * time.Millisecond)
	}
	p.Facts(
		[2]string{"job", s.GetQueue() + "/" + s.GetName()},
		[2]string{"uid", strconv.FormatUint(s.GetUid(), 10)},
		[2]string{"phase", s.GetPhase()},
		[2]string{"reason", s.GetReason()},
		[2]string{"kind", fmt.Sprintf("%s, band %s, rank %d", s.GetKind(), s.GetBand(), s.GetRank())},
		[2]string{"labels", labels(s.GetLabels())},
		[2]string{"submitted", p.moment(s.GetSubmittedUnixMs())},
		[2]string{"ended", p.moment(s.GetEndedUnixMs())},
		[2]string{"took", took},
		[2]string{"evicted", times(s.GetEvicted())},
	)
	p.Line("")
	Stages(p, s.GetStages())
	attempts(p, s.GetInstances())
	Failures(p, s.GetFailures())
	evicted(p, s)
}

// Stages writes how far the stages of a job are.
func Stages(p *Page, stages []*v1.StageStatus) {
	t := NewTable("STAGE", "PHASE", ">INSTANCES", ">DONE", ">RUNNING", ">WAITING", ">DEAD", ">FAILED", ">SLOTS", ">RESULTS")
	for _, s := range stages {
		c, size := s.GetCounts(), ""
		if s.GetResultBytes() > 0 {
			size = Bytes(s.GetResultBytes())
		}
		t.Row(s.GetName(), s.GetPhase(), Count(c.GetWanted()), Count(c.GetDone()), some(c.GetRunning()),
			some(c.GetWaiting()), some(c.GetDead()), some(c.GetFailedAttempts()), some(c.GetSlots()), size)
	}
	t.Write(p)
}

// attemptsMax bounds how many running attempts a page shows; JSON has more.
const attemptsMax = 20

func attempts(p *Page, instances []*v1.InstanceStatus) {
	if len(instances) == 0 {
		return
	}
	p.Line("")
	t := NewTable("RUNNING", "PHASE", ">ATTEMPT", "NODE", ">PROGRESS", ">FOR")
	for _, i := range instances[:min(len(instances), attemptsMax)] {
		progress := ""
		if i.GetProgressMilli() > 0 {
			progress = fmt.Sprintf("%d%%", i.GetProgressMilli()/10)
		}
		t.Row(fmt.Sprintf("%s/%d", i.GetStage(), i.GetIndex()), i.GetPhase(), strconv.Itoa(int(i.GetAttempt())),
			i.GetNode(), progress, p.age(i.GetStartedUnixMs()))
	}
	t.Write(p)
	if more := len(instances) - attemptsMax; more > 0 {
		p.Line("… and %s more; --json shows up to 1,000", Count(more))
	}
}

// Failures writes the newest failed attempts.
func Failures(p *Page, failures []*v1.InstanceFailure) {
	if len(failures) == 0 {
		return
	}
	p.Line("")
	t := NewTable(">FAILED INSTANCE", "STAGE", ">TIMES", "FINAL", "NODE", ">EXIT", ">AGO", "~REASON")
	for _, f := range failures {
		final, exit := "", ""
		if f.GetFinal() {
			final = "yes"
		}
		if f.GetExitCode() != 0 {
			exit = strconv.Itoa(int(f.GetExitCode()))
		}
		t.Row(strconv.FormatUint(f.GetIndex(), 10), f.GetStage(), strconv.Itoa(int(f.GetFailures())), final, f.GetNode(), exit,
			p.age(f.GetTimeUnixNano()/int64(time.Millisecond)), f.GetReason())
	}
	t.Write(p)
}

// evicted writes the newest evictions of a job.
func evicted(p *Page, s *v1.JobStatus) {
	if len(s.GetEvictions()) == 0 {
		return
	}
	p.Line("")
	t := NewTable(">EVICTED INSTANCE", "NODE", "RULE", "FOR", ">AGO", "~REASON")
	for _, e := range s.GetEvictions() {
		t.Row(strconv.FormatUint(e.GetIndex(), 10), e.GetNode(), e.GetRule(), e.GetFor(), p.age(e.GetTimeUnixNano()/int64(time.Millisecond)), e.GetReason())
	}
	t.Write(p)
	if n := uint64(len(s.GetEvictions())); s.GetEvicted() > n {
		p.Line("… and %s before these", Count(s.GetEvicted()-n))
	}
}

// Outcome writes the end of a job that was waited for: its stages, its failures if it failed, and one line that says it all.
func Outcome(p *Page, s *v1.JobStatus) {
	Stages(p, s.GetStages())
	if s.GetPhase() != "succeeded" {
		Failures(p, s.GetFailures())
	}
	p.Line("")
	line := s.GetQueue() + "/" + s.GetName() + " " + s.GetPhase()
	if s.GetEndedUnixMs() > 0 {
		line += " after " + Span(time.Duration(s.GetEndedUnixMs()-s.GetSubmittedUnixMs())*time.Millisecond)
	}
	if s.GetReason() != "" {
		line += ": " + s.GetReason()
	}
	p.Line("%s", Clean(line))
}

// Validated writes what a valid job would be.
func Validated(p *Page, file string, r *v1.ValidateReply) {
	job := r.GetJob()
	p.Line("%s", Clean(fmt.Sprintf("%s is valid: %s job %s/%s, band %s, %s in %s", file, job.GetKind(), job.GetQueue(),
		job.GetName(), job.GetBand(), plural(r.GetInstances(), "instance"), plural(uint64(len(job.GetStages())), "stage"))))
	p.Line("")
	t := NewTable("STAGE", "AFTER", ">INSTANCES", "DRIVER", ">CPU", ">MEMORY", ">DISK", ">NET", "ALSO", "TIMEOUT", ">ATTEMPTS", "~RUNS")
	for _, s := range job.GetStages() {
		runs := s.GetFunc()
		if len(s.GetCommand()) > 0 {
			runs = strings.Join(s.GetCommand(), " ")
		}
		r, tries := s.GetResources(), ""
		if n := s.GetRetry().GetAttempts(); n > 0 {
			tries = strconv.Itoa(int(n))
		}
		t.Row(s.GetName(), strings.Join(s.GetAfter(), " "), Count(s.GetInstances()), s.GetDriver(), r.GetCpu(), r.GetMemory(),
			nonzero(r.GetDisk()), nonzero(r.GetNet()), also(s), s.GetTimeout(), tries, Cut(Clean(runs), 60))
	}
	t.Write(p)
}

// also is what a slot of a stage needs beyond plain resources: "2 gpu, port 8080, 1 license, gang".
func also(s *v1.StageSpec) string {
	var parts []string
	if d := s.GetDevices(); d.GetShare() != "" {
		parts = append(parts, d.GetShare()+" of a "+d.GetKind())
	} else if d != nil {
		parts = append(parts, strconv.Itoa(int(d.GetCount()))+" "+d.GetKind())
	}
	for _, port := range s.GetPorts() {
		if port.GetNumber() > 0 {
			parts = append(parts, "port "+strconv.Itoa(int(port.GetNumber())))
		} else {
			parts = append(parts, "a port")
		}
	}
	custom := s.GetResources().GetCustom()
	for _, name := range slices.Sorted(maps.Keys(custom)) {
		parts = append(parts, Count(custom[name])+" "+name)
	}
	if s.GetGang() != nil {
		parts = append(parts, "all at once")
	}
	return strings.Join(parts, ", ")
}

// nonzero leaves out an amount of nothing.
func nonzero(amount string) string {
	if amount == "0" {
		return ""
	}
	return amount
}

// Event writes one event as a line.
func Event(p *Page, e *v1.JobEvent) {
	var b strings.Builder
	about := e.GetQueue() + "/" + e.GetJob()
	if e.GetJob() == "_" && e.GetNode() != "" {
		about = "node " + e.GetNode()
	}
	fmt.Fprintf(&b, "%s  %s  %s", time.UnixMilli(e.GetTimeUnixMs()).In(p.Now.Location()).Format("15:04:05.000"), about, e.GetKind())
	if e.GetStage() != "" {
		fmt.Fprintf(&b, " %s", e.GetStage())
	}
	if e.GetDone() > 0 {
		fmt.Fprintf(&b, " +%s done", Count(e.GetDone()))
	}
	if e.GetFailed() > 0 {
		fmt.Fprintf(&b, " +%s failed", Count(e.GetFailed()))
	}
	if e.GetEvicted() > 0 {
		fmt.Fprintf(&b, " +%s evicted from %s", Count(e.GetEvicted()), e.GetNode())
	}
	if e.GetPhase() != "" {
		fmt.Fprintf(&b, " %s", e.GetPhase())
	}
	switch {
	case e.GetReason() != "":
		fmt.Fprintf(&b, ": %s", e.GetReason())
	case e.GetKind() == "tainted":
		b.WriteString(" no more")
	}
	p.Line("%s", Clean(b.String()))
}
