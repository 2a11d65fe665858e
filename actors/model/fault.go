package model

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// The stable words of Fault.Err, for programs.
const (
	ErrInvalid     = "invalid"
	ErrNotFound    = "not_found"
	ErrConflict    = "conflict"
	ErrTooLarge    = "too_large"
	ErrBusy        = "busy"
	ErrUnavailable = "unavailable"
	ErrDeadline    = "deadline"
	ErrInternal    = "internal"
)

// Fault is a refusal that explains itself: a value in replies between actors, the body of an error over the API and
// the error of Go calls. It is frozen once made.
type Fault struct {
	// Code is HTTP-like: 400, 404, 409, 413, 429, 503, 504 or 500.
	Code int
	// Err is the stable word, one of the Err constants.
	Err string
	// Description is for people.
	Description string
	// ID ties the answer to a log line of the master; empty until a master has logged it.
	ID string
	// Fields tells what is wrong with which field.
	Fields []*v1.FieldError
	// RetryAfter says when trying again makes sense; 0 means unknown.
	RetryAfter time.Duration
}

// Error is the description, followed by the fields.
func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.Description)
	for i, field := range f.Fields {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		if field.GetField() != "" {
			b.WriteString(field.GetField() + ": ")
		}
		b.WriteString(field.GetProblem())
		if field.GetHint() != "" {
			b.WriteString(" (" + field.GetHint() + ")")
		}
	}
	return b.String()
}

// Is makes errors.Is match any fault of the same stable word.
func (f *Fault) Is(target error) bool {
	o, ok := target.(*Fault)
	return ok && o.Err == f.Err
}

// Temporary reports whether the same request may succeed later without a change: busy, unavailable or too late.
func (f *Fault) Temporary() bool {
	return f.Err == ErrBusy || f.Err == ErrUnavailable || f.Err == ErrDeadline
}

// Proto is the fault as it goes over the API.
func (f *Fault) Proto() *v1.Error {
	return &v1.Error{
		Code: int32(f.Code), ErrCode: f.Err, Description: f.Description, ErrorId: f.ID,
		Fields: f.Fields, RetryAfterMs: f.RetryAfter.Milliseconds(),
	}
}

// FaultFromProto is the fault that came over the API.
func FaultFromProto(e *v1.Error) *Fault {
	return &Fault{
		Code: int(e.GetCode()), Err: e.GetErrCode(), Description: e.GetDescription(), ID: e.GetErrorId(),
		Fields: e.GetFields(), RetryAfter: time.Duration(e.GetRetryAfterMs()) * time.Millisecond,
	}
}

// Invalid refuses a request whose content is wrong, naming the fields.
func Invalid(description string, fields ...*v1.FieldError) *Fault {
	return &Fault{Code: 400, Err: ErrInvalid, Description: description, Fields: fields}
}

// NotFound refuses a request for something that is not there.
func NotFound(format string, args ...any) *Fault {
	return &Fault{Code: 404, Err: ErrNotFound, Description: fmt.Sprintf(format, args...)}
}

// Conflict refuses a request that contradicts what is there.
func Conflict(format string, args ...any) *Fault {
	return &Fault{Code: 409, Err: ErrConflict, Description: fmt.Sprintf(format, args...)}
}

// TooLarge refuses a request beyond a size limit.
func TooLarge(format string, args ...any) *Fault {
	return &Fault{Code: 413, Err: ErrTooLarge, Description: fmt.Sprintf(format, args...)}
}

// Busy refuses a request that a limit of the moment does not admit, and says when to try again.
func Busy(retryAfter time.Duration, format string, args ...any) *Fault {
	return &Fault{Code: 429, Err: ErrBusy, Description: fmt.Sprintf(format, args...), RetryAfter: retryAfter}
}

// Unavailable refuses a request because a part that it needs is not there.
func Unavailable(format string, args ...any) *Fault {
	return &Fault{Code: 503, Err: ErrUnavailable, Description: fmt.Sprintf(format, args...)}
}

// Deadline says that the answer did not come in time. What was asked for may have happened: ask again with the same key.
func Deadline(format string, args ...any) *Fault {
	return &Fault{Code: 504, Err: ErrDeadline, Description: fmt.Sprintf(format, args...)}
}

// Internal says that the fault lies with the cell.
func Internal(format string, args ...any) *Fault {
	return &Fault{Code: 500, Err: ErrInternal, Description: fmt.Sprintf(format, args...)}
}

// FaultOf finds the fault in err, or makes one: a passed deadline is Deadline, a cancelled context Unavailable, any
// other error Internal. It is nil for nil.
func FaultOf(err error) *Fault {
	if err == nil {
		return nil
	}
	var f *Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline("no answer before the deadline")
	case errors.Is(err, context.Canceled):
		return Unavailable("the call was cancelled")
	}
	return Internal("%v", err)
}
