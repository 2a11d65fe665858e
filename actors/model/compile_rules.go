package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Limits of the rules of one stage.
const (
	MaxAffinity    = 16
	MaxSpreads     = 8
	MaxTolerations = 64
	MaxPackages    = 256
	MaxPackageLen  = 256
	MaxData        = 1024
	MaxWeight      = 100
	// MaxGang bounds the instances of a gang: they are placed in one decision.
	MaxGang = 10_000
)

const defaultHold = "30s" // DefaultGangHold as it is written

// rules compiles where the slots of a stage may go, which nodes are better, and how far evictions may go. Most stages use
// few of them: what is left out costs nothing, not even the making of its path.
func (c *checker) rules(at string, s *v1.StageSpec, plan *StagePlan, job *Plan) {
	plan.Constraints = c.constraints(at, "constraints", s.Constraints, false)
	plan.Prefer = c.constraints(at, "prefer", s.Prefer, true)
	if s.Spread != "" {
		c.wrong(at+".spread", checkKey(s.Spread))
	}
	plan.Spread = s.Spread
	plan.Spreads = c.spreads(at, s)
	plan.Affinity = c.affinities(at, "affinity", s.Affinity, job.ID.Queue)
	plan.AntiAffinity = c.affinities(at, "anti_affinity", s.AntiAffinity, job.ID.Queue)
	plan.Pool = DefaultPool
	if s.Pool != "" {
		plan.Pool = s.Pool
		if s.Pool != AnyPool {
			c.wrong(at+".pool", checkName(s.Pool))
		}
	}
	plan.Tolerations = c.tolerations(at, s.Tolerations)
	plan.Packages = c.packages(at, s.Packages)
	plan.Data = c.data(at, s.Data)
	plan.Score = c.score(at, s.Score)
	if s.Duration != "" {
		plan.Duration = c.duration(at+".duration", s.Duration)
	}
	c.gang(at, s, plan)
	c.disruption(at, s.MaxUnavailable, plan, job.Service)
}

// weight is a weight from 1 to MaxWeight; least says what else is allowed below.
func (c *checker) weight(at string, weight, least int32) int32 {
	c.count(at, int64(weight), int64(least), MaxWeight)
	return weight
}

func (c *checker) spreads(stage string, s *v1.StageSpec) []SpreadRule {
	if len(s.Spreads) == 0 || c.tooMany(stage+".spreads", len(s.Spreads), MaxSpreads, "rules") {
		return nil
	}
	var plan []SpreadRule
	seen := map[string]bool{s.Spread: s.Spread != ""}
	for i, rule := range s.Spreads {
		at := FieldIndex(stage+".spreads", i)
		switch {
		case rule.On == "":
			c.add(at+".on", "is missing", `name an attribute of nodes, such as "rack", or "node"`)
		case seen[rule.On]:
			c.add(at+".on", "there is another rule over "+Quote(rule.On), "put them into one")
		default:
			c.wrong(at+".on", checkKey(rule.On))
		}
		seen[rule.On] = true
		if rule.Weight == 0 {
			rule.Weight = MaxWeight
		}
		c.count(at+".max_skew", int64(rule.MaxSkew), 0, MaxInstances)
		c.count(at+".max", rule.Max, 0, MaxInstances)
		plan = append(plan, SpreadRule{On: rule.On, MaxSkew: rule.MaxSkew, Max: rule.Max, Weight: c.weight(at+".weight", rule.Weight, 1)})
	}
	return plan
}

func (c *checker) affinities(stage, field string, list []*v1.Affinity, queue string) []Affinity {
	if len(list) == 0 || c.tooMany(FieldName(stage, field), len(list), MaxAffinity, "rules") {
		return nil
	}
	var plan []Affinity
	for i, a := range list {
		at := FieldIndex(FieldName(stage, field), i)
		if len(a.Labels) == 0 {
			c.add(at+".labels", "is missing", `say which jobs, such as {app: "web"}`)
		}
		c.labels(at+".labels", a.Labels)
		setDefault(&a.On, NodeAttribute)
		c.wrong(at+".on", checkKey(a.On))
		p := Affinity{Labels: SortedLabels(a.Labels), On: a.On, Queue: queue, Weight: c.weight(at+".weight", a.Weight, 0)}
		if a.Queue != "" {
			p.Queue = a.Queue
			if a.Queue != AnyQueue {
				c.wrong(at+".queue", checkName(a.Queue))
			}
		}
		plan = append(plan, p)
	}
	return plan
}

// SortedLabels are labels by name; nil for none.
func SortedLabels(labels map[string]string) []Label {
	var list []Label
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, Label{name, labels[name]})
	}
	return list
}

func (c *checker) tolerations(stage string, list []*v1.Toleration) []Toleration {
	if len(list) == 0 || c.tooMany(stage+".tolerations", len(list), MaxTolerations, "tolerations") {
		return nil
	}
	var plan []Toleration
	for i, t := range list {
		at := FieldIndex(stage+".tolerations", i)
		c.wrong(at+".key", checkKey(t.Key))
		c.wrong(at+".value", checkText(t.Value, MaxValueLen))
		plan = append(plan, Toleration{Key: t.Key, Value: t.Value})
	}
	return plan
}

// packages are sorted in the plan, whatever their order in the spec.
func (c *checker) packages(stage string, list []string) []string {
	if len(list) == 0 {
		return nil
	}
	at := stage + ".packages"
	if c.tooMany(at, len(list), MaxPackages, "packages") {
		return nil
	}
	seen := make(map[string]bool, len(list))
	for i, name := range list {
		c.wrong(FieldIndex(at, i), checkPackage(name))
		if seen[name] {
			c.add(FieldIndex(at, i), "names "+Quote(name)+" again", "remove it")
		}
		seen[name] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func checkPackage(name string) *Mistake {
	if name == "" || strings.ContainsAny(name, " \t") {
		return &Mistake{Quote(name) + " is not the name of a package", `write a name without blanks, such as "model-v3"`}
	}
	return checkText(name, MaxPackageLen)
}

func (c *checker) data(stage string, data map[string]string) []NodeBytes {
	if len(data) == 0 {
		return nil
	}
	at := stage + ".data"
	if c.tooMany(at, len(data), MaxData, "nodes") {
		return nil
	}
	var plan []NodeBytes
	for _, node := range slices.Sorted(maps.Keys(data)) {
		at := FieldKey(at, node)
		c.wrong(at, checkName(node))
		n, err := ParseBytes(data[node])
		if c.fail(at, err); err == nil && n == 0 {
			c.add(at, "is zero", "remove it, or say how much the node holds")
		}
		plan = append(plan, NodeBytes{NodeID(node), n})
	}
	return plan
}

// ScoreNames are the scores that every cell knows. A program that embeds the cell may add others, whose names begin with
// ExtraScore.
func ScoreNames() []string { return []string{"hybrid", "bestfit", "epvm", "fragmentation", "packing"} }

// ModifierNames are what a score can be weighted by beside it.
func ModifierNames() []string { return []string{"packages", "locality", "spread", "mix"} }

// ExtraScore begins the names of scores that a program adds.
const ExtraScore = "x-"

func checkScoreName(s string) *Mistake {
	if strings.HasPrefix(s, ExtraScore) {
		return checkName(s)
	}
	_, wrong := oneOf(s, ScoreNames())
	return wrong
}

// score compiles a score of a stage, or of a queue, whose path is empty.
func (c *checker) score(of string, s *v1.Score) ScorePlan {
	if s == nil {
		return ScorePlan{}
	}
	at, plan := FieldName(of, "score"), ScorePlan{By: s.By}
	if s.By != "" {
		c.wrong(at+".by", checkScoreName(s.By))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Weights)) {
		at := FieldKey(at+".weights", name)
		_, wrong := oneOf(name, ModifierNames())
		c.wrong(at, wrong)
		plan.Weights = append(plan.Weights, Amount{name, int64(c.weight(at, s.Weights[name], 0))})
	}
	return plan
}

// gang compiles that all instances start together. A gang of more than runs at once could never be placed.
func (c *checker) gang(stage string, s *v1.StageSpec, plan *StagePlan) {
	if s.Gang == nil {
		return
	}
	at := stage + ".gang"
	setDefault(&s.Gang.Hold, defaultHold)
	plan.Gang, plan.GangHold = true, c.duration(at+".hold", s.Gang.Hold)
	switch {
	case plan.Instances > MaxGang:
		c.addf(at, fmt.Sprintf("at most %d instances, or remove gang", MaxGang), "%d instances cannot be placed together", plan.Instances)
	case plan.Parallel != plan.Instances:
		c.addf(at, "remove parallel, or gang", "%d instances start together, but parallel admits %d", plan.Instances, plan.Parallel)
	}
}

// disruption compiles "3" or "10%": a part of the instances, rounded down, but always one.
func (c *checker) disruption(stage, text string, plan *StagePlan, service bool) {
	plan.MaxUnavailable = plan.Instances
	switch {
	case text == "" && service:
		plan.MaxUnavailable = max(1, plan.Instances/4)
		return
	case text == "":
		return
	}
	number, percent := strings.CutSuffix(text, "%")
	most := int64(MaxInstances)
	if percent {
		most = 100
	}
	n := int64(0)
	if allDigits(number) && len(number) <= len("10000000") {
		for _, digit := range []byte(number) {
			n = n*10 + int64(digit-'0')
		}
	}
	if n < 1 || n > most {
		c.add(stage+".max_unavailable", Quote(text)+" is not a number of instances", `write a count from 1 on or a percentage from 1 to 100, such as "2" or "10%"`)
		return
	}
	if percent {
		plan.MaxUnavailable = max(1, plan.Instances*uint64(n)/100)
		return
	}
	plan.MaxUnavailable = min(uint64(n), plan.Instances)
}
