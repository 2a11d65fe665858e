package model

import (
	"errors"
	"fmt"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// checker collects what is wrong with the fields of one message.
type checker struct {
	errs []*v1.FieldError
	more int
}

func (c *checker) add(field, problem, hint string) {
	if len(c.errs) >= MaxFieldErrors-1 {
		c.more++
		return
	}
	c.errs = append(c.errs, &v1.FieldError{Field: field, Problem: problem, Hint: hint})
}

func (c *checker) addf(field, hint, format string, args ...any) {
	c.add(field, fmt.Sprintf(format, args...), hint)
}

// wrong notes a mistake, if there is one.
func (c *checker) wrong(field string, m *Mistake) {
	if m != nil {
		c.add(field, m.Problem, m.Hint)
	}
}

// fail notes the error of a parser, if there is one.
func (c *checker) fail(field string, err error) {
	var m *Mistake
	switch {
	case err == nil:
	case errors.As(err, &m):
		c.wrong(field, m)
	default:
		c.add(field, err.Error(), "")
	}
}

// result is everything that is wrong, or nil.
func (c *checker) result() []*v1.FieldError {
	if c.more > 0 {
		return append(c.errs, &v1.FieldError{Problem: fmt.Sprintf("and %d more", c.more), Hint: "mend these first"})
	}
	return c.errs
}

func (c *checker) duration(field, s string) time.Duration {
	d, err := ParseDuration(s)
	c.fail(field, err)
	return d
}

// count refuses a number out of its range.
func (c *checker) count(field string, n, least, most int64) {
	switch {
	case n < least:
		c.addf(field, fmt.Sprintf("at least %d", least), "is %d", n)
	case n > most:
		c.addf(field, fmt.Sprintf("at most %d", most), "is %d", n)
	}
}

// tooMany refuses a list that is too long, and says so.
func (c *checker) tooMany(field string, n, most int, what string) bool {
	if n > most {
		c.addf(field, fmt.Sprintf("at most %d", most), "%d %s", n, what)
	}
	return n > most
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
