package model

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// Predicate is a constraint made ready to be asked of many nodes: regular expressions are compiled and numbers read
// once. It is frozen.
type Predicate struct {
	op     Op
	values []string
	number decimal
	bounds []versionBound
	match  *regexp.Regexp
}

// Predicate makes the constraint ready. It fails with a *Mistake if the value does not suit the comparison.
func (c Constraint) Predicate() (Predicate, error) {
	p := Predicate{op: c.Op, values: c.Values}
	value := ""
	if len(c.Values) > 0 {
		value = c.Values[0]
	}
	var wrong *Mistake
	switch c.Op {
	case OpEqual, OpNotEqual, OpIn, OpExists:
	case OpLess, OpLessEqual, OpGreater, OpGreaterEqual:
		p.number, wrong = parseDecimal(value)
	case OpVersion:
		p.bounds, wrong = parseBounds(value)
	case OpMatches:
		re, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil {
			wrong = &Mistake{"is no regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "),
				`write RE2 for the whole value, such as "rack-[0-9]+"`}
		}
		p.match = re
	default:
		wrong = &Mistake{"unknown comparison " + c.Op.String(), "use one that this version knows"}
	}
	if wrong != nil {
		return Predicate{}, wrong
	}
	return p, nil
}

// Holds reports whether a node meets it: value is the node's attribute, has is false if it has none. Without the
// attribute "!=" holds and nothing else does; a value that is no number, or no version, meets no comparison of these.
func (p Predicate) Holds(value string, has bool) bool {
	switch p.op {
	case OpNotEqual:
		return !has || !slices.Contains(p.values, value)
	case OpExists:
		return has
	}
	if !has {
		return false
	}
	switch p.op {
	case OpEqual, OpIn:
		return slices.Contains(p.values, value)
	case OpLess, OpLessEqual, OpGreater, OpGreaterEqual:
		n, wrong := parseDecimal(value)
		return wrong == nil && p.op.holds(n.compare(p.number))
	case OpVersion:
		v, wrong := parseVersion(value)
		if wrong != nil {
			return false
		}
		for _, b := range p.bounds {
			if !b.op.holds(v.compare(b.version)) {
				return false
			}
		}
		return len(p.bounds) > 0
	case OpMatches:
		return p.match != nil && p.match.MatchString(value)
	}
	return false
}

// holds reports whether a comparison that gave order (negative, zero, positive) meets o.
func (o Op) holds(order int) bool {
	switch o {
	case OpEqual:
		return order == 0
	case OpNotEqual:
		return order != 0
	case OpLess:
		return order < 0
	case OpLessEqual:
		return order <= 0
	case OpGreater:
		return order > 0
	case OpGreaterEqual:
		return order >= 0
	}
	return false
}

// decimal is a number of any length: digits without leading zeros before the point, without trailing ones after it.
type decimal struct {
	negative        bool
	whole, fraction string
}

// parseDecimal reads "12", "-3.50", "+0.1": exactly, whatever its length.
func parseDecimal(s string) (decimal, *Mistake) {
	d := decimal{negative: strings.HasPrefix(s, "-")}
	digits := strings.TrimPrefix(s, "-")
	if !d.negative {
		digits = strings.TrimPrefix(s, "+")
	}
	whole, fraction, dotted := strings.Cut(digits, ".")
	if !allDigits(whole) || dotted && !allDigits(fraction) {
		return decimal{}, &Mistake{Quote(s) + " is not a number", `write a decimal number without a unit, such as "8" or "2.5"`}
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if d.whole == "" && d.fraction == "" {
		d.negative = false
	}
	return d, nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func (d decimal) compare(o decimal) int {
	if d.negative != o.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	// Trimmed fractions compare as text: 0.15 before 0.2, and 0.1 before 0.15.
	order := cmp.Or(compareDigits(d.whole, o.whole), strings.Compare(d.fraction, o.fraction))
	if d.negative {
		return -order
	}
	return order
}

// compareDigits compares whole numbers without leading zeros.
func compareDigits(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// version is the dotted numbers of a version, without leading zeros in each.
type version []string

// versionPartsMax bounds the numbers of one version.
const versionPartsMax = 16

// parseVersion reads dotted numbers, such as "1.20", "v2" or "5.15.0-91-generic". What follows a "-", "+" or "~" names
// the build and does not count.
func parseVersion(s string) (version, *Mistake) {
	text := strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(text, "-+~"); i >= 0 {
		text = text[:i]
	}
	parts := strings.Split(text, ".")
	ok := len(parts) <= versionPartsMax
	for i, p := range parts {
		ok = ok && allDigits(p)
		parts[i] = strings.TrimLeft(p, "0")
	}
	if !ok {
		return nil, &Mistake{Quote(s) + " is not a version", `write dotted numbers, such as "1.20" or "v2.3.1"`}
	}
	return parts, nil
}

// compare takes numbers that are missing at the end for zero: 1.2 and 1.2.0 are equal.
func (v version) compare(o version) int {
	for i := range max(len(v), len(o)) {
		a, b := "", ""
		if i < len(v) {
			a = v[i]
		}
		if i < len(o) {
			b = o[i]
		}
		if order := compareDigits(a, b); order != 0 {
			return order
		}
	}
	return 0
}

type versionBound struct {
	op      Op
	version version
}

// boundsMax bounds the list of a version constraint.
const boundsMax = 16

// parseBounds reads a list such as ">=1.20, <2"; a version alone means "=".
func parseBounds(s string) ([]versionBound, *Mistake) {
	const hint = `write bounds, such as ">=1.20, <2"`
	parts := strings.Split(s, ",")
	if len(parts) > boundsMax {
		return nil, &Mistake{"has too many bounds", "at most 16"}
	}
	bounds := make([]versionBound, 0, len(parts))
	for _, part := range parts {
		text := strings.TrimSpace(part)
		end := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("<>=!", r) })
		if end < 0 {
			end = len(text)
		}
		op, err := ParseOp(text[:end])
		v, wrong := parseVersion(strings.TrimSpace(text[end:]))
		if err != nil || wrong != nil {
			return nil, &Mistake{Quote(text) + " is no bound of versions", hint}
		}
		bounds = append(bounds, versionBound{op, v})
	}
	return bounds, nil
}
