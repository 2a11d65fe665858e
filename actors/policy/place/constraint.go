package place

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
)

// asks compiles a constraint into a question about the value of its attribute. A node that lacks the attribute meets "!="
// alone. What cannot be compiled holds nowhere: model.Compile refuses it before it comes here.
func asks(c model.Constraint) func(value string, has bool) bool {
	values := slices.Clone(c.Values)
	switch c.Op {
	case model.OpEqual, model.OpIn:
		return func(v string, has bool) bool { return has && slices.Contains(values, v) }
	case model.OpNotEqual:
		return func(v string, has bool) bool { return !has || !slices.Contains(values, v) }
	case model.OpExists:
		return func(_ string, has bool) bool { return has }
	case model.OpLess, model.OpLessEqual, model.OpGreater, model.OpGreaterEqual:
		return asksNumber(c)
	case model.OpVersion:
		return asksVersion(values)
	case model.OpMatches:
		return asksPattern(values)
	}
	return never
}

func never(string, bool) bool { return false }

// asksNumber compares with every value of the constraint; most have one.
func asksNumber(c model.Constraint) func(string, bool) bool {
	var bounds []decimal
	for _, v := range c.Values {
		d, ok := parseDecimal(v)
		if !ok {
			return never
		}
		bounds = append(bounds, d)
	}
	return func(v string, has bool) bool {
		d, ok := parseDecimal(v)
		if !has || !ok {
			return false
		}
		for _, b := range bounds {
			if !meets(c.Op, d.compare(b)) {
				return false
			}
		}
		return len(bounds) > 0
	}
}

// meets reports whether a comparison came out as an operator wants it.
func meets(op model.Op, order int) bool {
	switch op {
	case model.OpLess:
		return order < 0
	case model.OpLessEqual:
		return order <= 0
	case model.OpGreater:
		return order > 0
	case model.OpGreaterEqual:
		return order >= 0
	case model.OpNotEqual:
		return order != 0
	}
	return order == 0
}

// asksPattern wants the whole value to match one of the regular expressions.
func asksPattern(values []string) func(string, bool) bool {
	var patterns []*regexp.Regexp
	for _, v := range values {
		p, err := regexp.Compile(`^(?:` + v + `)$`)
		if err != nil {
			return never
		}
		patterns = append(patterns, p)
	}
	return func(v string, has bool) bool {
		return has && slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(v) })
	}
}

// asksVersion wants a dotted version to meet all bounds, such as ">= 5.10" and "< 6"; a bound without an operator is
// equality. Several bounds may stand in one value, with commas between them.
func asksVersion(values []string) func(string, bool) bool {
	type bound struct {
		op      model.Op
		version version
	}
	var bounds []bound
	for _, text := range values {
		for part := range strings.SplitSeq(text, ",") {
			op, rest := cutOperator(strings.TrimSpace(part))
			v, ok := parseVersion(rest)
			if !ok {
				return never
			}
			bounds = append(bounds, bound{op, v})
		}
	}
	return func(value string, has bool) bool {
		v, ok := parseVersion(value)
		if !has || !ok {
			return false
		}
		return !slices.ContainsFunc(bounds, func(b bound) bool { return !meets(b.op, v.compare(b.version)) })
	}
}

func cutOperator(s string) (model.Op, string) {
	for _, o := range []struct {
		sign string
		op   model.Op
	}{
		{">=", model.OpGreaterEqual}, {"<=", model.OpLessEqual}, {"!=", model.OpNotEqual}, {"==", model.OpEqual},
		{">", model.OpGreater}, {"<", model.OpLess}, {"=", model.OpEqual},
	} {
		if rest, found := strings.CutPrefix(s, o.sign); found {
			return o.op, strings.TrimSpace(rest)
		}
	}
	return model.OpEqual, s
}

// decimal is a number by its digits, so that no precision is lost and 1.50 equals 1.5.
type decimal struct {
	negative        bool
	whole, fraction string // without zeros that say nothing
}

func parseDecimal(s string) (decimal, bool) {
	var d decimal
	s = strings.TrimSpace(s)
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		d.negative, s = true, rest
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" && fraction == "" || !digits(whole) || !digits(fraction) {
		return d, false
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if d.whole == "" && d.fraction == "" {
		d.negative = false
	}
	return d, true
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func (d decimal) compare(o decimal) int {
	if d.negative != o.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	order := cmp.Or(cmp.Compare(len(d.whole), len(o.whole)), strings.Compare(d.whole, o.whole), strings.Compare(d.fraction, o.fraction))
	if d.negative {
		return -order
	}
	return order
}

// version is a dotted version: its numbers, and what follows the first "-", which makes it come before the same without.
type version struct {
	numbers []string // without leading zeros; missing ones are zero
	suffix  string
}

func parseVersion(s string) (version, bool) {
	var v version
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	s, _, _ = strings.Cut(s, "+") // what is behind it says how it was built
	s, v.suffix, _ = strings.Cut(s, "-")
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || !digits(part) {
			return v, false
		}
		v.numbers = append(v.numbers, strings.TrimLeft(part, "0"))
	}
	return v, true
}

func (v version) compare(o version) int {
	for i := range max(len(v.numbers), len(o.numbers)) {
		a, b := "", ""
		if i < len(v.numbers) {
			a = v.numbers[i]
		}
		if i < len(o.numbers) {
			b = o.numbers[i]
		}
		if order := cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)); order != 0 {
			return order
		}
	}
	switch {
	case v.suffix == o.suffix:
		return 0
	case v.suffix == "":
		return 1
	case o.suffix == "":
		return -1
	}
	return compareSuffixes(v.suffix, o.suffix)
}

// compareSuffixes goes part by part: numbers by value and before words, as in semantic versioning, section 11.
func compareSuffixes(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, y := as[i], bs[i]
		switch nx, ny := digits(x), digits(y); {
		case nx && ny:
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if order := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); order != 0 {
				return order
			}
		case nx != ny:
			if nx {
				return -1
			}
			return 1
		case x != y:
			return strings.Compare(x, y)
		}
	}
	return cmp.Compare(len(as), len(bs))
}
