package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/node/agent"
	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// fetchesMax bounds stages that are fetched at once.
	fetchesMax = 4
	// fetchWithin bounds the fetch of one stage; the agent's own patience is a little more.
	fetchWithin = 4 * time.Minute
	// diskBytes and memoryBytes bound the results of one stage, wherever they are kept.
	diskBytes   = 1 << 30
	memoryBytes = 256 << 20
)

// inputs keeps the results of earlier stages, one fetch a job and stage for all attempts that need them: as files below
// dir, <uid>/<stage>/<index>, or in memory if dir is empty. A folder is there whole or not at all, so what an earlier
// process had fetched serves again.
type inputs struct {
	ctx     context.Context
	dir     string
	results ResultsFunc
	log     *slog.Logger
	places  chan struct{}

	mu      sync.Mutex
	jobs    map[uint64]map[string]*stageInputs
	kept    []uint64
	serial  int
	running sync.WaitGroup
}

// stageInputs is one stage; err and data are set before ready is closed.
type stageInputs struct {
	ready chan struct{}
	err   error
	data  map[uint64][]byte // in memory
}

func newInputs(ctx context.Context, dir string, results ResultsFunc, log *slog.Logger) *inputs {
	return &inputs{ctx: ctx, dir: dir, results: results, log: log, places: make(chan struct{}, fetchesMax),
		jobs: map[uint64]map[string]*stageInputs{}}
}

// Fetch implements agent.Inputs.
func (in *inputs) Fetch(w agent.Wanted, done func(agent.Given, error)) {
	in.running.Go(func() {
		stages := map[string]*stageInputs{}
		for _, name := range w.Stages {
			s := in.stage(w, name)
			select {
			case <-s.ready:
			case <-in.ctx.Done():
				s = &stageInputs{err: in.ctx.Err()}
			}
			if s.err != nil {
				done(agent.Given{}, fmt.Errorf("results of stage %s: %w", name, s.err))
				return
			}
			stages[name] = s
		}
		done(in.given(w.JobUID, stages), nil)
	})
}

func (in *inputs) given(job uint64, stages map[string]*stageInputs) agent.Given {
	if in.dir != "" {
		dir := in.jobDir(job)
		return agent.Given{Dir: dir, Results: func(stage string) (map[uint64][]byte, error) { return driver.ReadInputs(dir, stage) }}
	}
	return agent.Given{Results: func(stage string) (map[uint64][]byte, error) {
		if s := stages[stage]; s != nil {
			return s.data, nil
		}
		return nil, fmt.Errorf("stage %s is not among the inputs", stage)
	}}
}

// stage is the entry of one stage, fetched if it is not there.
func (in *inputs) stage(w agent.Wanted, name string) *stageInputs {
	in.mu.Lock()
	defer in.mu.Unlock()
	job := in.jobs[w.JobUID]
	if job == nil {
		job = map[string]*stageInputs{}
		in.jobs[w.JobUID] = job
	}
	if s := job[name]; s != nil {
		return s
	}
	s := &stageInputs{ready: make(chan struct{})}
	job[name] = s
	in.serial++
	serial := in.serial
	in.running.Go(func() {
		if err := in.fetch(w, name, s, serial); err != nil {
			s.err = err
			in.forget(w.JobUID, name, s) // the next attempt tries again
		}
		close(s.ready)
	})
	return s
}

func (in *inputs) forget(job uint64, name string, s *stageInputs) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.jobs[job][name] == s {
		delete(in.jobs[job], name)
	}
}

func (in *inputs) jobDir(job uint64) string {
	return filepath.Join(in.dir, strconv.FormatUint(job, 10))
}

// fetch brings the results of one stage here.
func (in *inputs) fetch(w agent.Wanted, name string, s *stageInputs, serial int) error {
	if !filepath.IsLocal(name) || filepath.Base(name) != name {
		return fmt.Errorf("stage %q is not a plain name", name)
	}
	select {
	case in.places <- struct{}{}:
		defer func() { <-in.places }()
	case <-in.ctx.Done():
		return in.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(in.ctx, fetchWithin)
	defer cancel()
	if in.dir == "" {
		s.data = map[uint64][]byte{}
		return in.read(ctx, w, name, func(index uint64, data []byte) error {
			s.data[index] = data
			return nil
		})
	}
	there := filepath.Join(in.jobDir(w.JobUID), name)
	if _, err := os.Stat(there); err == nil {
		return nil
	}
	part := filepath.Join(in.dir, fmt.Sprintf(".part-%d", serial))
	err := in.write(ctx, w, name, part)
	if err == nil {
		err = in.place(w.JobUID, name, s, part, there)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	return nil
}

// write fetches into a new folder.
func (in *inputs) write(ctx context.Context, w agent.Wanted, name, folder string) error {
	if err := os.RemoveAll(folder); err != nil { // of an earlier process
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return in.read(ctx, w, name, func(index uint64, data []byte) error {
		return os.WriteFile(filepath.Join(folder, strconv.FormatUint(index, 10)), data, 0o644)
	})
}

// place gives a folder that is complete its name, unless its job was dropped meanwhile.
func (in *inputs) place(job uint64, name string, s *stageInputs, part, there string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.jobs[job][name] != s {
		return errors.New("no slot of the job is left on this node")
	}
	if err := os.MkdirAll(filepath.Dir(there), 0o755); err != nil {
		return err
	}
	return os.Rename(part, there)
}

func (in *inputs) read(ctx context.Context, w agent.Wanted, name string, fn func(index uint64, data []byte) error) error {
	size, limit := 0, diskBytes
	if in.dir == "" {
		limit = memoryBytes
	}
	return in.results(ctx, w.JobUID, w.Queue, w.Job, name, func(r *v1.InstanceResult) error {
		if size += len(r.GetData()); size > limit {
			return fmt.Errorf("more than %d bytes, the limit", limit)
		}
		return fn(r.GetIndex(), r.GetData())
	})
}

// Keep implements agent.Inputs. What is on disk is removed beside.
func (in *inputs) Keep(jobs []uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.kept = jobs
	for job := range in.jobs {
		if !slices.Contains(jobs, job) {
			delete(in.jobs, job)
		}
	}
	if in.dir != "" {
		in.running.Go(in.tidy)
	}
}

// tidy removes the folders of jobs that are not kept.
func (in *inputs) tidy() {
	entries, err := os.ReadDir(in.dir)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			in.log.Warn("inputs cannot be listed", "dir", in.dir, "err", err)
		}
		return
	}
	for _, e := range entries {
		job, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil {
			continue
		}
		trash, err := in.moveAway(job)
		if err == nil && trash != "" {
			err = os.RemoveAll(trash)
		}
		if err != nil {
			in.log.Warn("inputs cannot be removed", "job", job, "err", err)
		}
	}
}

// moveAway takes the folder of a job out of the way, unless the job is kept or has come back.
func (in *inputs) moveAway(job uint64) (trash string, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if slices.Contains(in.kept, job) || in.jobs[job] != nil {
		return "", nil
	}
	in.serial++
	trash = filepath.Join(in.dir, fmt.Sprintf(".trash-%d", in.serial))
	err = os.Rename(in.jobDir(job), trash)
	if errors.Is(err, os.ErrNotExist) { // another was faster
		return "", nil
	}
	return trash, err
}

// sweep removes what an earlier process left half done.
func (in *inputs) sweep() error {
	if in.dir == "" {
		return nil
	}
	left, err := filepath.Glob(filepath.Join(in.dir, ".*-*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// wait returns when nothing runs any more; the context must have ended.
func (in *inputs) wait() { in.running.Wait() }
