package model

import (
	"fmt"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// MaxTaints bounds the taints of one node, those of its agent and those of operators each.
const MaxTaints = 32

// The effects of a taint.
const (
	// TaintNoPlace keeps new slots away; it is the effect of a taint that names none.
	TaintNoPlace = "no_place"
	// TaintAvoid makes a node the last choice.
	TaintAvoid = "avoid"
	// TaintEvict keeps new slots away and moves away what runs.
	TaintEvict = "evict"
)

// effectOf is the effect of a taint.
func effectOf(t *v1.Taint) string {
	if t.GetEffect() == "" {
		return TaintNoPlace
	}
	return t.GetEffect()
}

// Tolerates reports whether one of the tolerations makes the taint not matter.
func Tolerates(tolerations []Toleration, t *v1.Taint) bool {
	for _, o := range tolerations {
		if o.Key == t.GetKey() && (o.Value == "" || o.Value == t.GetValue()) {
			return true
		}
	}
	return false
}

// CheckTaints checks the taints that an operator puts on a node; nil means that they may be put there.
func CheckTaints(taints []*v1.Taint) []*v1.FieldError {
	c := &checker{}
	c.taints("taints", taints)
	return c.result()
}

func (c *checker) taints(at string, taints []*v1.Taint) {
	if c.tooMany(at, len(taints), MaxTaints, "taints") {
		return
	}
	seen := make(map[string]bool, len(taints))
	for i, t := range taints {
		at := FieldIndex(at, i)
		if t == nil {
			c.add(at, "is nil", "leave it out or fill it in")
			continue
		}
		c.known(at, t)
		c.wrong(at+".key", checkKey(t.Key))
		c.wrong(at+".value", checkText(t.Value, MaxValueLen))
		if t.Effect != "" {
			_, wrong := oneOf(t.Effect, []string{TaintNoPlace, TaintAvoid, TaintEvict})
			c.wrong(at+".effect", wrong)
		}
		if id := t.Key + "=" + t.Value + ":" + effectOf(t); seen[id] {
			c.add(at, "is there twice: "+id, "remove one")
		} else {
			seen[id] = true
		}
	}
}

// FormatTaint is the taint as users write it: key=value:effect.
func FormatTaint(t *v1.Taint) string {
	text := t.GetKey()
	if t.GetValue() != "" {
		text += "=" + t.GetValue()
	}
	return text + ":" + effectOf(t)
}

// FormatTaints is a list of taints as people read it.
func FormatTaints(taints []*v1.Taint) string {
	texts := make([]string, len(taints))
	for i, t := range taints {
		texts[i] = FormatTaint(t)
	}
	return strings.Join(texts, ", ")
}

// ParseTaint reads key, key=value, key:effect or key=value:effect. It fails with a *Mistake.
func ParseTaint(s string) (*v1.Taint, error) {
	name, effect := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		name, effect = s[:i], s[i+1:]
		if effect == "" {
			return nil, &Mistake{Quote(s) + " has no effect after the colon", "write key=value:effect, such as \"gpu=yes:no_place\""}
		}
	}
	key, value, _ := strings.Cut(name, "=")
	t := &v1.Taint{Key: key, Value: value, Effect: effect}
	if errs := CheckTaints([]*v1.Taint{t}); errs != nil {
		return nil, &Mistake{fmt.Sprintf("%s is not a taint: %s", Quote(s), errs[0].GetProblem()), errs[0].GetHint()}
	}
	t.Effect = effectOf(t)
	return t, nil
}
