package place

import "github.com/troupe-sched/troupe/actors/model"

// asks compiles a constraint into a question about the value of its attribute. What cannot be compiled holds nowhere:
// model.Compile refuses it before it comes here.
func asks(c model.Constraint) func(value string, has bool) bool {
	p, err := c.Predicate()
	if err != nil {
		return func(string, bool) bool { return false }
	}
	return p.Holds
}
