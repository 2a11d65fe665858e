//go:build linux || darwin

package process

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// passed are the variables of the agent's environment that every program gets.
var passed = [...]string{"PATH", "HOME", "TMPDIR", "LANG"}

// plan compiles what the attempts of a slot share. An error names the field of the stage that is wrong.
func (d *Driver) plan(t *driver.Task, dir string) (*v1.ShimPlan, error) {
	spec := t.Template.GetSpec()
	if spec == nil {
		return nil, fmt.Errorf("template of job %d stage %d has no spec", t.JobUID, t.Stage)
	}
	if len(spec.Command) == 0 || spec.Command[0] == "" {
		return nil, fmt.Errorf("command is empty; give a program and its arguments")
	}
	for i, arg := range spec.Command {
		if strings.Contains(arg, "\x00") {
			return nil, fmt.Errorf("command[%d] holds a zero byte", i)
		}
	}
	if spec.Dir != "" && (!filepath.IsAbs(spec.Dir) || strings.Contains(spec.Dir, "\x00")) {
		return nil, fmt.Errorf("dir %q is not an absolute path", spec.Dir)
	}
	signal, err := parseSignal(spec.GetStop().GetSignal())
	if err != nil {
		return nil, err
	}
	env, err := d.environment(t, dir)
	if err != nil {
		return nil, err
	}
	return &v1.ShimPlan{JobUid: t.JobUID, Stage: t.Stage, StageName: spec.Name, Command: spec.Command, Env: env,
		Dir: spec.Dir, TimeoutMs: t.Template.TimeoutMs, Signal: int32(signal), GraceMs: t.Template.GraceMs,
		LogSegmentBytes: d.opt.LogSegment}, nil
}

// environment of all attempts of the slot, sorted; the shim adds what differs.
func (d *Driver) environment(t *driver.Task, dir string) ([]string, error) {
	spec := t.Template.Spec
	vars := map[string]string{}
	for _, name := range slices.Concat(passed[:], d.opt.PassEnv) {
		if value, ok := os.LookupEnv(name); ok {
			vars[name] = value
		}
	}
	for name, value := range spec.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, fmt.Errorf("env %q: a name is not empty and has no '=', and nothing holds a zero byte", name)
		}
		// These are told of each attempt by the shim; a second entry of the same name would win in some programs.
		if slices.Contains([]string{"TROUPE_INDEX", "TROUPE_ATTEMPT", "TROUPE_FENCE", "TROUPE_INPUTS"}, name) {
			return nil, fmt.Errorf("env %q is set by the agent; choose another name", name)
		}
		vars[name] = value
	}
	maps.Copy(vars, t.Extra.Environment())
	vars["TROUPE_CELL"] = t.Cell
	vars["TROUPE_NODE"] = t.Node
	vars["TROUPE_QUEUE"] = t.Template.Queue
	vars["TROUPE_JOB"] = t.Template.Job
	vars["TROUPE_JOB_UID"] = strconv.FormatUint(t.JobUID, 10)
	vars["TROUPE_STAGE"] = spec.Name
	vars["TROUPE_COUNT"] = strconv.FormatInt(max(spec.Instances, 1), 10)
	vars["TROUPE_RESULT"] = filepath.Join(dir, wire.ResultName)
	vars["TROUPE_PROGRESS"] = filepath.Join(dir, wire.ProgressName)
	env := make([]string, 0, len(vars))
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env, nil
}

// parseSignal takes "TERM", "SIGTERM" or a number; empty means TERM.
func parseSignal(name string) (unix.Signal, error) {
	if name == "" {
		return unix.SIGTERM, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n < 32 {
		return unix.Signal(n), nil
	}
	upper := strings.ToUpper(name)
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(upper, "SIG")); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("stop.signal %q is not a signal; use a name such as TERM or INT", name)
}
