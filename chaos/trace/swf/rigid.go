package swf

import (
	"bufio"
	"fmt"
	"io"
)

// Rigid is a job as most studies play it: it comes at a time and needs so many processors for so long, no more and no
// less, all at one time.
type Rigid struct {
	ID     int64
	Submit int64 // seconds after the beginning of the log
	Run    int64 // seconds that it runs in truth, at most Stated
	Procs  int64
	Stated int64 // seconds that its user said it would take at most; 0 if nothing is known
	User   int64
}

// Rigid returns the jobs that can be played on a machine of so many processors, in the order of the file, and how many of
// the log cannot: those without a run time, without processors or with more than there are. A job needs the processors that
// it asked for, else those that it got. One that ran for longer than it asked is cut off there.
func (l *Log) Rigid(procs int64) (jobs []Rigid, left int) {
	for i := range l.Jobs {
		j := &l.Jobs[i]
		r := Rigid{ID: j.ID, Submit: j.Submit, Run: j.Run, Procs: j.ProcsAsked, Stated: max(j.Asked, 0), User: j.User}
		if r.Procs <= 0 {
			r.Procs = j.Procs
		}
		if r.Run < 0 || r.Procs <= 0 || r.Procs > procs {
			left++
			continue
		}
		if r.Stated > 0 {
			r.Run = min(r.Run, r.Stated)
		}
		jobs = append(jobs, r)
	}
	return jobs, left
}

// Write writes jobs as a log of a machine of so many processors. Reading it again and taking its rigid jobs gives the same.
func Write(w io.Writer, procs int64, jobs []Rigid) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "; Version: 2.2\n; MaxProcs: %d\n", procs)
	for _, j := range jobs {
		stated := j.Stated
		if stated <= 0 {
			stated = Unknown
		}
		fmt.Fprintf(out, "%d %d -1 %d %d -1 -1 %d %d -1 1 %d -1 -1 -1 -1 -1 -1\n", j.ID, j.Submit, j.Run, j.Procs, j.Procs, stated, j.User)
	}
	return out.Flush()
}
