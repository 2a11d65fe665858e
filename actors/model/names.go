package model

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameLen is the length of the longest name of a job, a stage, a queue or a node.
const MaxNameLen = 63

// ValidName reports whether s may name a job, a stage, a queue or a node: ^[a-z0-9][a-z0-9_-]{0,62}$. Such a name is
// safe as a token of a subject, as a file name and in a log line.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxNameLen || s[0] == '_' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// checkName is ValidName with a reason; it offers the name that s becomes by changing what is not allowed.
func checkName(s string) *Mistake {
	switch {
	case ValidName(s):
		return nil
	case s == "":
		return &Mistake{"is missing", "give it a name of a-z, 0-9, _ and -"}
	case len(s) > MaxNameLen:
		return &Mistake{fmt.Sprintf("has %d characters", len(s)), fmt.Sprintf("at most %d", MaxNameLen)}
	}
	near := strings.TrimLeft(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		case r == '.', r == ' ', r == '/':
			return '-'
		}
		return -1
	}, strings.ToLower(s)), "_-")
	hint := "a-z, 0-9, _ and -, the first a letter or a digit"
	if ValidName(near) {
		hint += fmt.Sprintf(", such as %q", near)
	}
	return &Mistake{fmt.Sprintf("%s is not a name", Quote(s)), hint}
}

// MaxKeyLen is the length of the longest key of a label or a node attribute, and of a Go function's name.
const MaxKeyLen = 63

// ValidKey reports whether s may be the key of a label or a node attribute, or name a Go function:
// ^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$.
func ValidKey(s string) bool {
	if s == "" || len(s) > MaxKeyLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || c != '_' && c != '.' && c != '/' && c != '-') {
			return false
		}
	}
	return true
}

func checkKey(s string) *Mistake {
	if ValidKey(s) {
		return nil
	}
	return &Mistake{fmt.Sprintf("%s is not a key", Quote(s)),
		fmt.Sprintf("1 to %d of A-Z, a-z, 0-9, _, ., / and -, the first a letter or a digit", MaxKeyLen)}
}

// checkText refuses text that would break a log line, a terminal or an encoding.
func checkText(s string, most int) *Mistake {
	switch {
	case len(s) > most:
		return &Mistake{fmt.Sprintf("has %d bytes", len(s)), fmt.Sprintf("at most %d", most)}
	case !utf8.ValidString(s):
		return &Mistake{"is not valid UTF-8", ""}
	case strings.ContainsFunc(s, unicode.IsControl):
		return &Mistake{"contains a control character", "use printable text"}
	}
	return nil
}

// FieldIndex is the path of element i of a list: stages[3].
func FieldIndex(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// FieldName is the path of a field of a message: stages[3].resources.
func FieldName(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// FieldKey is the path of an entry of a map: env.HOME, or env["a.b"] for a key that is no plain word.
func FieldKey(path, key string) string {
	plain := key != "" && len(key) <= MaxKeyLen
	for i := range len(key) {
		c := key[i]
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	}
	if plain {
		return path + "." + key
	}
	return path + "[" + Quote(key) + "]"
}

func bandNames() []string { return []string{"monitoring", "production", "batch", "free"} }

// String is the band as users write it.
func (b Band) String() string {
	names := bandNames()
	if int(b) >= len(names) {
		return fmt.Sprintf("band(%d)", uint8(b))
	}
	return names[b]
}

// ParseBand reads a band. It fails with a *Mistake.
func ParseBand(s string) (Band, error) {
	i, wrong := oneOf(s, bandNames())
	if wrong != nil {
		return 0, wrong
	}
	return Band(i), nil
}

func opNames() []string {
	return []string{"=", "!=", "in", "exists", "<", "<=", ">", ">=", "version", "matches"}
}

// String is the comparison as users write it.
func (o Op) String() string {
	names := opNames()
	if int(o) >= len(names) {
		return fmt.Sprintf("op(%d)", uint8(o))
	}
	return names[o]
}

// ParseOp reads a comparison; empty means "=". It fails with a *Mistake.
func ParseOp(s string) (Op, error) {
	if s == "" {
		return OpEqual, nil
	}
	i, wrong := oneOf(s, opNames())
	if wrong != nil {
		return 0, wrong
	}
	return Op(i), nil
}

// String is the constraint as people read it: rack in (r1, r2).
func (c Constraint) String() string {
	switch c.Op {
	case OpExists:
		return c.Attribute + " exists"
	case OpIn:
		return c.Attribute + " in (" + strings.Join(c.Values, ", ") + ")"
	}
	return c.Attribute + " " + c.Op.String() + " " + strings.Join(c.Values, ", ")
}

// oneOf is the place of s among choices.
func oneOf(s string, choices []string) (int, *Mistake) {
	for i, c := range choices {
		if s == c {
			return i, nil
		}
	}
	quoted := make([]string, len(choices))
	for i, c := range choices {
		quoted[i] = strconv.Quote(c)
	}
	hint := "one of " + strings.Join(quoted, ", ")
	if near := Nearest(s, choices); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return 0, &Mistake{"unknown value " + Quote(s), hint}
}
