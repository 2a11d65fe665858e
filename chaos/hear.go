package chaos

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/chaos/audit"
	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/store/jetstreamlog"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// restEvery is how often the cell is asked whether it has come to rest.
	restEvery = 250 * time.Millisecond
	// calmEnough is how often in a row it must say so: of what broke last it may not have heard yet.
	calmEnough = 6
	// agreeWithin is how long what runs and what the cell says runs may take to agree.
	agreeWithin = 20 * time.Second
	// linesMax is how many lines of logs are told of.
	linesMax = 20
)

// until asks again and again until ok says yes; false if ctx ends first.
func until(ctx context.Context, ok func() bool) bool {
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// rest waits until everything that can end has ended, and notes what has not.
func (r *run) rest(ctx context.Context) {
	e := &r.evidence
	e.Quiet = r.o.Scenario.Quiet.Std()
	resting, cancel := context.WithTimeout(ctx, e.Quiet)
	defer cancel()
	calm := 0
	until(resting, func() bool {
		late := r.late(resting)
		if resting.Err() == nil || e.Late == nil {
			e.Late = late // what was heard last; an answer that was cut short says nothing
		}
		if calm++; len(late) > 0 {
			calm = 0
		}
		return calm == calmEnough
	})
}

// late lists the parts that are not up and the live jobs but for the services; why, if nobody answers.
func (r *run) late(ctx context.Context) []string {
	var late []string
	if r.cell != nil {
		for _, p := range r.cell.Parts() {
			if _, up := p.Proc.Facts(); !up {
				late = append(late, p.ID+" is not up")
			}
		}
	}
	jobs, err := r.jobs(ctx)
	if err != nil {
		return append(late, fmt.Sprintf("the cell does not answer: %v", err))
	}
	for _, j := range jobs {
		if j.GetName() != r.prefix+load.ServiceName {
			late = append(late, fmt.Sprintf("job %s is %s", j.GetName(), j.GetPhase()))
		} else if int(j.GetCounts().GetRunning()) != r.o.Scenario.Load.Services {
			late = append(late, fmt.Sprintf("%d of %d services run", j.GetCounts().GetRunning(), r.o.Scenario.Load.Services))
		}
	}
	return late
}

// jobs lists the live jobs of the run.
func (r *run) jobs(ctx context.Context) ([]*v1.JobSummary, error) {
	var all []*v1.JobSummary
	for after := ""; ; {
		page, err := r.asks.ListJobs(ctx, &v1.ListJobsRequest{Queue: api.DefaultQueue, After: after})
		if err != nil {
			return nil, err
		}
		for _, j := range page.GetJobs() {
			if strings.HasPrefix(j.GetName(), r.prefix) {
				all = append(all, j)
			}
		}
		if after = page.GetNext(); after == "" {
			return all, nil
		}
	}
}

// hear hears every witness, and ends the cell on the way.
func (r *run) hear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tidyWithin)
	defer cancel()
	e, s := &r.evidence, r.o.Scenario
	e.Processes = len(r.cell.Parts())
	e.RestartsAllowed, e.CapacityMilli, e.CPUMilli = s.Restarts, int64(s.Cell.CPU)*1000, load.CPUMilli
	e.Acks, _ = r.load.Acks()
	_, e.History = r.load.Operations()
	if err := r.writeHistory(); err != nil {
		r.o.Tell(fmt.Sprintf("the history cannot be written: %v", err))
	}
	r.answers(ctx)
	r.compare(ctx)
	r.stopAll(ctx)
	e.AfterStop = proc.Attempts(r.cell.Name)
	var err error
	if e.Attempts, err = load.Effects(r.cell.Effects); err != nil {
		e.Disorder = append(e.Disorder, err.Error())
	}
	if s.Cell.NATS > 0 || s.Cell.Masters > 1 {
		r.streamed(ctx)
	}
	for _, role := range []string{"node", "master"} {
		r.end(ctx, role)
	}
	if s.Cell.NATS == 0 && s.Cell.Masters == 1 {
		r.stored(ctx)
	}
	r.end(ctx, "nats")
	e.Left = r.cell.Left(ctx)
	r.ledgers()
	r.logs()
}

// writeHistory leaves what clients were told in the folder of the run, for "troupe chaos check".
func (r *run) writeHistory() error {
	f, err := os.Create(filepath.Join(r.cell.Dir, "history.jsonl"))
	if err != nil {
		return err
	}
	w := history.NewWriter(f)
	for _, op := range r.evidence.History {
		err = errors.Join(err, w.Add(op))
	}
	return errors.Join(err, w.Flush(), f.Close())
}

func (r *run) end(ctx context.Context, role string) {
	if err := r.cell.End(ctx, role); err != nil {
		r.evidence.Disorder = append(r.evidence.Disorder, strings.Split(err.Error(), "\n")...)
	}
}

// answers asks the cell about every acknowledged job.
func (r *run) answers(ctx context.Context) {
	e := &r.evidence
	e.Jobs, e.Results = map[string]*v1.JobStatus{}, map[string][]*v1.InstanceResult{}
	for _, ack := range e.Acks {
		status, err := r.asks.JobStatus(ctx, &v1.JobRef{Queue: api.DefaultQueue, Name: ack.Job})
		if err != nil {
			continue // it counts as not known
		}
		e.Jobs[ack.Job] = status
		for from := uint64(0); !ack.Service; {
			page, err := r.asks.Results(ctx, &v1.ResultsRequest{Queue: api.DefaultQueue, Name: ack.Job, Uid: ack.UID, From: from})
			if err != nil {
				break // results that are missing are counted
			}
			e.Results[ack.Job] = append(e.Results[ack.Job], page.GetResults()...)
			if from = page.GetNext(); from == 0 {
				break
			}
		}
	}
}

// compare asks what runs until machine and cell agree, or have had their time to.
func (r *run) compare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, agreeWithin)
	defer cancel()
	e := &r.evidence
	until(ctx, func() bool {
		e.Known, e.Running = nil, nil
		for _, a := range proc.Attempts(r.cell.Name) {
			e.Running = append(e.Running, a.Fence)
		}
		jobs, err := r.jobs(ctx)
		if err != nil {
			return false
		}
		for _, j := range jobs {
			status, err := r.asks.JobStatus(ctx, &v1.JobRef{Queue: j.GetQueue(), Name: j.GetName()})
			if err != nil {
				return false
			}
			for _, i := range status.GetInstances() {
				e.Known = append(e.Known, i.GetFence())
			}
		}
		slices.Sort(e.Known)
		return slices.Equal(e.Known, e.Running)
	})
}

// stopAll stops every live job and waits until they have ended, and what ran of them.
func (r *run) stopAll(ctx context.Context) {
	jobs, err := r.jobs(ctx)
	if err != nil {
		r.evidence.Disorder = append(r.evidence.Disorder, fmt.Sprintf("live jobs cannot be listed: %v", err))
	}
	for _, j := range jobs {
		if _, err := r.asks.StopJob(ctx, &v1.StopRequest{Queue: j.GetQueue(), Name: j.GetName(), Reason: "the run is over"}); err != nil {
			r.evidence.Disorder = append(r.evidence.Disorder, fmt.Sprintf("job %s cannot be stopped: %v", j.GetName(), err))
		}
	}
	stopping, cancel := context.WithTimeout(ctx, agreeWithin)
	defer cancel()
	if !until(stopping, func() bool { jobs, err = r.jobs(stopping); return err == nil && len(jobs) == 0 }) {
		r.evidence.Disorder = append(r.evidence.Disorder, fmt.Sprintf("%d jobs do not end after a stop", len(jobs)))
	}
}

// streamed reads a journal that is in JetStream.
func (r *run) streamed(ctx context.Context) {
	e := &r.evidence
	nc, err := r.cell.Dial("audit")
	if err != nil {
		e.JournalErr = err
		return
	}
	defer nc.Close()
	log, err := jetstreamlog.Open(ctx, nc, jetstreamlog.Options{Cell: r.cell.Name, Replicas: cmp.Or(r.o.Scenario.Cell.NATS, r.o.Scenario.Cell.Masters)})
	if err != nil {
		e.JournalErr = err
		return
	}
	defer log.Close()
	e.Journal, e.JournalErr = audit.ReadJournal(ctx, log)
}

// stored reads the journal of one master from its disk.
func (r *run) stored(ctx context.Context) {
	e := &r.evidence
	dir, err := r.cell.Plain(r.cell.Role("master")[0])
	if err != nil {
		e.JournalErr = err
		return
	}
	stores, err := actors.OpenStores(actors.Options{Dir: dir})(ctx)
	if err != nil {
		e.JournalErr = err
		return
	}
	e.Journal, e.JournalErr = audit.ReadJournal(ctx, stores.Log)
	e.JournalErr = errors.Join(e.JournalErr, stores.Log.Close(), stores.Snapshots.Close(), stores.Close())
}

// ledgers reads what the agents have kept.
func (r *run) ledgers() {
	for _, p := range r.cell.Role("node") {
		l := audit.Ledger{Node: p.ID}
		l.Err = func() error {
			dir, err := r.cell.Plain(p)
			if err != nil {
				return err
			}
			store, err := ledger.Open(filepath.Join(dir, "ledger"), nil)
			if err != nil {
				return err
			}
			entries, err := store.Load()
			for _, entry := range entries {
				switch m := entry.Value.(type) {
				case *v1.LedgerHead:
					l.Epoch = m.GetEpoch()
				case *v1.LedgerSlot:
					l.Slots++
					l.HeldMilli += m.GetCpuMilli()
				}
			}
			return errors.Join(err, store.Close())
		}()
		r.evidence.Ledgers = append(r.evidence.Ledgers, l)
	}
}

// logs looks for lines that tell of a crash, and for ends of processes that nobody asked for.
func (r *run) logs() {
	files, err := filepath.Glob(filepath.Join(r.cell.Dir, "logs", "*.log"))
	if err != nil {
		panic(err) // the pattern has no meta characters of its own
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if t := lines.Text(); (strings.HasPrefix(t, "panic:") || strings.HasPrefix(t, "fatal error:") || strings.Contains(t, "DATA RACE")) && len(r.evidence.Panics) < linesMax {
				r.evidence.Panics = append(r.evidence.Panics, filepath.Base(file)+": "+t)
			}
		}
		f.Close()
	}
}
