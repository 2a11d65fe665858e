//go:build linux || darwin

package shim

import "testing"

func TestF9_ProgressForms(t *testing.T) {
	for line, want := range map[string]int{
		"0.42": 420, "1": 1000, "0": 0, "3 4": 750, "  7\t10 ": 700, "5 4": 1000, "1e-1": 100,
		"": -1, "x": -1, "1 0": -1, "1 -2": -1, "-1": -1, "NaN": -1, "1 2 3": -1, "a b": -1, "1 x": -1,
	} {
		milli, ok := parseProgress([]byte(line))
		if ok != (want >= 0) || ok && int(milli) != want {
			t.Errorf("%q is %d, %v; want %d", line, milli, ok, want)
		}
	}
}
