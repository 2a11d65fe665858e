package model

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// stage compiles one stage, but for the stages that it waits for.
func (c *checker) stage(at string, s *v1.StageSpec, job *Plan) StagePlan {
	service := job.Service
	plan := StagePlan{Name: s.Name}
	c.wrong(at+".name", checkName(s.Name))
	if s.Instances == 0 {
		s.Instances = 1
	}
	c.count(at+".instances", s.Instances, 1, MaxInstances)
	c.count(at+".parallel", s.Parallel, 0, MaxInstances)
	if service && s.Parallel > 0 && s.Parallel < s.Instances {
		c.add(at+".parallel", "a service runs all its instances at once", "remove it")
	}
	if s.Parallel == 0 || s.Parallel > s.Instances {
		s.Parallel = s.Instances
	}
	plan.Instances = uint64(min(max(s.Instances, 1), MaxInstances)) // in range, so that one mistake is told once
	plan.Parallel = uint64(max(s.Parallel, 1))
	c.program(at, s)
	plan.Driver = s.Driver
	c.env(at+".env", s.Env)
	if s.Resources == nil {
		s.Resources = &v1.Resources{}
	}
	plan.Resources = c.resources(at+".resources", s.Resources)
	plan.Extra = c.extra(at, s)
	c.rules(at, s, &plan, job)
	c.retry(at+".retry", s, service, &plan)
	if s.Timeout != "" {
		plan.Timeout = c.duration(at+".timeout", s.Timeout)
	}
	c.stop(at+".stop", s, &plan)
	return plan
}

// program checks that the stage says what to run, and says it for its driver alone.
func (c *checker) program(at string, s *v1.StageSpec) {
	setDefault(&s.Driver, DriverProcess)
	_, wrong := oneOf(s.Driver, []string{DriverProcess, DriverFunc})
	c.wrong(at+".driver", wrong)
	switch s.Driver {
	case DriverProcess:
		c.command(at+".command", s.Command)
		if s.Func != "" {
			c.add(at+".func", "driver process runs a command", `remove it, or set driver: func`)
		}
		if s.Dir != "" {
			c.wrong(at+".dir", checkDir(s.Dir))
		}
	case DriverFunc:
		switch {
		case s.Func == "":
			c.add(at+".func", "is missing", "name a Go function that the agent's program has registered")
		case !ValidKey(s.Func):
			c.wrong(at+".func", checkKey(s.Func))
		}
		if len(s.Command) > 0 {
			c.add(at+".command", "driver func runs a Go function", "remove it, or set driver: process")
		}
		if s.Dir != "" {
			c.add(at+".dir", "driver func has no working directory", "remove it")
		}
	}
}

func (c *checker) command(at string, command []string) {
	switch {
	case len(command) == 0:
		c.add(at, "is missing", `give program and arguments, such as ["echo", "hello"]; no shell is involved`)
		return
	case len(command) > MaxArgs:
		c.addf(at, fmt.Sprintf("at most %d", MaxArgs), "%d arguments", len(command))
		return
	case command[0] == "":
		c.add(FieldIndex(at, 0), "is empty", "name a program")
	}
	for i, arg := range command {
		c.wrong(FieldIndex(at, i), checkArg(arg))
	}
}

// checkArg checks what is handed to a program: everything is allowed that the kernel and the schema can carry.
func checkArg(s string) *Mistake {
	switch {
	case len(s) > MaxArgLen:
		return &Mistake{fmt.Sprintf("has %d bytes", len(s)), fmt.Sprintf("at most %d; hand large input over in a file", MaxArgLen)}
	case strings.IndexByte(s, 0) >= 0:
		return &Mistake{"contains a NUL", "no program can receive it"}
	case !utf8.ValidString(s):
		return &Mistake{"is not valid UTF-8", ""}
	}
	return nil
}

func checkDir(s string) *Mistake {
	if wrong := checkText(s, MaxDirLen); wrong != nil {
		return wrong
	}
	if !path.IsAbs(s) {
		return &Mistake{Quote(s) + " is relative", "write an absolute path, or leave it out for a fresh directory"}
	}
	return nil
}

func (c *checker) env(at string, env map[string]string) {
	if len(env) > MaxEnv {
		c.addf(at, fmt.Sprintf("at most %d", MaxEnv), "%d variables", len(env))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		c.wrong(FieldKey(at, name), checkEnvName(name))
		c.wrong(FieldKey(at, name), checkArg(env[name]))
	}
}

// checkEnvName refuses variables that would make another program of the one that was named, and those of the agent.
func checkEnvName(name string) *Mistake {
	if wrong := checkText(name, MaxEnvNameLen); wrong != nil {
		return &Mistake{"the name of the variable " + wrong.Problem, wrong.Hint}
	}
	switch {
	case name == "":
		return &Mistake{"a variable without a name", "give it a name"}
	case strings.Contains(name, "="):
		return &Mistake{"the name of the variable contains =", "write NAME: value"}
	case strings.HasPrefix(name, ReservedEnv):
		return &Mistake{"names that begin with " + ReservedEnv + " are reserved", "the agent sets them; choose another name"}
	case strings.HasPrefix(name, "LD_"), strings.HasPrefix(name, "DYLD_"), name == "BASH_ENV", name == "ENV":
		return &Mistake{"is not allowed: it makes a program load other code", "set it inside a program of your own"}
	}
	return nil
}

// resources compiles quantities. Zero is refused where nothing runs without.
func (c *checker) resources(at string, r *v1.Resources) Resources {
	setDefault(&r.Cpu, defaultCPU)
	setDefault(&r.Memory, defaultMemory)
	setDefault(&r.Disk, "0")
	setDefault(&r.Net, "0")
	cpu, err := ParseCPU(r.Cpu)
	if c.fail(at+".cpu", err); err == nil && cpu == 0 {
		c.add(at+".cpu", "is zero", "at least 1m")
	}
	memory, err := ParseBytes(r.Memory)
	if c.fail(at+".memory", err); err == nil && memory < MinMemory {
		c.addf(at+".memory", `at least 1Mi; did you forget the unit, as in "64Mi"?`, "%s is %d bytes", Quote(r.Memory), memory)
	}
	disk, err := ParseBytes(r.Disk)
	c.fail(at+".disk", err)
	net, err := ParseRate(r.Net)
	c.fail(at+".net", err)
	return Resources{CPU: cpu, Memory: memory, Disk: disk, Net: net}
}

func (c *checker) retry(at string, s *v1.StageSpec, service bool, plan *StagePlan) {
	if s.Retry == nil {
		s.Retry = &v1.Retry{}
	}
	r := s.Retry
	if r.Attempts == 0 && !service {
		r.Attempts = defaultAttempts
	}
	c.count(at+".attempts", int64(r.Attempts), 0, MaxAttempts)
	plan.Attempts = uint32(max(r.Attempts, 0))
	setDefault(&r.Backoff, defaultBackoff)
	before := len(c.errs)
	plan.Backoff = c.duration(at+".backoff", r.Backoff)
	if r.BackoffMax == "" {
		r.BackoffMax = defaultBackoffMax
		if most, _ := ParseDuration(defaultBackoffMax); plan.Backoff > most {
			r.BackoffMax = r.Backoff
		}
	}
	plan.BackoffMax = c.duration(at+".backoff_max", r.BackoffMax)
	if len(c.errs) == before && plan.BackoffMax < plan.Backoff {
		c.addf(at+".backoff_max", "at least "+Quote(r.Backoff), "%s is shorter than backoff", Quote(r.BackoffMax))
	}
}

// stop compiles how an attempt is ended. Only a process can receive a signal.
func (c *checker) stop(at string, s *v1.StageSpec, plan *StagePlan) {
	if s.Stop == nil {
		s.Stop = &v1.Stop{}
	}
	setDefault(&s.Stop.Grace, defaultGrace)
	plan.Grace = c.duration(at+".grace", s.Stop.Grace)
	if s.Driver == DriverFunc {
		if s.Stop.Signal != "" {
			c.add(at+".signal", "driver func is stopped by its context, not by a signal", "remove it")
		}
		return
	}
	setDefault(&s.Stop.Signal, defaultSignal)
	s.Stop.Signal = strings.TrimPrefix(s.Stop.Signal, "SIG")
	_, wrong := oneOf(s.Stop.Signal, []string{"TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL"})
	c.wrong(at+".signal", wrong)
	plan.StopSignal = s.Stop.Signal
}
