package model

import (
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestB1_ConstraintsOverAttributes(t *testing.T) {
	one := func(attribute string, op Op, values ...string) Constraint {
		return Constraint{Attribute: attribute, Op: op, Values: values}
	}
	for _, tt := range []struct {
		c         Constraint
		yes, no   string // values that meet it and do not, split by "|"
		unsetHold bool
	}{
		{one("os", OpEqual, "linux"), "linux", "Linux||darwin", false},
		{one("os", OpNotEqual, "linux"), "darwin|", "linux", true},
		{one("os", OpIn, "a", "b"), "a|b", "c|", false},
		{one("os", OpExists), "|x", "", false},
		{one("n", OpLess, "8"), "7|-9|7.999|07", "8|8.0|10|x||8m", false},
		{one("n", OpLessEqual, "8"), "8|08.00|+8", "8.01|9|- 1", false},
		{one("n", OpGreater, "-1.5"), "-1.4|0|-0|1", "-1.5|-2|-1.51|1e3", false},
		{one("n", OpGreaterEqual, "0.1"), "0.1|0.10|0.15|99999999999999999999999", "0.09|.5|5.|-0.1", false},
		{one("v", OpVersion, ">=1.20, <2"), "1.20|1.20.0|v1.99.5|1.20.0-rc1|01.020", "1.19.9|2|2.0|1.9|x|", false},
		{one("v", OpVersion, ">=5.15"), "5.15.0-91-generic|6|5.15+b", "5.14.99|5.4", false},
		{one("v", OpVersion, "1.2"), "1.2|1.2.0", "1.2.1|1.20", false},
		{one("v", OpVersion, "!=1.2, >1"), "1.3", "1.2|1|1.0", false},
		{one("r", OpMatches, "rack-[0-9]+"), "rack-1|rack-22", "xrack-1|rack-|rack-1x", false},
		{one("r", OpMatches, "a|b"), "a|b", "ab|xa|bx", false},
	} {
		p, err := tt.c.Predicate()
		if err != nil {
			t.Errorf("%s: %v", tt.c, err)
			continue
		}
		for _, v := range strings.Split(tt.yes, "|") {
			if !p.Holds(v, true) {
				t.Errorf("%s does not hold for %q", tt.c, v)
			}
		}
		for _, v := range strings.Split(tt.no, "|") {
			if tt.no != "" && p.Holds(v, true) {
				t.Errorf("%s holds for %q", tt.c, v)
			}
		}
		if p.Holds("", false) != tt.unsetHold {
			t.Errorf("%s of a node without the attribute: %v", tt.c, !tt.unsetHold)
		}
	}
	for _, c := range []Constraint{one("n", OpLess, "8Gi"), one("n", OpGreater), one("v", OpVersion, ">=x"), one("v", OpVersion, ""),
		one("v", OpVersion, "~>1"), one("v", OpVersion, ">=1,"), one("r", OpMatches, "a("), one("r", Op(77), "a")} {
		if _, err := c.Predicate(); err == nil {
			t.Errorf("%s is accepted", c)
		}
	}
	if (Predicate{op: OpVersion}).Holds("1", true) || (Predicate{op: OpMatches}).Holds("", true) {
		t.Error("an empty predicate holds")
	}
}

// Numbers compare as exact rationals do.
func TestB1_NumbersCompareExactly(t *testing.T) {
	text := rapid.StringMatching(`[-+]?[0-9]{1,25}(\.[0-9]{1,25})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		x, wrongX := parseDecimal(a)
		y, wrongY := parseDecimal(b)
		p, okP := new(big.Rat).SetString(a)
		q, okQ := new(big.Rat).SetString(b)
		if wrongX != nil || wrongY != nil || !okP || !okQ {
			t.Fatalf("%s, %s: %v %v %v %v", a, b, wrongX, wrongY, okP, okQ)
		}
		if got := x.compare(y); got < 0 != (p.Cmp(q) < 0) || got == 0 != (p.Cmp(q) == 0) {
			t.Fatalf("%s against %s: %d, want %d", a, b, got, p.Cmp(q))
		}
	})
}

// Versions compare as lists of numbers do, with zeros at the end of the shorter one.
func TestB1_VersionsCompareByNumber(t *testing.T) {
	numbers := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 5)
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		want := 0
		for i := range 5 {
			x, y := 0, 0
			if i < len(a) {
				x = a[i]
			}
			if i < len(b) {
				y = b[i]
			}
			if want == 0 && x != y {
				want = x - y
			}
		}
		va, _ := parseVersion(dotted(a))
		vb, _ := parseVersion("v" + dotted(b) + "-7")
		if got := va.compare(vb); got < 0 != (want < 0) || got == 0 != (want == 0) {
			t.Fatalf("%v against %v: %d, want %d", a, b, got, want)
		}
	})
}

func dotted(numbers []int) string {
	var parts []string
	for _, n := range numbers {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ".")
}

// Whatever a constraint says, it is refused or can be asked of any value.
func FuzzPredicate(f *testing.F) {
	for op := range len(opNames()) {
		f.Add(uint8(op), ">=1.20, <2", "1.20.3-rc1")
		f.Add(uint8(op), "(a|b)+c{2,9}", "abcc")
		f.Add(uint8(op), "-0.50", "+00.5")
	}
	f.Fuzz(func(t *testing.T, op uint8, value, attribute string) {
		c := Constraint{Attribute: "a", Op: Op(op), Values: []string{value}}
		if len(value) > MaxValueLen || len(attribute) > MaxValueLen {
			return // what agents and specs cannot say
		}
		p, err := c.Predicate()
		if err != nil {
			return
		}
		held := p.Holds(attribute, true)
		if c.Op == OpEqual && held != (value == attribute) || c.Op == OpNotEqual && held != (value != attribute) {
			t.Errorf("%s of %q: %v", c, attribute, held)
		}
		if p.Holds(attribute, false) != (c.Op == OpNotEqual) {
			t.Errorf("%s of a node without the attribute", c)
		}
	})
}
