package view

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Bytes writes an amount of bytes shortly: "512 B", "1.2 KiB", "64 MiB".
func Bytes[T int64 | uint64](n T) string {
	if n < 1024 {
		return strconv.FormatInt(int64(n), 10) + " B"
	}
	f, unit := float64(n), 0
	for f >= 1023.95 && unit < 6 {
		f /= 1024
		unit++
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + "KMGTPE"[unit-1:unit] + "iB"
}

// CPU writes milli-cores as cores: "0.25", "2".
func CPU(milli int64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(float64(milli)/1000, 'f', 3, 64), "0"), ".")
}

// Count writes a number with its thousands apart: "1,000,000".
func Count[T int | int64 | uint64](n T) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Span writes a duration as people say it: "40ms", "1.5s", "12s", "3m05s", "2h10m", "4d3h".
func Span(d time.Duration) string {
	switch d = max(d, 0); {
	case d > 0 && d < time.Second:
		return strconv.FormatInt(max(1, d.Milliseconds()), 10) + "ms"
	case d < 9950*time.Millisecond:
		return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Rate writes a number per second: "0.3/s", "12/s", "4,100/s".
func Rate(perSecond float64) string {
	if perSecond < 10 {
		return strings.TrimSuffix(strconv.FormatFloat(perSecond, 'f', 1, 64), ".0") + "/s"
	}
	return Count(int64(math.Min(math.Round(perSecond), 1e15))) + "/s"
}

// age tells how long before now a Unix time in milliseconds was; empty if it is unknown.
func (p *Page) age(unixMS int64) string {
	if unixMS == 0 {
		return ""
	}
	return Span(p.Now.Sub(time.UnixMilli(unixMS)))
}

// moment writes a Unix time in milliseconds and its age; empty if it is unknown.
func (p *Page) moment(unixMS int64) string {
	if unixMS == 0 {
		return ""
	}
	return time.UnixMilli(unixMS).In(p.Now.Location()).Format(time.RFC3339) + " (" + p.age(unixMS) + " ago)"
}

// labels writes a map in the order of its keys: "a=1 b=2".
func labels(m map[string]string) string {
	pairs := make([]string, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, k+"="+v)
	}
	sort.Strings(pairs)
	return strings.Join(pairs, " ")
}

// some writes a number, or nothing for zero: a column of zeros says nothing.
func some(n uint64) string {
	if n == 0 {
		return ""
	}
	return Count(n)
}

// times writes how often something happened, or nothing for never.
func times(n uint64) string {
	if n == 0 {
		return ""
	}
	return plural(n, "time")
}

func plural(n uint64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + one + "s"
}
