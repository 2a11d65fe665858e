package gofunc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/troupe-sched/troupe/node/driver"
)

// Call is what a function learns of its attempt, and how it answers. Its methods are safe for use by many goroutines.
type Call struct {
	// Index says which of Count instances of the stage this is.
	Index, Count uint64
	// Attempt is 1 for the first attempt of the instance; Fence identifies the attempt in the cell.
	Attempt uint32
	Fence   uint64
	// Where it runs and for whom.
	Cell, Node, Queue, Job, Stage string
	JobUID                        uint64
	// Env is the stage's env. The function may change it.
	Env map[string]string
	// Ports by name, devices and custom units of the slot. They are not to be changed.
	Ports   map[string]int32
	Devices []driver.Device
	Custom  map[string]int64

	attempt *attempt
	results func(stage string) (map[uint64][]byte, error)

	mu      sync.Mutex
	inputs  map[string]map[uint64][]byte
	problem error // with the inputs or the result: it makes the attempt fail
}

var errEnded = errors.New("the attempt has ended")

func newCall(t *driver.Task, a *attempt) *Call {
	spec := t.Template.Spec
	c := &Call{Index: t.Index, Count: uint64(max(spec.Instances, 1)), Attempt: t.Attempt, Fence: t.Fence,
		Cell: t.Cell, Node: t.Node, Queue: t.Template.Queue, Job: t.Template.Job, Stage: spec.Name, JobUID: t.JobUID,
		Env: maps.Clone(spec.Env), attempt: a, results: t.Results}
	if x := t.Extra; x != nil {
		c.Ports, c.Devices, c.Custom = x.Ports, x.Devices, x.Custom
	}
	if c.results == nil && t.Inputs != "" {
		dir := t.Inputs
		c.results = func(stage string) (map[uint64][]byte, error) { return driver.ReadInputs(dir, stage) }
	}
	return c
}

// Inputs are the results of a stage that came before, by the index of the instance. They are not to be changed.
func (c *Call) Inputs(stage string) (map[uint64][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.inputs[stage]; ok {
		return known, nil
	}
	if c.results == nil {
		return nil, nil
	}
	results, err := c.results(stage)
	if err != nil {
		c.problem = err
		return nil, err
	}
	if c.inputs == nil {
		c.inputs = map[string]map[uint64][]byte{}
	}
	c.inputs[stage] = results
	return results, nil
}

// Input is the result of one instance of a stage that came before; it is false if that left none. If the results of
// the stage cannot be read, it is false and the attempt fails for that reason, whatever the function returns.
func (c *Call) Input(stage string, index uint64) ([]byte, bool) {
	results, err := c.Inputs(stage)
	if err != nil {
		return nil, false
	}
	data, ok := results[index]
	return data, ok
}

// SetResult makes data the result of the attempt, if it succeeds. The last call counts; too large a result makes the
// attempt fail.
func (c *Call) SetResult(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(data) > driver.ResultMax {
		c.problem = fmt.Errorf("result too large: %d bytes, limit %d", len(data), driver.ResultMax)
		return c.problem
	}
	if !c.attempt.setResult(slices.Clone(data)) {
		return errEnded
	}
	return nil
}

// Progress tells how much of the work is done. It may be called often: at most one report a second goes out.
func (c *Call) Progress(done, total int64) {
	if total <= 0 || done < 0 {
		return
	}
	c.attempt.progress(uint32(min(float64(done)/float64(total), 1) * 1000))
}

// Logf writes one line to the attempt's log.
func (c *Call) Logf(format string, args ...any) {
	_, _ = c.attempt.log.write(stdout, append(fmt.Appendf(nil, format, args...), '\n'))
}

// Write appends to the attempt's log: a Call is an io.Writer for whatever wants one. It never fails.
func (c *Call) Write(p []byte) (int, error) { return c.attempt.log.write(stdout, p) }

// failure is what makes the attempt fail although its function did not say so.
func (c *Call) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem
}
