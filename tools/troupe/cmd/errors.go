package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/troupe-sched/troupe/actors/jobfile"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// exitError carries the exit code of an error. An err of nil says that everything has been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usagef is an error in the command line or the configuration.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// codeOf is the exit code that err stands for.
func codeOf(ctx context.Context, err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(context.Cause(ctx), errInterrupted):
		return exitInterrupted
	}
	return exitFailed
}

// absent reports whether err says that something is not there.
func absent(err error) bool { return errors.Is(err, &model.Fault{Err: model.ErrNotFound}) }

// report writes err for a person: what is wrong, then a line for each field, with its place in a file if there is one,
// and what would be right.
func report(w io.Writer, err error) {
	var f *model.Fault
	var file *jobfile.Error
	switch {
	case errors.As(err, &file):
		fmt.Fprintln(w, view.CleanText(err.Error()))
		return
	case !errors.As(err, &f):
		fmt.Fprintf(w, "troupe: %s\n", view.CleanText(err.Error()))
		return
	}
	fmt.Fprintf(w, "troupe: %s\n", view.Clean(headline(err, f)))
	for _, field := range f.Fields {
		line := strings.TrimPrefix(field.GetField()+": "+field.GetProblem(), ": ")
		if field.GetHint() != "" {
			line += "; " + field.GetHint()
		}
		fmt.Fprintf(w, "  %s\n", view.Clean(line))
	}
	if f.RetryAfter > 0 {
		fmt.Fprintf(w, "  try again in %s\n", view.Span(f.RetryAfter))
	}
	if f.ID != "" {
		fmt.Fprintf(w, "  the master's log has it as error id %s\n", view.Clean(f.ID))
	}
}

// headline is the error without its fields, which follow on lines of their own.
func headline(err error, f *model.Fault) string {
	bare := *f
	bare.Fields = nil
	return strings.Replace(err.Error(), f.Error(), bare.Error(), 1)
}

// reportJSON writes err for a program: one document, the body that the API would have sent. Fields of a file have their
// place in front of what is wrong.
func reportJSON(w io.Writer, err error) {
	var f *model.Fault
	var file *jobfile.Error
	var wrong *config.Error
	var exit *exitError
	body := &v1.Error{Code: 500, ErrCode: model.ErrInternal, Description: err.Error()}
	switch {
	case errors.As(err, &file):
		body = &v1.Error{Code: 400, ErrCode: model.ErrInvalid, Description: file.File + " is not a valid job file"}
		for _, p := range file.Problems {
			at := fmt.Sprintf("%s:%d:%d: ", file.File, p.Line, p.Column)
			body.Fields = append(body.Fields, &v1.FieldError{Field: p.Field, Problem: at + p.Text, Hint: p.Hint})
		}
	case errors.As(err, &f):
		body = f.Proto()
		body.Description = headline(err, f)
	case errors.As(err, &wrong):
		body = &v1.Error{Code: 400, ErrCode: model.ErrInvalid, Description: "the configuration is not valid"}
		for _, p := range wrong.Problems {
			body.Fields = append(body.Fields, &v1.FieldError{Field: p.Key, Problem: p.Source + ": " + p.Problem, Hint: p.Hint})
		}
	case errors.As(err, &exit) && exit.code == exitUsage:
		body.Code, body.ErrCode = 400, model.ErrInvalid
	}
	if view.JSON(w, body) != nil {
		fmt.Fprintln(w, `{"code":500,"err_code":"internal","description":"the error cannot be written as JSON"}`)
	}
}
