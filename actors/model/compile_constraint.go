package model

import (
	"fmt"
	"slices"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// constraints compiles conditions over node attributes: those that must hold, or preferences, which have weights.
func (c *checker) constraints(stage, field string, list []*v1.Constraint, prefer bool) []Constraint {
	if len(list) == 0 || c.tooMany(FieldName(stage, field), len(list), MaxConstraints, "constraints") {
		return nil
	}
	var plan []Constraint
	for i, constraint := range list {
		at := FieldIndex(FieldName(stage, field), i)
		switch {
		case !prefer && constraint.Weight != 0:
			c.add(at+".weight", "a constraint has no weight", "remove it, or write it under prefer")
		case prefer && (constraint.Weight == 0 || constraint.Weight < -MaxWeight || constraint.Weight > MaxWeight):
			c.addf(at+".weight", "1 to 100 for better nodes, -100 to -1 for worse ones", "is %d", constraint.Weight)
		}
		plan = append(plan, c.constraint(at, constraint))
	}
	return plan
}

func (c *checker) constraint(at string, s *v1.Constraint) Constraint {
	if s.Attribute == "" {
		c.add(at+".attribute", "is missing", `name an attribute of nodes, such as "os" or "arch"`)
	} else {
		c.wrong(at+".attribute", checkKey(s.Attribute))
	}
	setDefault(&s.Op, OpEqual.String())
	op, err := ParseOp(s.Op)
	c.fail(at+".op", err)
	plan := Constraint{Attribute: s.Attribute, Op: op, Weight: s.Weight}
	if err != nil {
		return plan
	}
	list := op == OpIn
	single := !list && op != OpExists
	switch {
	case single && s.Value == "":
		c.addf(at+".value", "give the value to compare with", "is missing: op %q compares with one", s.Op)
		return plan
	case !single && s.Value != "":
		c.addf(at+".value", "remove it", "op %q takes none", s.Op)
	}
	switch {
	case list && len(s.Values) == 0:
		c.addf(at+".values", "give the values to compare with", "is missing: op %q compares with a list", s.Op)
	case !list && len(s.Values) > 0:
		c.addf(at+".values", `remove it, or set op: in`, "op %q takes none", s.Op)
	case len(s.Values) > MaxValues:
		c.addf(at+".values", fmt.Sprintf("at most %d", MaxValues), "%d values", len(s.Values))
		return plan
	}
	wrong := checkText(s.Value, MaxValueLen)
	c.wrong(at+".value", wrong)
	for i, v := range s.Values {
		c.wrong(FieldIndex(at+".values", i), checkText(v, MaxValueLen))
	}
	if single {
		plan.Values = []string{s.Value}
	} else if list {
		plan.Values = slices.Clone(s.Values)
	}
	if wrong == nil {
		_, err = plan.Predicate()
		c.fail(at+".value", err)
	}
	return plan
}
