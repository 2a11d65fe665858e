package model

import (
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// rules compiles where the slots of a stage may go.
func (c *checker) rules(at string, s *v1.StageSpec, plan *StagePlan) {
	plan.Constraints = c.constraints(at+".constraints", s.Constraints)
	if s.Spread != "" {
		c.wrong(at+".spread", checkKey(s.Spread))
	}
	plan.Spread = s.Spread
	plan.Pool = DefaultPool
	plan.MaxUnavailable = plan.Instances
}
