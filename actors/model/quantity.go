package model

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mistake is what is wrong with one written value, and what would be right. It is the error of all parsers here.
type Mistake struct {
	Problem, Hint string
}

// Error is the problem, followed by the hint.
func (m *Mistake) Error() string {
	if m.Hint == "" {
		return m.Problem
	}
	return m.Problem + "; " + m.Hint
}

// MaxQuantityLen bounds the text of a quantity or a duration.
const MaxQuantityLen = 64

// unit is one suffix of a quantity and what it multiplies by.
type unit struct {
	suffix string
	factor int64
}

// scale is the notation of one kind of quantity: its units, the greatest first, and an example for hints.
type scale struct {
	units    []unit
	example  string
	smallest string
}

func cpuScale() scale {
	return scale{units: []unit{{"", 1000}, {"m", 1}}, example: `write cores or milli-cores, such as "2" or "250m"`, smallest: "1m"}
}

func bytesScale() scale {
	return scale{units: []unit{
		{"Pi", 1 << 50}, {"P", 1e15}, {"Ti", 1 << 40}, {"T", 1e12}, {"Gi", 1 << 30}, {"G", 1e9},
		{"Mi", 1 << 20}, {"M", 1e6}, {"Ki", 1 << 10}, {"k", 1000}, {"K", 1000}, {"", 1},
	}, example: `write bytes, such as "64Mi", "1.5Gi" or "500M"`, smallest: "1 byte"}
}

func rateScale() scale {
	return scale{units: []unit{
		{"P", 1e15}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1000}, {"K", 1000}, {"", 1},
	}, example: `write bits per second, such as "10M" or "1G"`, smallest: "1 bit per second"}
}

// ParseCPU reads cores ("2", "0.5") or milli-cores ("250m") as milli-cores. It fails with a *Mistake.
func ParseCPU(s string) (int64, error) { return cpuScale().parse(s) }

// ParseBytes reads bytes ("64Mi", "1.5Gi", "500M", "4096"). It fails with a *Mistake.
func ParseBytes(s string) (int64, error) { return bytesScale().parse(s) }

// ParseRate reads bits per second ("10M", "2.5G"). It fails with a *Mistake.
func ParseRate(s string) (int64, error) { return rateScale().parse(s) }

// FormatCPU is the shortest form that ParseCPU reads back.
func FormatCPU(milli int64) string { return cpuScale().format(milli) }

// FormatBytes is the shortest exact form that ParseBytes reads back.
func FormatBytes(n int64) string { return bytesScale().format(n) }

// FormatRate is the shortest exact form that ParseRate reads back.
func FormatRate(bps int64) string { return rateScale().format(bps) }

// ParseAmount reads the amount of one dimension of Resources as users write it. It fails with a *Mistake.
func ParseAmount(dimension int, s string) (int64, error) {
	switch dimension {
	case CPU:
		return ParseCPU(s)
	case Net:
		return ParseRate(s)
	}
	return ParseBytes(s)
}

// FormatAmount is the amount of one dimension of Resources as users write it.
func FormatAmount(dimension int, n int64) string {
	switch dimension {
	case CPU:
		return FormatCPU(n)
	case Net:
		return FormatRate(n)
	}
	return FormatBytes(n)
}

// formatUnit is an amount of a resource, custom unit or kind of device as users write it.
func formatUnit(a Amount) string {
	if i := slices.Index(ResourceNames[:], a.Name); i >= 0 {
		return FormatAmount(i, a.N)
	}
	return strconv.FormatInt(a.N, 10)
}

// parse reads decimal digits, perhaps with a fraction, and a unit. Only exact amounts pass: nothing is rounded, and
// there is no floating point on the way, so no NaN, no infinity and no 2^63 that wraps around.
func (sc scale) parse(s string) (int64, error) {
	if len(s) > MaxQuantityLen {
		return 0, &Mistake{fmt.Sprintf("longer than %d characters", MaxQuantityLen), sc.example}
	}
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(s)
	}
	number, suffix := s[:end], s[end:]
	factor, known := sc.factor(suffix)
	whole, fraction, dotted := strings.Cut(number, ".")
	if !known || whole == "" || dotted && fraction == "" || strings.Contains(fraction, ".") {
		return 0, sc.mistake(s, number, suffix)
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > MaxAmount/factor {
		return 0, sc.tooLarge(s)
	}
	part, ok := fractionOf(fraction, factor)
	if !ok {
		return 0, &Mistake{fmt.Sprintf("%q is not a whole number of the smallest unit, %s", s, sc.smallest), sc.example}
	}
	if n = n*factor + part; n > MaxAmount {
		return 0, sc.tooLarge(s)
	}
	return n, nil
}

// fractionOf is 0.digits of factor if that is an integer.
func fractionOf(digits string, factor int64) (int64, bool) {
	digits = strings.TrimRight(digits, "0")
	if digits == "" {
		return 0, true
	}
	if len(digits) > 18 { // 10^18 is the greatest power of ten in an int64
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, false
	}
	power := uint64(1)
	for range digits {
		power *= 10
	}
	high, low := bits.Mul64(n, uint64(factor))
	quotient, rest := bits.Div64(high, low, power) // n < power, so the quotient is below factor
	return int64(quotient), rest == 0
}

func (sc scale) factor(suffix string) (int64, bool) {
	for _, u := range sc.units {
		if u.suffix == suffix {
			return u.factor, true
		}
	}
	return 0, false
}

func (sc scale) tooLarge(s string) error {
	return &Mistake{fmt.Sprintf("%q is too much", s), "at most " + sc.format(MaxAmount)}
}

// mistake says why s is not a quantity, and offers the unit that was probably meant.
func (sc scale) mistake(s, number, suffix string) error {
	switch {
	case s == "":
		return &Mistake{"empty", sc.example}
	case s[0] == '-':
		return &Mistake{Quote(s) + " is negative", sc.example}
	case suffix == "" || number == "" || strings.Count(number, ".") > 1 || number[0] == '.' || strings.HasSuffix(number, "."):
		return &Mistake{Quote(s) + " is not a quantity", sc.example}
	}
	bare := strings.TrimSuffix(strings.TrimSpace(suffix), "B")
	for _, u := range sc.units {
		if u.suffix != "" && strings.EqualFold(u.suffix, bare) {
			return &Mistake{"unknown unit " + Quote(suffix), fmt.Sprintf("did you mean %q?", number+u.suffix)}
		}
	}
	return &Mistake{"unknown unit " + Quote(suffix), sc.example}
}

// format uses, of the units that divide n, the one that makes the shortest text; the greatest if there are several.
func (sc scale) format(n int64) string {
	if n == 0 {
		return "0"
	}
	best := ""
	for _, u := range sc.units {
		if n%u.factor == 0 {
			if text := strconv.FormatInt(n/u.factor, 10) + u.suffix; best == "" || len(text) < len(best) {
				best = text
			}
		}
	}
	return best
}

// Limits of durations. The lower one is the resolution of the agent protocol: a shorter time would become none.
const (
	MinDuration = time.Millisecond
	MaxDuration = 366 * 24 * time.Hour
)

// ParseDuration reads a time span such as "30s", "1h30m" or "250ms": at least MinDuration, at most MaxDuration and a
// whole number of milliseconds. It fails with a *Mistake.
func ParseDuration(s string) (time.Duration, error) {
	const example = `write a duration, such as "30s" or "1h30m"`
	if len(s) > MaxQuantityLen {
		return 0, &Mistake{fmt.Sprintf("longer than %d characters", MaxQuantityLen), example}
	}
	d, err := time.ParseDuration(s)
	switch {
	case s == "":
		return 0, &Mistake{"empty", example}
	case err != nil:
		return 0, &Mistake{fmt.Sprintf("%s is not a duration", Quote(s)), durationHint(s, example)}
	case d < 0 || s[0] == '-':
		return 0, &Mistake{fmt.Sprintf("%q is negative", s), example}
	case d < MinDuration:
		return 0, &Mistake{fmt.Sprintf("%q is too short", s), "at least 1ms; leave the field out for its default"}
	case d > MaxDuration:
		return 0, &Mistake{fmt.Sprintf("%q is too long", s), "at most " + FormatDuration(MaxDuration)}
	case d%time.Millisecond != 0:
		return 0, &Mistake{fmt.Sprintf("%q is finer than a millisecond", s), "a whole number of milliseconds"}
	}
	return d, nil
}

// durationHint recognises the two common slips: no unit, and days.
func durationHint(s, example string) string {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return fmt.Sprintf("did you mean \"%ds\"?", n)
	}
	if n, err := strconv.ParseUint(strings.TrimSuffix(s, "d"), 10, 16); err == nil {
		return fmt.Sprintf("did you mean \"%dh\"?", n*24)
	}
	return example
}

// FormatDuration is d without units that are zero: "1m" and not "1m0s". ParseDuration reads it back.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Quote puts text of unknown origin into quotes for messages and logs: escaped, and cut to a length that is bearable.
func Quote(s string) string {
	const most = 64
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:most]) + "…"
}

// Nearest is the choice that word was probably meant to be, or "" if none is near.
func Nearest(word string, choices []string) string {
	const longest = 64 // beyond it nobody mistyped, and the distance is quadratic
	if len(word) > longest {
		return ""
	}
	word = strings.ToLower(word)
	best, least := "", 1+max(1, len(word)/3)
	for _, c := range choices {
		if len(c) <= longest {
			if d := distance(word, strings.ToLower(c)); d < least {
				best, least = c, d
			}
		}
	}
	if best == "" && len(word) >= 2 { // "mem" for "memory"
		i := slices.IndexFunc(choices, func(c string) bool { return strings.HasPrefix(strings.ToLower(c), word) })
		if i >= 0 {
			best = choices[i]
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
