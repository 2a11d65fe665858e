package sim

import (
	"fmt"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Shapes counts the shapes of work that a generator has made: what no generator makes no check can see.
type Shapes map[string]uint64

// shapesOf counts those of the work that was asked for.
func (l *load) shapesOf() Shapes {
	s := Shapes{}
	for _, k := range l.order[:l.next] {
		s.job(k.spec)
		s.count("without a key", k.key == "")
		s.count("fits no machine", !k.possible)
		s.count("fails for good", k.doomed)
	}
	return s
}

func (s Shapes) count(shape string, is bool) {
	if is {
		s[shape]++
	} else if _, seen := s[shape]; !seen {
		s[shape] = 0
	}
}

func (s Shapes) job(j *v1.JobSpec) {
	s.count("service", j.GetKind() == "service")
	s.count("time limit", j.GetTimeLimit() != "")
	for _, band := range []string{"production", "batch", "free"} {
		s.count("band "+band, j.GetBand() == band)
	}
	s.count("several stages", len(j.GetStages()) > 1)
	for _, st := range j.GetStages() {
		s.stage(st)
	}
}

func (s Shapes) stage(st *v1.StageSpec) {
	s.count("stage after others", len(st.GetAfter()) > 0)
	s.count("stage of functions", st.GetDriver() == "func")
	s.count("stage with few at a time", st.GetParallel() > 0)
	s.count("stage of one instance", st.GetInstances() == 1)
	s.count("stage of many instances", st.GetInstances() >= 8)
	s.count("stage with retries", st.GetRetry().GetAttempts() > 1)
	s.count("stage with constraints", len(st.GetConstraints()) > 0)
	s.count("stage with preferences", len(st.GetPrefer()) > 0)
	s.count("stage with affinity", len(st.GetAffinity())+len(st.GetAntiAffinity()) > 0)
	s.count("stage that is spread", st.GetSpread() != "" || len(st.GetSpreads()) > 0)
	s.count("stage with ports", len(st.GetPorts()) > 0)
	s.count("stage with devices", st.GetDevices() != nil)
	s.count("stage with own units", len(st.GetResources().GetCustom()) > 0)
	s.count("stage that tolerates taints", len(st.GetTolerations()) > 0)
	s.count("gang", st.GetGang() != nil)
	s.count("stage with a duration", st.GetDuration() != "")
}

// Add adds the counts of another run.
func (s Shapes) Add(o Shapes) {
	for shape, n := range o { //order: sums
		s[shape] += n
	}
}

// String is the table.
func (s Shapes) String() string {
	var b strings.Builder
	for _, shape := range sortedKeys(s) {
		fmt.Fprintf(&b, "%12d  %s\n", s[shape], shape)
	}
	return b.String()
}
