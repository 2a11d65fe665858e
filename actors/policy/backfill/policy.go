package backfill

import "fmt"

// Policy is everything that decides about waiting.
type Policy struct {
	Name       string
	Order      Order
	Fill       Fill
	Method     Method
	Correction Correction
}

// policies by name: those of the literature, and the one to use.
var policies = []Policy{
	{"fcfs", FIFO, None, Stated, ToStated},
	{"easy", FIFO, EASY, Stated, ToStated},
	{"easy-sjbf", FIFO, ShortestFirst, Stated, ToStated},
	{"easy++", FIFO, ShortestFirst, Recent, ToStated},
	{"learned", Slowdown, EASY, Learned, ToStated},
}

// PolicyNames are the names that PolicyNamed knows.
func PolicyNames() []string {
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = p.Name
	}
	return names
}

// PolicyNamed returns the policy of that name.
func PolicyNamed(name string) (Policy, error) {
	for _, p := range policies {
		if p.Name == name {
			return p, nil
		}
	}
	return Policy{}, fmt.Errorf("policy: %q is not known; there are %q", name, PolicyNames())
}
