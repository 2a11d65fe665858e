package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/api/apitest"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/cluster/wire/natstest"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// discover asks the service who it is, as "nats micro info" does.
func (w *world) discover() micro.Info {
	w.t.Helper()
	var info micro.Info
	if err := json.Unmarshal(w.ask("$SRV.INFO.troupe", nil, nil).Data, &info); err != nil {
		w.t.Fatal(err)
	}
	return info
}

func TestX6_AnyNATSClientDiscoversAndCallsEveryEndpoint(t *testing.T) {
	w := serve(t, nil)
	raw := w.ask("$SRV.INFO.troupe", nil, nil).Data
	if len(raw) > 512<<10 {
		t.Errorf("the service tells of itself in %d bytes, half of what a message takes", len(raw))
	}
	info := w.discover()
	if info.Name != "troupe" || info.Version != "1.2.3" || info.Metadata["cell"] != "dev" {
		t.Fatalf("got %+v", info.ServiceIdentity)
	}
	if len(info.Endpoints) != 27 {
		t.Fatalf("%d endpoints, want 27", len(info.Endpoints))
	}
	for _, e := range info.Endpoints {
		t.Run(e.Name, func(t *testing.T) {
			for _, key := range []string{"request", "reply"} {
				var s struct{ Title string }
				full := e.Metadata[key]
				if err := json.Unmarshal([]byte(e.Metadata[key+"_schema"]), &s); err != nil || full != "troupe.v1."+s.Title {
					t.Errorf("%s schema of %s has title %q, %v", key, full, s.Title, err)
				}
			}
			if strings.Count(e.Subject, "*") > 2 || e.QueueGroup == "" || e.Metadata["summary"] == "" {
				t.Errorf("got %+v", e)
			}
			to := strings.NewReplacer("<queue>", "q1", "<name>", "n1", "<id>", "n1").Replace(e.Metadata["form"])
			answer := w.ask(to, nil, nil)
			if f := wire.FaultIn(answer); f != nil {
				t.Fatalf("%s: %v", to, f)
			}
			reply, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Metadata["reply"]))
			if err != nil {
				t.Fatal(err)
			}
			if err := wire.JSON.Unmarshal(answer.Data, reply.New().Interface()); err != nil {
				t.Errorf("the reply %s is not a %s: %v", answer.Data, e.Metadata["reply"], err)
			}
			asked := w.cell.Last().ProtoReflect()
			if got := string(asked.Descriptor().FullName()); got != e.Metadata["request"] {
				t.Errorf("the cell was asked by %s", got)
			}
			if text := asked.Interface(); strings.Contains(to, ".n1") && !strings.Contains(textOf(text), `"n1"`) ||
				strings.Contains(to, ".q1.") && !strings.Contains(textOf(text), `"q1"`) {
				t.Errorf("%s became %v", to, text)
			}
		})
	}
	var stats micro.Stats
	if err := json.Unmarshal(w.ask("$SRV.STATS.troupe", nil, nil).Data, &stats); err != nil {
		t.Fatal(err)
	}
	for _, e := range stats.Endpoints {
		var c api.Counts
		err := json.Unmarshal(e.Data, &c)
		c.InFlight = 0 // an answer leaves before its request counts as over
		if err != nil || c != (api.Counts{Requests: 1}) {
			t.Errorf("%s counted %+v, %v", e.Name, c, err)
		}
	}
	if err := json.Unmarshal(w.ask("$SRV.PING", nil, nil).Data, &micro.Ping{}); err != nil {
		t.Fatal(err)
	}
}

func textOf(m proto.Message) string {
	body, _ := wire.JSON.Marshal(m)
	return string(body)
}

func TestProtobufIsAnsweredInProtobuf(t *testing.T) {
	w := serve(t, nil)
	header := nats.Header{"Content-Type": {"application/protobuf"}}
	body, _ := proto.Marshal(&v1.SubmitRequest{Job: &v1.JobSpec{Name: "j"}, Key: "k"})
	m := w.ask("troupe.v1.dev.q.job.submit", header, body)
	reply := &v1.SubmitReply{}
	if err := proto.Unmarshal(m.Data, reply); err != nil || reply.GetQueue() != "q" || reply.GetUid() != 7 || m.Header.Get("Content-Type") != "application/protobuf" {
		t.Fatalf("got %v %v %v", reply, m.Header, err)
	}
	m = w.ask("troupe.v1.dev.q.job.submit", header, []byte("\xff"))
	e := &v1.Error{}
	if err := proto.Unmarshal(m.Data, e); err != nil || e.GetErrCode() != "invalid" || m.Header.Get("Nats-Service-Error-Code") != "400" {
		t.Fatalf("got %v %v %v", e, m.Header, err)
	}
}

func TestX6_EveryBadRequestGetsACodedError(t *testing.T) {
	big := []byte(`{"job":{"name":"` + strings.Repeat("x", 1<<20) + `"}}`)
	for name, c := range map[string]struct {
		subject, contentType, body string
		code                       int32
		word, says                 string
	}{
		"not json":           {"q.job.submit", "", "name: x", 400, "invalid", "line 1, column"},
		"unknown field":      {"q.job.submit", "", `{"job":{"naem":"x"}}`, 400, "invalid", `did you mean \"name\"?`},
		"wrong kind":         {"q.job.submit", "", `{"job":{"stages":{}}}`, 400, "invalid", "job.stages"},
		"cut off":            {"q.job.status.j", "", `{`, 400, "invalid", "ends in the middle"},
		"oversized":          {"q.job.submit", "", string(big), 413, "too_large", "1048576"},
		"content type":       {"q.job.list", "text/yaml", "", 400, "invalid", "application/protobuf"},
		"bad id":             {"q.job.status.J", "", "", 400, "invalid", "subject.id"},
		"overlong id":        {"q.job.status." + strings.Repeat("j", 64), "", "", 400, "invalid", "subject.id"},
		"bad queue":          {"Q.job.list", "", "", 400, "invalid", "subject.queue"},
		"wild queue":         {"*.job.list", "", "", 400, "invalid", "subject.queue"},
		"no queue":           {"_.job.submit", "", "{}", 400, "invalid", "needs a queue"},
		"queue too many":     {"q.cell.status", "", "", 400, "invalid", "troupe.v1.dev._.cell.status"},
		"contradiction":      {"q.job.status.j", "", `{"name":"other"}`, 400, "invalid", "leave it out"},
		"queue contradicted": {"q.job.submit", "", `{"job":{"queue":"other"}}`, 400, "invalid", "job.queue"},
		"unknown verb":       {"q.job.statsu.j", "", "", 404, "not_found", `did you mean \"status\": troupe.v1.dev.\u003cqueue\u003e.job.status`},
		"far verb":           {"q.job.elephant", "", "", 404, "not_found", "there is explain, list"},
		"unknown resource":   {"q.jobs.list", "", "", 404, "not_found", `did you mean \"job\"?`},
		"odd resource":       {"q.$JS.list", "", "", 404, "not_found", "there is cell, drill, job, master, node, queue"},
		"missing id":         {"q.job.status", "", "", 400, "invalid", "troupe.v1.dev."},
		"id too many":        {"q.job.list.j", "", "", 400, "invalid", "wrong number of words"},
		"words too many":     {"q.job.status.a.b", "", "", 400, "invalid", "wrong number of words"},
		"words too few":      {"q.job", "", "", 404, "not_found", "too few words"},
		"one word":           {"q", "", "", 404, "not_found", "too few words"},
		"event asked for":    {"q.event.ended.j", "", "", 404, "not_found", "there is no resource"},
		"nul in body":        {"q.job.submit", "", "\x00", 400, "invalid", "body"},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t, nil)
			header := nats.Header{}
			if c.contentType != "" {
				header.Set("Content-Type", c.contentType)
			}
			m := w.ask("troupe.v1.dev."+c.subject, header, []byte(c.body))
			says := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(c.says)
			refused(t, m, c.code, c.word, says)
			if w.cell.Last() != nil {
				t.Fatalf("the cell was asked %v", w.cell.Last())
			}
		})
	}
}

func TestWrongTimeoutHeaderIsRefused(t *testing.T) {
	w := serve(t, nil)
	for _, value := range []string{"0", "-1", "soon", "1e9", "99999999999999999999"} {
		refused(t, w.ask("troupe.v1.dev._.cell.status", nats.Header{"Troupe-Timeout-Ms": {value}}, nil), 400, "invalid", "Troupe-Timeout-Ms")
	}
	if f := wire.FaultIn(w.ask("troupe.v1.dev._.cell.status", nats.Header{"troupe-timeout-ms": {"9999999999"}}, nil)); f != nil {
		t.Fatal(f)
	}
}

func TestRefusalsOfTheCellKeepTheirWords(t *testing.T) {
	w := serve(t, nil)
	for _, f := range []*model.Fault{
		model.NotFound("no job"), model.Conflict("lives"), model.TooLarge("much"), model.Unavailable("gone"), model.Internal("broken"),
		model.Invalid("bad", &v1.FieldError{Field: "job.name", Problem: "p", Hint: "h"}),
	} {
		w.cell.OnSubmit = func(context.Context, *v1.SubmitRequest) (*v1.SubmitReply, error) {
			return nil, errors.Join(errors.New("while submitting"), f)
		}
		e := refused(t, w.ask("troupe.v1.dev.q.job.submit", nil, nil), int32(f.Code), f.Err)
		if len(e.GetFields()) != len(f.Fields) {
			t.Errorf("got %v", e)
		}
	}
}

func TestDrainVerbsDecide(t *testing.T) {
	w := serve(t, nil)
	for verb, want := range map[string]bool{"drain": true, "undrain": false} {
		if f := wire.FaultIn(w.ask("troupe.v1.dev._.node."+verb+".n1", nil, []byte(`{"drained":true,"reason":"r"}`))); f != nil {
			t.Fatal(f)
		}
		if got := w.cell.Last().(*v1.DrainRequest); got.GetDrained() != want || got.GetId() != "n1" || got.GetReason() != "r" {
			t.Errorf("%s became %v", verb, got)
		}
	}
}

func TestKnownSubjectsAreAnsweredOnce(t *testing.T) {
	w := serve(t, nil)
	sub, err := w.nc.SubscribeSync("answers.*")
	if err != nil {
		t.Fatal(err)
	}
	subjects := []string{"_.cell.status", "q.job.status.j", "q.job.nope", "q.job.status", "Q.job.list", "q.job.list.j.k"}
	for _, s := range subjects {
		if err := w.nc.PublishRequest("troupe.v1.dev."+s, "answers.x", nil); err != nil {
			t.Fatal(err)
		}
	}
	for range subjects {
		if _, err := sub.NextMsgWithContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.close() // everything that was going to be answered has been
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := sub.Pending(); n != 0 {
		t.Fatalf("%d answers too many", n)
	}
	if c := w.service.Stats()["unknown-subject"]; c.Requests != 3 || c.Refused != 3 {
		t.Fatalf("counted %+v", c)
	}
}

// Of two leaders one sleeps, or has not heard yet that it is deposed: the other hears every request all the same.
func TestS6_ASleepingLeaderKeepsNoRequestToItself(t *testing.T) {
	s := natstest.Server(t)
	w := &world{t: t, nc: natstest.Conn(t, s)}
	for epoch, cell := range map[uint64]*apitest.Cell{
		6: {OnJobStatus: func(ctx context.Context, _ *v1.JobRef) (*v1.JobStatus, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		7: {},
	} {
		master, err := api.Serve(api.Config{Conn: natstest.Conn(t, s), Cell: "dev", Version: "1.2.3", Epoch: epoch, Log: slog.New(slog.DiscardHandler)}, cell)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = master.Close(now) // the one that sleeps says that requests are under way
		})
	}
	for range 20 {
		if f := wire.FaultIn(w.ask("troupe.v1.dev.q.job.status.n1", nil, nil)); f != nil {
			t.Fatal(f)
		}
	}
}

func TestAnswersCannotBeLaunderedIntoTheCell(t *testing.T) {
	w := serve(t, nil)
	sub, err := w.nc.SubscribeSync("troupe.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"troupe.v1.dev.q.event.ended.j", "troupe.agent.v1.dev.n1.to", ""} {
		for _, to := range []string{"troupe.v1.dev._.cell.status", "troupe.v1.dev.q.job.nope"} {
			if err := w.nc.PublishMsg(&nats.Msg{Subject: to, Reply: reply}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.ask("troupe.v1.dev._.cell.status", nil, nil)
	w.close()
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 7 { // the requests themselves
		m, err := sub.NextMsgWithContext(t.Context())
		if err != nil || !strings.HasPrefix(m.Subject, "troupe.v1.dev._.cell.") && !strings.HasPrefix(m.Subject, "troupe.v1.dev.q.job.") {
			t.Fatalf("%v %v", m, err)
		}
	}
	if n, _, _ := sub.Pending(); n != 0 {
		t.Fatalf("%d messages were laundered", n)
	}
	if c := w.service.Stats()["cell-status"]; c.Mute != 3 || c.Requests != 4 {
		t.Fatalf("counted %+v", c)
	}
}

func TestOversizedRepliesAreRefused(t *testing.T) {
	w := serve(t, nil)
	w.cell.OnJobStatus = func(context.Context, *v1.JobRef) (*v1.JobStatus, error) {
		return &v1.JobStatus{Reason: strings.Repeat("x", 3<<20)}, nil
	}
	refused(t, w.ask("troupe.v1.dev.q.job.status.j", nil, nil), 413, "too_large", "ask for less")
}

func TestServeRefusesBadConfig(t *testing.T) {
	nc := natstest.Conn(t, natstest.Server(t))
	for _, c := range []api.Config{{Cell: "Bad.Cell", Version: "1.0.0"}, {Cell: "", Version: "1.0.0"}, {Cell: "dev", Version: "one"}} {
		c.Conn, c.Log = nc, discard
		if _, err := api.Serve(c, &apitest.Cell{}); err == nil {
			t.Errorf("%q %q was served", c.Cell, c.Version)
		}
	}
	if n := nc.NumSubscriptions(); n > 1 { // the streams' inbox
		t.Errorf("%d subscriptions are left", n)
	}
}
