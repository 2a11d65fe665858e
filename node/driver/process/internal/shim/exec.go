//go:build linux || darwin

package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Exit codes of attempts whose program could not be started, as shells use them.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
)

// take makes plan the one for the attempts to come.
func (s *shim) take(plan *v1.ShimPlan) {
	s.plan = plan
	s.state.StageName, s.state.GraceMs = plan.StageName, plan.GraceMs
	s.env = append(make([]string, 0, len(plan.Env)+4), plan.Env...)
	s.argv0 = ""
}

// fork starts the program; reason tells why it did not, with the exit code of a shell in that case.
func (s *shim) fork(run *v1.ShimRun) (c child, code int32, reason string) {
	env := append(s.env,
		"TROUPE_INDEX="+strconv.FormatUint(run.Index, 10),
		"TROUPE_ATTEMPT="+strconv.FormatUint(uint64(run.Attempt), 10),
		"TROUPE_FENCE="+strconv.FormatUint(run.Fence, 10))
	if run.Inputs != "" {
		env = append(env, "TROUPE_INPUTS="+run.Inputs)
	}
	attr := &syscall.ProcAttr{Dir: s.plan.Dir, Env: env,
		Files: []uintptr{uintptr(s.null), uintptr(s.streams[0].w), uintptr(s.streams[1].w)}}
	if attr.Dir == "" {
		attr.Dir = wire.WorkName
	}
	var err error
	// The path that was found is used again; if the program has moved, it is looked for once more.
	for _, known := range []bool{s.argv0 != "", false} {
		if !known {
			if s.argv0, err = findProgram(s.plan.Command[0], s.plan.Env); err != nil {
				return c, codeNotFound, err.Error()
			}
		}
		if c, err = startChild(s.argv0, s.plan.Command, attr); err == nil {
			return c, 0, ""
		}
		if !known || !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	s.argv0 = ""
	code, reason = explain(err, s.plan.Command[0], attr.Dir)
	return c, code, reason
}

// findProgram looks for a program without a slash in the PATH of its environment, as a shell would.
func findProgram(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("command %q not found in PATH %q", name, path)
}

// explain says in words why a program did not start.
func explain(err error, name, dir string) (int32, string) {
	if info, e := os.Stat(dir); e != nil {
		return codeNotFound, fmt.Sprintf("working directory %q: %v", dir, errors.Unwrap(e))
	} else if !info.IsDir() {
		return codeNotFound, fmt.Sprintf("working directory %q is not a directory", dir)
	}
	file := name
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		if _, e := os.Stat(file); e == nil {
			return codeNotFound, fmt.Sprintf("command %q: the interpreter that it names was not found", name)
		}
		return codeNotFound, fmt.Sprintf("command %q not found", name)
	case errors.Is(err, unix.EACCES):
		return codeNotExecutable, fmt.Sprintf("command %q: permission denied (is it an executable file?)", name)
	case errors.Is(err, unix.ENOEXEC):
		return codeNotExecutable, fmt.Sprintf("command %q is not a program for this machine", name)
	case errors.Is(err, unix.E2BIG):
		return codeNotExecutable, fmt.Sprintf("command %q: arguments and environment are too long for this system", name)
	}
	return codeNotExecutable, fmt.Sprintf("command %q: %v", name, err)
}
