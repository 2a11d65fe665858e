package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Limits of one job.
const (
	MaxSpecBytes   = 256 << 10 // encoded, all defaults filled in
	MaxStages      = 1024
	MaxInstances   = 10_000_000 // of all stages together
	MaxAttempts    = 1000       // of one instance, when they are limited
	MaxLabels      = 64
	MaxLabelLen    = 256
	MaxArgs        = 4096
	MaxEnv         = 1024
	MaxEnvNameLen  = 256
	MaxArgLen      = 128<<10 - 1 // the kernel's limit for one argument or variable
	MaxDirLen      = 4095
	MaxConstraints = 64
	MaxValues      = 256 // of one constraint
	MaxValueLen    = 256
	// MinMemory catches the forgotten unit: "64" is bytes.
	MinMemory = 1 << 20
	// MaxFieldErrors bounds an answer; what is beyond is counted in its last entry.
	MaxFieldErrors = 100
)

// Names that mean something.
const (
	DefaultQueue  = "default"
	DriverProcess = "process"
	DriverFunc    = "func"
	// NodeAttribute is the attribute that every node has: its own id.
	NodeAttribute = "node"
	// ReservedEnv is the prefix of the variables that the agent sets.
	ReservedEnv = "TROUPE_"
)

// The defaults that Compile writes into a spec.
const (
	defaultCPU        = "100m"
	defaultMemory     = "64Mi"
	defaultAttempts   = 3
	defaultBackoff    = "1s"
	defaultBackoffMax = "1m"
	defaultSignal     = "TERM"
	defaultGrace      = "10s"
)

// Compile checks a job spec and turns it into a plan; Plan.Spec is a copy of spec with every default written in, and
// compiles to the same plan. Either the plan or the list of everything that is wrong is nil. spec is not changed.
// The result depends on nothing but spec, so that every replay of a journal makes the same plan.
func Compile(spec *v1.JobSpec) (*Plan, []*v1.FieldError) {
	c := &checker{}
	if !c.readable(spec) {
		return nil, c.result()
	}
	spec = proto.Clone(spec).(*v1.JobSpec)
	plan := &Plan{Spec: spec}
	c.wrong("name", checkName(spec.Name))
	setDefault(&spec.Queue, DefaultQueue)
	c.wrong("queue", checkName(spec.Queue))
	plan.ID = JobID{Queue: spec.Queue, Name: spec.Name}
	c.class(spec, plan)
	if plan.Owner = spec.Owner; spec.Owner == "" {
		plan.Owner = spec.Name
	}
	c.wrong("owner", checkText(spec.Owner, MaxLabelLen))
	c.labels("labels", spec.Labels)
	if spec.TimeLimit != "" {
		plan.TimeLimit = c.duration("time_limit", spec.TimeLimit)
	}
	c.stages(spec, plan)
	if size := proto.Size(spec); size > MaxSpecBytes {
		c.addf("", "split the job, or move data into files", "%d bytes with all defaults filled in, at most %d", size, MaxSpecBytes)
	}
	if errs := c.result(); errs != nil {
		return nil, errs
	}
	return plan, nil
}

// readable refuses what the rest of the compiler need not look at: nothing, too much, or what it would not understand.
func (c *checker) readable(spec *v1.JobSpec) bool {
	switch size := proto.Size(spec); {
	case spec == nil:
		c.add("", "no job", "give a job spec")
		return false
	case size > MaxSpecBytes:
		c.addf("", "split the job, or move data into files", "%d bytes, at most %d", size, MaxSpecBytes)
		return false
	case len(spec.Stages) > MaxStages:
		c.addf("stages", fmt.Sprintf("at most %d", MaxStages), "%d stages", len(spec.Stages))
		return false
	}
	c.known("", spec)
	for i, stage := range spec.Stages {
		path := FieldIndex("stages", i)
		c.known(path, stage)
		if stage != nil {
			c.readableStage(path, stage)
		}
	}
	return len(c.errs) == 0
}

// readableStage looks into all messages of a stage.
func (c *checker) readableStage(path string, stage *v1.StageSpec) {
	parts := stage.ProtoReflect()
	fields := parts.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() == nil || f.IsMap() || !parts.Has(f) {
			continue
		}
		at, value := path+"."+string(f.Name()), parts.Get(f)
		if !f.IsList() {
			c.known(at, value.Message().Interface())
			continue
		}
		for j := range value.List().Len() {
			c.known(FieldIndex(at, j), value.List().Get(j).Message().Interface())
		}
	}
}

// known refuses nil messages, and fields of a newer schema: to drop a wish silently is worse than to refuse it.
func (c *checker) known(path string, m proto.Message) {
	r := m.ProtoReflect()
	if !r.IsValid() {
		c.add(path, "is nil", "leave it out or fill it in")
	} else if len(r.GetUnknown()) > 0 {
		c.add(path, "has fields that this version does not know", "remove them or upgrade the cell")
	}
}

// class compiles kind, band and rank.
func (c *checker) class(spec *v1.JobSpec, plan *Plan) {
	setDefault(&spec.Kind, "batch")
	kind, wrong := oneOf(spec.Kind, []string{"batch", "service"})
	c.wrong("kind", wrong)
	plan.Service = kind == 1
	if plan.Service {
		setDefault(&spec.Band, Production.String())
	} else {
		setDefault(&spec.Band, Batch.String())
	}
	band, err := ParseBand(spec.Band)
	c.fail("band", err)
	plan.Priority = Priority{Band: band, Rank: spec.Rank}
}

func (c *checker) labels(path string, labels map[string]string) {
	if len(labels) > MaxLabels {
		c.addf(path, fmt.Sprintf("at most %d", MaxLabels), "%d labels", len(labels))
		return
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		c.wrong(FieldKey(path, key), checkKey(key))
		c.wrong(FieldKey(path, key), checkText(labels[key], MaxLabelLen))
	}
}

// stages compiles every stage and the graph that they form.
func (c *checker) stages(spec *v1.JobSpec, plan *Plan) {
	if len(spec.Stages) == 0 {
		c.add("stages", "a job needs at least one stage", "")
		return
	}
	plan.Stages = make([]StagePlan, len(spec.Stages))
	index := make(map[string]int, len(spec.Stages))
	total := uint64(0)
	for i, stage := range spec.Stages {
		path := FieldIndex("stages", i)
		plan.Stages[i] = c.stage(path, stage, plan)
		if first, used := index[stage.Name]; used && stage.Name != "" {
			c.addf(path+".name", "give every stage a name of its own", "%s is also the name of stages[%d]", Quote(stage.Name), first)
		} else {
			index[stage.Name] = i
		}
		total += plan.Stages[i].Instances
	}
	if total > MaxInstances {
		c.addf("stages", fmt.Sprintf("at most %d in all stages together", MaxInstances), "%d instances", total)
	}
	before := len(c.errs)
	for i, stage := range spec.Stages {
		c.after(FieldIndex("stages", i)+".after", i, stage, plan, index)
	}
	if len(c.errs) == before {
		c.acyclic(plan)
	}
}

// after resolves the names of the stages that stage i waits for.
func (c *checker) after(path string, i int, stage *v1.StageSpec, plan *Plan, index map[string]int) {
	if plan.Service && len(stage.After) > 0 {
		c.add(path, "stages of a service cannot wait for each other: they never succeed", "remove it")
		return
	}
	seen := make(map[int]bool, len(stage.After))
	for k, name := range stage.After {
		at := FieldIndex(path, k)
		j, ok := index[name]
		switch {
		case !ok:
			hint := "name a stage of this job"
			if near := Nearest(name, slices.Sorted(maps.Keys(index))); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			c.add(at, "no stage "+Quote(name), hint)
		case j == i:
			c.add(at, "a stage cannot wait for itself", "remove it")
		case seen[j]:
			c.add(at, "names stage "+Quote(name)+" again", "remove it")
		default:
			seen[j] = true
			plan.Stages[i].After = append(plan.Stages[i].After, j)
		}
	}
	slices.Sort(plan.Stages[i].After)
}

// acyclic refuses stages that wait for each other, and shows one circle of them.
func (c *checker) acyclic(plan *Plan) {
	waits := make([]int, len(plan.Stages))
	next := make([][]int, len(plan.Stages))
	var free []int
	for i, s := range plan.Stages {
		for _, j := range s.After {
			next[j] = append(next[j], i)
		}
		if waits[i] = len(s.After); waits[i] == 0 {
			free = append(free, i)
		}
	}
	for ; len(free) > 0; free = free[1:] {
		for _, i := range next[free[0]] {
			if waits[i]--; waits[i] == 0 {
				free = append(free, i)
			}
		}
	}
	stuck := slices.IndexFunc(waits, func(n int) bool { return n > 0 })
	if stuck < 0 {
		return
	}
	circle := circleFrom(plan, waits, stuck)
	names := make([]string, 0, len(circle)+1)
	for _, i := range append(circle, circle[0]) {
		names = append(names, plan.Stages[i].Name)
	}
	if len(names) > 9 {
		names = append(append(names[:4:4], "…"), names[len(names)-4:]...)
	}
	c.add(FieldIndex("stages", circle[0])+".after", "stages wait for each other: "+strings.Join(names, " after "), "remove one of these")
}

// circleFrom walks from a stage that never gets free, always to one that it waits for and that is stuck too, until it
// meets a stage again. The circle begins with its smallest index, so that the same spec gives the same words.
func circleFrom(plan *Plan, waits []int, stuck int) []int {
	place := map[int]int{}
	var walk []int
	for i := stuck; ; {
		if start, met := place[i]; met {
			circle := walk[start:]
			least := slices.Index(circle, slices.Min(circle))
			return append(slices.Clone(circle[least:]), circle[:least]...)
		}
		place[i] = len(walk)
		walk = append(walk, i)
		after := plan.Stages[i].After
		i = after[slices.IndexFunc(after, func(j int) bool { return waits[j] > 0 })]
	}
}
