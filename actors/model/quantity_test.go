package model

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseQuantities(t *testing.T) {
	tests := []struct {
		parse func(string) (int64, error)
		in    string
		want  int64
		wrong string // part of the error, if one is wanted
	}{
		{ParseCPU, "2", 2000, ""},
		{ParseCPU, "250m", 250, ""},
		{ParseCPU, "0.25", 250, ""},
		{ParseCPU, "1.500000000000000000000000", 1500, ""},
		{ParseCPU, "0", 0, ""},
		{ParseCPU, "007", 7000, ""},
		{ParseCPU, "1.0005", 0, "not a whole number"},
		{ParseCPU, "0.5m", 0, "not a whole number"},
		{ParseCPU, "", 0, "empty"},
		{ParseCPU, "-1", 0, "negative"},
		{ParseCPU, "+1", 0, "not a quantity"},
		{ParseCPU, "NaN", 0, "not a quantity"},
		{ParseCPU, "Inf", 0, "not a quantity"},
		{ParseCPU, "1e3", 0, "unknown unit"},
		{ParseCPU, "2M", 0, `did you mean "2m"?`},
		{ParseCPU, ".5", 0, "not a quantity"},
		{ParseCPU, "5.", 0, "not a quantity"},
		{ParseCPU, "1.2.3", 0, "not a quantity"},
		{ParseCPU, "1.2.3m", 0, "not a quantity"},
		{ParseCPU, ".", 0, "not a quantity"},
		{ParseCPU, "9223372036854775807", 0, "too much"},
		{ParseCPU, "9223372036854775808", 0, "too much"}, // MaxInt64+1
		{ParseCPU, "1125899906842624m", MaxAmount, ""},
		{ParseCPU, "1125899906842625m", 0, "too much"},
		{ParseCPU, "99999999999999999999999999", 0, "too much"},
		{ParseCPU, strings.Repeat("9", 65), 0, "longer than"},
		{ParseCPU, "1\x00m", 0, "unknown unit"},
		{ParseCPU, "1\xff", 0, "unknown unit"},
		{ParseBytes, "64Mi", 64 << 20, ""},
		{ParseBytes, "1.5Gi", 3 << 29, ""},
		{ParseBytes, "500M", 500_000_000, ""},
		{ParseBytes, "4096", 4096, ""},
		{ParseBytes, "2k", 2000, ""},
		{ParseBytes, "2K", 2000, ""},
		{ParseBytes, "0.000000000000000888Pi", 0, "not a whole number"},
		{ParseBytes, "0.0009765625Ki", 1, ""},
		{ParseBytes, "1Pi", MaxAmount, ""},
		{ParseBytes, "1.0000000000000000001Pi", 0, "not a whole number"},
		{ParseBytes, "1.125Pi", 0, "too much"},
		{ParseBytes, "2Pi", 0, `at most 1Pi`},
		{ParseBytes, "64mi", 0, `did you mean "64Mi"?`},
		{ParseBytes, "64MiB", 0, `did you mean "64Mi"?`},
		{ParseBytes, "64 Mi", 0, `did you mean "64Mi"?`},
		{ParseBytes, "64 parsecs", 0, "unknown unit"},
		{ParseBytes, "1.5", 0, "not a whole number"},
		{ParseRate, "10M", 10_000_000, ""},
		{ParseRate, "2.5G", 2_500_000_000, ""},
		{ParseRate, "10Mi", 0, "unknown unit"},
	}
	for _, tt := range tests {
		got, err := tt.parse(tt.in)
		var m *Mistake
		switch {
		case tt.wrong == "" && (err != nil || got != tt.want):
			t.Errorf("%q = %d, %v; want %d", tt.in, got, err, tt.want)
		case tt.wrong != "" && !errors.As(err, &m):
			t.Errorf("%q = %d, %v; want a Mistake", tt.in, got, err)
		case tt.wrong != "" && !strings.Contains(err.Error(), tt.wrong):
			t.Errorf("%q: %q does not say %q", tt.in, err, tt.wrong)
		}
	}
}

func TestFormatQuantities(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{FormatCPU(2000), "2"}, {FormatCPU(250), "250m"}, {FormatCPU(0), "0"}, {FormatCPU(1500), "1500m"},
		{FormatBytes(64 << 20), "64Mi"}, {FormatBytes(3 << 29), "1536Mi"}, {FormatBytes(500_000_000), "500M"},
		{FormatBytes(1001), "1001"}, {FormatBytes(MaxAmount), "1Pi"}, {FormatRate(10_000_000), "10M"},
		{FormatAmount(CPU, 100), "100m"}, {FormatAmount(Memory, 1<<30), "1Gi"}, {FormatAmount(Net, 1000), "1k"},
		{FormatCPU(-250), "-250m"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for _, tt := range []struct {
		in    string
		want  time.Duration
		wrong string
	}{
		{"30s", 30 * time.Second, ""},
		{"1h30m", 90 * time.Minute, ""},
		{"1.5s", 1500 * time.Millisecond, ""},
		{"1ms", time.Millisecond, ""},
		{"8784h", MaxDuration, ""},
		{"8785h", 0, "too long"},
		{"2562047h47m16.854775807s", 0, "too long"}, // 292 years
		{"9999999h", 0, "not a duration"},
		{"-1s", 0, "negative"},
		{"-0s", 0, "negative"},
		{"0s", 0, "too short"},
		{"1us", 0, "too short"},
		{"1.0005s", 0, "finer"},
		{"30", 0, `did you mean "30s"?`},
		{"2d", 0, `did you mean "48h"?`},
		{"", 0, "empty"},
		{"NaNs", 0, "not a duration"},
		{"soon", 0, "not a duration"},
		{strings.Repeat("1s", 40), 0, "longer than"},
	} {
		got, err := ParseDuration(tt.in)
		switch {
		case tt.wrong == "" && (err != nil || got != tt.want):
			t.Errorf("%q = %v, %v; want %v", tt.in, got, err, tt.want)
		case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)):
			t.Errorf("%q: %v does not say %q", tt.in, err, tt.wrong)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 0: "0s", 10 * time.Second: "10s",
		time.Hour + time.Second: "1h0m1s", time.Hour + 10*time.Minute: "1h10m", MaxDuration: "8784h",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	choices := []string{"instances", "memory", "cpu", "command", "constraints"}
	for word, want := range map[string]string{
		"instance": "instances", "mem": "memory", "cmd": "", "comand": "command", "CPU": "cpu", "pcu": "cpu",
		"": "", "zebra": "", "constraint": "constraints", strings.Repeat("x", 100): "",
	} {
		if got := Nearest(word, choices); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestQuoteEscapesAndCuts(t *testing.T) {
	if got := Quote("a\x1b[2J\n"); got != `"a\x1b[2J\n"` {
		t.Errorf("got %s", got)
	}
	if got := Quote(strings.Repeat("x", 1000)); len(got) > 80 {
		t.Errorf("%d bytes", len(got))
	}
}

// What a parser accepts is in bounds, and its canonical form reads back as the same amount.
func FuzzQuantities(f *testing.F) {
	for _, s := range []string{"2", "250m", "1.5Gi", "9223372036854775808", "-1", "NaN", "1e308", "0.0009765625Ki", "30s", "292y", "\xff"} {
		f.Add(s, int64(len(s)))
	}
	f.Add("", int64(math.MaxInt64))
	kinds := []struct {
		parse  func(string) (int64, error)
		format func(int64) string
	}{{ParseCPU, FormatCPU}, {ParseBytes, FormatBytes}, {ParseRate, FormatRate}}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		for _, k := range kinds {
			if got, err := k.parse(s); err == nil {
				back, err := k.parse(k.format(got))
				if got < 0 || got > MaxAmount || err != nil || back != got {
					t.Errorf("%q = %d, back %d, %v", s, got, back, err)
				}
			}
			if n = n & (MaxAmount - 1); n >= 0 {
				if back, err := k.parse(k.format(n)); err != nil || back != n {
					t.Errorf("%d is written %q and read %d, %v", n, k.format(n), back, err)
				}
			}
		}
		if d, err := ParseDuration(s); err == nil {
			back, err := ParseDuration(FormatDuration(d))
			if d < MinDuration || d > MaxDuration || err != nil || back != d {
				t.Errorf("%q = %v, back %v, %v", s, d, back, err)
			}
		}
		_ = Quote(s)
		_ = Nearest(s, []string{"instances", "cpu"})
	})
}

func BenchmarkParseBytes(b *testing.B) {
	for b.Loop() {
		if _, err := ParseBytes("1.5Gi"); err != nil {
			b.Fatal(err)
		}
	}
}
