package sim

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestX1_EveryInvariantIsShown: each has a check or a test, each test that is named is there, each check has a name of its
// own, and is part of an invariant unless it is about one capability alone.
func TestX1_EveryInvariantIsShown(t *testing.T) {
	there := map[string]bool{}
	name := regexp.MustCompile(`(?m)^func (Test\w+)`)
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		if text, err := os.ReadFile(path); err == nil && len(path) > 8 && path[len(path)-8:] == "_test.go" {
			for _, m := range name.FindAllSubmatch(text, -1) {
				there[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	used := map[Check]bool{RulesHold: true} // B16 alone
	for i, v := range Invariants() {
		if v.Number != i+1 || v.Text == "" || len(v.Checks)+len(v.Tests) == 0 {
			t.Errorf("invariant %d is shown by nothing, or out of order", v.Number)
		}
		for _, c := range v.Checks {
			used[c] = true
		}
		for _, test := range v.Tests {
			if !there[test] {
				t.Errorf("invariant %d is to be shown by %s, which is not there", v.Number, test)
			}
		}
	}
	names := map[string]Check{}
	for c := range Checks {
		if other, twice := names[c.String()]; twice || c.String() == "" {
			t.Errorf("checks %d and %d are both called %q", other, c, c)
		}
		names[c.String()] = c
		if !used[c] {
			t.Errorf("%q is part of no invariant", c)
		}
	}
}
