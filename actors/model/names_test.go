package model

import (
	"regexp"
	"strings"
	"testing"
)

func TestValidName(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "job-1_x": true, "0": true, strings.Repeat("a", 63): true,
		"": false, strings.Repeat("a", 64): false, strings.Repeat("a", 5000): false,
		"-a": false, "_a": false, "A": false, "a.b": false, "a b": false, "*": false, ">": false, "$JS": false,
		"_INBOX": false, "a\x00": false, "a\r\n": false, "é": false, "a/b": false, "\xff": false,
	} {
		if got := ValidName(s); got != want {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "_a", "job-1", "a\n", "rack.row/1", "\xff", strings.Repeat("a", 64)} {
		f.Add(s)
	}
	name, key := regexp.MustCompile(`\A[a-z0-9][a-z0-9_-]{0,62}\z`), regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_./-]{0,62}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if ValidName(s) != name.MatchString(s) || ValidName(s) != (checkName(s) == nil) {
			t.Errorf("%q: ValidName %v", s, ValidName(s))
		}
		if ValidKey(s) != key.MatchString(s) {
			t.Errorf("%q: ValidKey %v", s, ValidKey(s))
		}
	})
}

func TestFieldPaths(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{FieldName(FieldIndex("stages", 3), "resources"), "stages[3].resources"},
		{FieldName("", "name"), "name"},
		{FieldKey("env", "HOME"), "env.HOME"},
		{FieldKey("env", "a.b"), `env["a.b"]`},
		{FieldKey("env", ""), `env[""]`},
		{FieldKey("env", "x\n"), `env["x\n"]`},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// TestB5_FourBandsHighToLow shows the order of work: band, then rank, smaller first.
func TestB5_FourBandsHighToLow(t *testing.T) {
	var order []Priority
	for _, s := range []string{"monitoring", "production", "batch", "free"} {
		b, err := ParseBand(s)
		if err != nil || b.String() != s {
			t.Fatalf("%s: %v, %v", s, b, err)
		}
		order = append(order, Priority{b, -5}, Priority{b, 0}, Priority{b, 7})
	}
	for i := range order {
		for j := range order {
			if got := order[i].Compare(order[j]); got < 0 != (i < j) || got == 0 != (i == j) {
				t.Errorf("%v against %v: %d", order[i], order[j], got)
			}
		}
	}
	if _, err := ParseBand("prod"); err == nil || !strings.Contains(err.Error(), `did you mean "production"?`) {
		t.Errorf("prod: %v", err)
	}
	if got := Band(9).String(); got != "band(9)" {
		t.Errorf("got %q", got)
	}
}

func TestConstraintString(t *testing.T) {
	for _, tt := range []struct {
		c    Constraint
		want string
	}{
		{Constraint{Attribute: "os", Op: OpEqual, Values: []string{"linux"}}, "os = linux"},
		{Constraint{Attribute: "os", Op: OpNotEqual, Values: []string{"linux"}}, "os != linux"},
		{Constraint{Attribute: "rack", Op: OpIn, Values: []string{"r1", "r2"}}, "rack in (r1, r2)"},
		{Constraint{Attribute: "gpu", Op: OpExists}, "gpu exists"},
	} {
		if got := tt.c.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
