package place

import (
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// TestB1_ConstraintsCompareAsTheySay goes through all comparisons, with what is missing or no number or version.
func TestB1_ConstraintsCompareAsTheySay(t *testing.T) {
	const missing = "\x00"
	for _, tt := range []struct {
		op     model.Op
		values []string
		meets  []string
		not    []string
	}{
		{model.OpEqual, []string{"a"}, []string{"a"}, []string{"b", "", missing}},
		{model.OpNotEqual, []string{"a"}, []string{"b", "", missing}, []string{"a"}},
		{model.OpIn, []string{"a", "b"}, []string{"a", "b"}, []string{"c", missing}},
		{model.OpExists, nil, []string{"", "a"}, []string{missing}},
		{model.OpLess, []string{"10"}, []string{"9", "-1", "9.999", "+3"}, []string{"10", "10.0", "10.5", "x", "", missing, "1e1"}},
		{model.OpLessEqual, []string{"1.50"}, []string{"1.5", "01.500", "-2"}, []string{"1.51", "2"}},
		{model.OpGreater, []string{"-1.5"}, []string{"-1.4", "0", "-0", "900719925474099300001"}, []string{"-1.5", "-1.50", "-2", "."}},
		{model.OpGreaterEqual, []string{"900719925474099300001"}, []string{"900719925474099300001", "900719925474099300002"}, []string{"900719925474099300000"}},
		{model.OpGreaterEqual, []string{"x"}, nil, []string{"1", "x"}},
		{model.OpGreater, nil, nil, []string{"1"}},
		{model.OpVersion, []string{">= 5.10", "< 6"}, []string{"5.10", "5.10.0", "v5.15.3", "5.010", "5.99-rc1"}, []string{"5.9", "6", "6.0.0", "5.10-rc1", "x", "5..1", "", missing}},
		{model.OpVersion, []string{">=5.10, <6"}, []string{"5.10", "5.11+build7"}, []string{"6.1"}},
		{model.OpVersion, []string{"1.2"}, []string{"1.2", "1.2.0", "v1.2"}, []string{"1.2.1", "1.2-a"}},
		{model.OpVersion, []string{"!= 1.2"}, []string{"1.3"}, []string{"1.2.0", missing}},
		{model.OpVersion, []string{"> 1.0-alpha.2"}, []string{"1.0-alpha.10", "1.0-alpha.x", "1.0-alpha.2.1", "1.0-beta", "1.0"}, []string{"1.0-alpha.2", "1.0-alpha.1", "1.0-2"}},
		{model.OpVersion, []string{"<= 2"}, []string{"2.0", "1.9.9"}, []string{"2.0.1"}},
		{model.OpVersion, []string{">= new"}, nil, []string{"1"}},
		{model.OpMatches, []string{"r[0-9]+"}, []string{"r1", "r42"}, []string{"r", "ar1", "r1x", missing}},
		{model.OpMatches, []string{"a|b"}, []string{"a", "b"}, []string{"ab", "xa", "bx"}},
		{model.OpMatches, []string{"a("}, nil, []string{"a", "a("}},
		{model.Op(77), []string{"a"}, nil, []string{"a", missing}},
	} {
		ask := asks(model.Constraint{Attribute: "x", Op: tt.op, Values: tt.values})
		for want, list := range map[bool][]string{true: tt.meets, false: tt.not} { //order: each for itself
			for _, value := range list {
				if got := ask(value, value != missing); got != want {
					t.Errorf("%q %s %q: %v", value, tt.op, tt.values, got)
				}
			}
		}
	}
}

// FuzzConstraint: whatever is compared, equality, order and their opposites agree.
func FuzzConstraint(f *testing.F) {
	for _, seed := range []string{"1.5", "-0", "5.10-rc1", "v1", "x", "", "00012"} {
		f.Add(seed, "1.5")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ask := func(op model.Op, bound string) bool {
			return asks(model.Constraint{Op: op, Values: []string{bound}})(a, true)
		}
		if _, ok := parseDecimal(a); ok {
			if _, ok := parseDecimal(b); ok && (ask(model.OpLess, b) == ask(model.OpGreaterEqual, b) || ask(model.OpGreater, b) == ask(model.OpLessEqual, b)) {
				t.Errorf("%q and %q are not ordered", a, b)
			}
		}
		x, okA := parseVersion(a)
		y, okB := parseVersion(b)
		if okA && okB && x.compare(y) != -y.compare(x) {
			t.Errorf("versions %q and %q: %d and %d", a, b, x.compare(y), y.compare(x))
		}
		ask(model.OpVersion, b)
		ask(model.OpMatches, b)
	})
}
