package wire_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestFaultsCrossTheWire(t *testing.T) {
	for _, f := range []*model.Fault{
		model.Invalid("wrong job", &v1.FieldError{Field: "stages[0].resources.cpu", Problem: "\"x\" is not a quantity", Hint: "such as 250m"}),
		model.NotFound("no job %s", "q/j"), model.Conflict("it lives"), model.TooLarge("too large"),
		model.Busy(1500*time.Millisecond, "64 requests are under way"), model.Unavailable("gone"), model.Deadline("late"), model.Internal("oh"),
		{Code: 404, Err: "not_found", Description: "多行\r\nNats-Service-Error-Code: 200", ID: "abc"},
	} {
		for _, form := range []wire.Form{wire.JSON, wire.Protobuf} {
			m, err := wire.Refusal("_INBOX.x", form, f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(m.Header.Get("Nats-Service-Error"), "\r\n") || m.Header.Get("Nats-Service-Error") == "" {
				t.Errorf("header %q", m.Header.Get("Nats-Service-Error"))
			}
			got := wire.FaultIn(m)
			if !proto.Equal(got.Proto(), f.Proto()) || got.RetryAfter != f.RetryAfter {
				t.Errorf("%v came back as %v", f, got)
			}
			if f.RetryAfter > 0 && m.Header.Get("Retry-After-Ms") != "1500" {
				t.Errorf("Retry-After-Ms is %q", m.Header.Get("Retry-After-Ms"))
			}
		}
	}
}

func TestFaultsOfStrangersAreUnderstoodByTheirHeaders(t *testing.T) {
	for code, want := range map[string]string{
		"400": model.ErrInvalid, "404": model.ErrNotFound, "409": model.ErrConflict, "413": model.ErrTooLarge,
		"429": model.ErrBusy, "503": model.ErrUnavailable, "504": model.ErrDeadline, "500": model.ErrInternal, "x": model.ErrInternal,
	} {
		got := wire.FaultIn(&nats.Msg{Data: []byte("not an error body"), Header: nats.Header{
			"Nats-Service-Error": {"because"}, "Nats-Service-Error-Code": {code}, "Retry-After-Ms": {"20"},
		}})
		if got == nil || got.Err != want || got.Description != "because" || got.RetryAfter != 20*time.Millisecond {
			t.Errorf("%s: got %+v, want %s", code, got, want)
		}
	}
	if f := wire.FaultIn(&nats.Msg{Data: []byte("{}"), Header: nats.Header{"Content-Type": {"application/json"}}}); f != nil {
		t.Errorf("an answer was taken for the refusal %v", f)
	}
	if !reflect.DeepEqual(wire.FaultIn(&nats.Msg{}), (*model.Fault)(nil)) {
		t.Error("an empty message was taken for a refusal")
	}
}
