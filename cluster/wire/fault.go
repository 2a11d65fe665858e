package wire

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Refusal is the message that carries f to the reply subject: in the headers for any NATS client, and in full in the
// body, a v1.Error in the form of the request.
func Refusal(to string, form Form, f *model.Fault) (*nats.Msg, error) {
	body, err := form.Marshal(f.Proto())
	if err != nil {
		return nil, err
	}
	m := form.Message(to, body)
	description := clip(f.Description)
	if description == "" {
		description = f.Err
	}
	m.Header.Set(micro.ErrorHeader, description)
	m.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(f.Code))
	if f.RetryAfter > 0 {
		m.Header.Set(HeaderRetryAfter, strconv.FormatInt(max(1, f.RetryAfter.Milliseconds()), 10))
	}
	return m, nil
}

// FaultIn returns the refusal that m carries, nil if it is an answer.
func FaultIn(m *nats.Msg) *model.Fault {
	code := Header(m.Header, micro.ErrorCodeHeader)
	if code == "" {
		return nil
	}
	e := &v1.Error{}
	if form, err := FormOf(m.Header); err == nil && form.Read(m.Data, e) == nil && e.GetErrCode() != "" {
		return model.FaultFromProto(e)
	}
	// The peer is no cell, or a newer one whose body this version cannot read: the headers must do.
	n, _ := strconv.Atoi(code)
	f := &model.Fault{Code: n, Err: word(n), Description: clip(Header(m.Header, micro.ErrorHeader))}
	if ms, err := strconv.ParseInt(Header(m.Header, HeaderRetryAfter), 10, 32); err == nil && ms > 0 {
		f.RetryAfter = time.Duration(ms) * time.Millisecond
	}
	return f
}

// word is the stable word of a code.
func word(code int) string {
	switch code {
	case 400:
		return model.ErrInvalid
	case 404:
		return model.ErrNotFound
	case 409:
		return model.ErrConflict
	case 413:
		return model.ErrTooLarge
	case 429:
		return model.ErrBusy
	case 503:
		return model.ErrUnavailable
	case 504:
		return model.ErrDeadline
	}
	return model.ErrInternal
}

// NoResponders reports whether m is the server's notice that nobody listens.
func NoResponders(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") == "503"
}
