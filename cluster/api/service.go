package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	"github.com/troupe-sched/troupe/protos/schema"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ServiceName is the name of the leader's micro service, StaleName that of all masters for reads that may be stale.
const (
	ServiceName = "troupe"
	StaleName   = "troupe-stale"
)

// LaneLimit bounds one lane.
type LaneLimit struct {
	// InFlight is how many requests may be under way; the next one is refused as busy.
	InFlight int
	// Timeout is the longest that one may take.
	Timeout time.Duration
}

// Config says how a cell is served. Zero limits mean the defaults.
type Config struct {
	// Conn is the connection of the service, best its own and opened with nats.NoEcho, so that the events published
	// on it do not come back.
	Conn *nats.Conn
	// Cell is the cell's name, Version the program's, in the form of semver.org.
	Cell, Version string
	// Epoch of the leader that is served, 0 if there is one master alone. Leaders of different epochs all get a request: one
	// that sleeps, and does not know yet that it is deposed, would else keep every second one to itself. It answers none
	// but by an error.
	Epoch uint64
	Log   *slog.Logger
	// Reads, Writes and Logs bound the lanes; by default 256 requests of 5 s, 256 of 15 s and 64 of 24 h.
	Reads, Writes, Logs LaneLimit
}

// Replica answers reads from what one master has, which may not be all there is, and says as of when that is. It knows
// the requests of the endpoints that are Stale. Its refusals are *model.Fault.
type Replica interface {
	Stale(ctx context.Context, request proto.Message) (proto.Message, model.Mark, error)
}

// Service is a cell served over NATS. One leader serves a cell at a time; without one, requests find no responders.
// Beside it every master may serve reads from what it has.
type Service struct {
	cell    Cell
	replica Replica // instead of cell
	name    string
	log     *slog.Logger
	nc      *nats.Conn
	streams *wire.Streams
	micro   micro.Service
	rest    *nats.Subscription
	table   map[string]*served
	// nobody stands for requests that no endpoint takes.
	nobody served
	lanes  [numLanes]lane
	epoch  uint64

	// ctx ends when the service closes.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// mu guards closed against new members of busy.
	mu sync.Mutex
	// closed: requests are refused; ended: Close was called.
	closed, ended bool
	busy          sync.WaitGroup
}

// served is an endpoint with its counts.
type served struct {
	Endpoint
	counts counts
}

// lane is a limit: a place for each request under way.
type lane struct {
	kind    Lane
	places  chan struct{}
	timeout time.Duration
}

// restGroup is the queue group of what no endpoint takes. It must not be that of the endpoints: a server hands a message
// to one member of a group, also when the members' subjects differ, so that each would take from the other.
const restGroup = "rest"

// busyRetry is when a request refused at a lane's limit should come again.
const busyRetry = 200 * time.Millisecond

// flushMax bounds the wait for the server at the begin and the end of the service.
const flushMax = 5 * time.Second

var errClosing = model.Unavailable("this master is stepping down or shutting down; ask again")

// Serve begins to answer for cell. Everything that needs an answer gets one: the reply, or a coded refusal.
func Serve(c Config, cell Cell) (*Service, error) { return serve(c, cell, nil) }

// ServeStale begins to answer reads of the cell from what one of its masters has, under the subjects of stale reads; the
// masters that do share the requests. Every answer says in its headers who gave it and as of when it is.
func ServeStale(c Config, r Replica) (*Service, error) { return serve(c, nil, r) }

func serve(c Config, cell Cell, r Replica) (*Service, error) {
	if !subject.ValidName(c.Cell) {
		return nil, model.Invalid("wrong cell name", subject.CheckName("cell", c.Cell))
	}
	s := &Service{cell: cell, replica: r, name: c.Cell, log: c.Log.With("cell", c.Cell), nc: c.Conn, epoch: c.Epoch, table: map[string]*served{}}
	s.nobody.Resource, s.nobody.Verb = "unknown", "subject"
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	for kind, limit := range map[Lane]LaneLimit{
		Reads:  or(c.Reads, LaneLimit{256, 5 * time.Second}),
		Writes: or(c.Writes, LaneLimit{256, 15 * time.Second}),
		Logs:   or(c.Logs, LaneLimit{64, 24 * time.Hour}),
	} {
		s.lanes[kind] = lane{kind: kind, places: make(chan struct{}, limit.InFlight), timeout: limit.Timeout}
	}
	if err := s.open(c.Version); err != nil {
		s.cancel(errClosing)
		return nil, errors.Join(fmt.Errorf("serve cell %s: %w", c.Cell, err), s.shut())
	}
	return s, nil
}

// or fills the gaps of a limit.
func or(l, standard LaneLimit) LaneLimit {
	if l.InFlight <= 0 {
		l.InFlight = standard.InFlight
	}
	if l.Timeout <= 0 {
		l.Timeout = standard.Timeout
	}
	return l
}

// open subscribes: the endpoints one by one, then what is left under the cell's subject.
func (s *Service) open(version string) (err error) {
	if s.streams, err = wire.NewStreams(s.nc); err != nil {
		return err
	}
	byName := map[string]*served{}
	stale, config := s.replica != nil, micro.Config{
		Name: ServiceName, Version: version, Description: "Troupe cell " + s.name + ": jobs, queues, nodes",
		Metadata:     map[string]string{"cell": s.name, "api": leaderRoot, "events": leaderRoot + "." + s.name + ".<queue>.event.<kind>.<job>"},
		StatsHandler: func(e *micro.Endpoint) any { return byName[e.Name].counts.snapshot() },
		ErrorHandler: func(_ micro.Service, err *micro.NATSError) {
			s.log.Warn("api subscription", "subject", err.Subject, "error", err)
		},
	}
	endpoints, rest := Endpoints(), restGroup
	if s.epoch > 0 {
		config.QueueGroup, rest = fmt.Sprintf("epoch-%d", s.epoch), fmt.Sprintf("%s-%d", restGroup, s.epoch)
	}
	if stale {
		config.Name, config.Description, config.QueueGroup = StaleName, "Troupe cell "+s.name+": what its masters have of jobs, queues and nodes", "stale"
		config.Metadata = map[string]string{"cell": s.name, "api": replicaRoot}
		endpoints, rest = slices.DeleteFunc(endpoints, func(e Endpoint) bool { return !e.Stale }), "stale-"+restGroup
	}
	if s.micro, err = micro.AddService(s.nc, config); err != nil {
		return err
	}
	for _, e := range endpoints {
		sv := &served{Endpoint: e}
		byName[e.Name()] = sv
		s.table[e.Resource+"."+e.Verb] = sv
	}
	for _, e := range endpoints {
		pattern, err := subject.RequestPattern(s.name, e.Resource, e.Verb, e.IDField != "", stale)
		if err != nil {
			return err
		}
		sv := byName[e.Name()]
		handler := micro.HandlerFunc(func(r micro.Request) {
			s.accept(sv, &request{subject: r.Subject(), reply: r.Reply(), header: nats.Header(r.Headers()), body: r.Data()})
		})
		options := []micro.EndpointOpt{micro.WithEndpointSubject(pattern), micro.WithEndpointMetadata(e.metadata(s.form(e)))}
		if e.Stream {
			options = append(options, micro.WithEndpointQueueGroup(micro.DefaultQueueGroup)) // two streams must not be mixed
		}
		if err := s.micro.AddEndpoint(e.Name(), handler, options...); err != nil {
			return fmt.Errorf("endpoint %s: %w", e.Name(), err)
		}
	}
	all, err := subject.CellPattern(s.name, stale)
	if err != nil {
		return err
	}
	if s.rest, err = s.nc.QueueSubscribe(all, rest, s.unknown); err != nil {
		return err
	}
	return s.nc.FlushTimeout(flushMax)
}

// metadata tells a client that knows nothing but NATS how to ask.
func (e Endpoint) metadata(form string) map[string]string {
	return map[string]string{
		"summary": e.Summary, "form": form, "lane": e.Lane.String(), "stream": strconv.FormatBool(e.Stream),
		"request":        string(e.Request.ProtoReflect().Descriptor().FullName()),
		"reply":          string(e.Reply.ProtoReflect().Descriptor().FullName()),
		"request_schema": string(schema.Schema(e.Request.ProtoReflect().Descriptor())),
		"reply_schema":   string(schema.Schema(e.Reply.ProtoReflect().Descriptor())),
	}
}

// Close stops taking requests and waits until those under way are answered; ctx bounds the wait, and what is not
// answered by then is told that the master is gone. A second call does nothing.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	again := s.ended
	s.closed, s.ended = true, true
	s.mu.Unlock()
	if again {
		return nil
	}
	err := errors.Join(s.shut(), s.settle(ctx))
	s.cancel(errClosing)
	if s.nc.IsConnected() {
		// What was answered leaves before the caller closes the connection.
		err = errors.Join(err, s.streams.Close(), s.nc.FlushTimeout(flushMax))
	}
	return err
}

// Refuse answers every further request by a refusal, and returns when those under way are answered, as Close does. Until
// Close it stays where requests are sent to: while a successor begins, none gets lost on the way to nobody.
func (s *Service) Refuse(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.settle(ctx)
}

// settle waits for the requests under way, and tells those that take longer than ctx that the master is gone.
func (s *Service) settle(ctx context.Context) error {
	done := make(chan struct{})
	go func() { s.busy.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel(errClosing)
	// Handlers obey their context; one that does not has been answered all the same and is left behind.
	select {
	case <-done:
		return nil
	case <-time.After(time.Second):
		return errors.New("api: a request is still under way")
	}
}

// shut ends the subscriptions. What answers the unknown goes first: alone it would keep the server from telling callers
// that nobody responds.
func (s *Service) shut() error {
	var errs []error
	if s.rest != nil {
		errs = append(errs, s.rest.Unsubscribe())
	}
	if s.micro != nil {
		errs = append(errs, s.micro.Stop())
	}
	return errors.Join(errs...)
}

// request is what arrived.
type request struct {
	subject, reply string
	header         nats.Header
	body           []byte
}

// accept takes a request from its subscription: it never blocks, so that the limit is met with a refusal and not with a
// queue nobody sees.
func (s *Service) accept(e *served, r *request) {
	e.counts.requests.Add(1)
	if !subject.SafeReply(r.reply) {
		e.counts.mute.Add(1)
		return
	}
	a := &answer{s: s, e: e, r: r}
	a.form, a.formErr = wire.FormOf(r.header)
	l := &s.lanes[e.Lane]
	if !s.enter() {
		a.refuse(errClosing)
		return
	}
	select {
	case l.places <- struct{}{}:
		go func() {
			defer s.busy.Done()
			defer func() { <-l.places }()
			s.serve(a, l)
		}()
	default:
		a.refuse(model.Busy(busyRetry, "%d %s are under way, no more are taken", cap(l.places), l.kind))
		s.busy.Done()
	}
}

// enter makes one more request hold the service open; false if it is closing.
func (s *Service) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.busy.Add(1)
	return true
}

// serve answers one request.
func (s *Service) serve(a *answer, l *lane) {
	a.e.counts.inFlight.Add(1)
	defer a.e.counts.inFlight.Add(-1)
	m, timeout, err := a.decode(s.name, l.timeout)
	if err != nil {
		a.refuse(err)
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("api handler panicked", "endpoint", a.e.Name(), "panic", p, "stack", string(debug.Stack()))
			a.refuse(model.Internal("the master failed at this request"))
		}
	}()
	if a.e.Stream {
		a.streamed(ctx, m)
		return
	}
	// A handler that overlooks its deadline must not leave its caller in silence.
	defer context.AfterFunc(ctx, func() { a.refuse(context.Cause(ctx)) })()
	var reply proto.Message
	if s.replica != nil {
		reply, a.mark, err = s.stale(ctx, m)
	} else {
		reply, err = a.e.call(ctx, s.cell, m)
	}
	if err != nil {
		a.refuse(err)
		return
	}
	a.respond(reply)
}

func (s *Service) stale(ctx context.Context, m proto.Message) (proto.Message, *model.Mark, error) {
	reply, mark, err := s.replica.Stale(ctx, m)
	return reply, &mark, err
}

// decode makes the message of a request, with what its subject says.
func (a *answer) decode(cell string, most time.Duration) (proto.Message, time.Duration, error) {
	if a.formErr != nil {
		return nil, 0, a.formErr
	}
	if n := len(a.r.body); n > wire.BodyMax {
		return nil, 0, model.TooLarge("the body has %d bytes, more than the %d allowed", n, wire.BodyMax)
	}
	from, err := subject.ParseRequest(a.r.subject)
	if err != nil {
		return nil, 0, err
	}
	timeout, err := timeoutOf(a.r.header, most)
	if err != nil {
		return nil, 0, err
	}
	m := a.e.Request.ProtoReflect().New().Interface()
	if err := a.form.Unmarshal(a.r.body, m); err != nil {
		return nil, 0, err
	}
	return m, timeout, a.e.place(from, m)
}

// timeoutOf is how long the requester waits, at most the limit of the lane.
func timeoutOf(h nats.Header, most time.Duration) (time.Duration, error) {
	value := wire.Header(h, wire.HeaderTimeout)
	if value == "" {
		return most, nil
	}
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ms < 1 {
		return 0, model.Invalid("wrong timeout", &v1.FieldError{
			Field: "header." + wire.HeaderTimeout, Problem: fmt.Sprintf("%.40q is not a number of milliseconds", value), Hint: "1 or more",
		})
	}
	if ms > most.Milliseconds() {
		return most, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// answer is the one answer to one request.
type answer struct {
	s       *Service
	e       *served
	r       *request
	form    wire.Form
	formErr error
	mark    *model.Mark // of a stale read
	once    sync.Once
}

func (a *answer) respond(reply proto.Message) {
	body, err := a.form.Marshal(reply)
	if err != nil {
		a.refuse(model.Internal("the reply cannot be encoded: %v", err))
		return
	}
	m := a.form.Message(a.r.reply, body)
	if a.mark != nil {
		wire.SetMark(m.Header, *a.mark)
	}
	if m.Size() > int(a.s.nc.MaxPayload()) {
		a.refuse(model.TooLarge("the reply has %d bytes, more than a message takes: ask for less at a time", len(body)))
		return
	}
	a.once.Do(func() {
		if err := a.s.nc.PublishMsg(m); err != nil {
			a.e.counts.unsent.Add(1)
			a.s.log.Warn("api reply not sent", "endpoint", a.e.Name(), "error", err)
		}
	})
}

func (a *answer) refuse(err error) {
	a.once.Do(func() {
		f := a.s.account(a.e, err)
		m, err := wire.Refusal(a.r.reply, a.form, f)
		if err == nil {
			err = a.s.nc.PublishMsg(m)
		}
		if err != nil {
			a.e.counts.unsent.Add(1)
			a.s.log.Warn("api refusal not sent", "endpoint", a.e.Name(), "error_id", f.ID, "error", err)
		}
	})
}

// streamed answers with a stream; its end is the answer.
func (a *answer) streamed(ctx context.Context, m proto.Message) {
	var told *model.Fault
	err := a.e.stream(ctx, a.s, a.r, m, func(err error) *model.Fault {
		told = a.s.account(a.e, err)
		return told
	})
	if err != nil && told == nil {
		a.e.counts.unsent.Add(1)
		a.s.log.Warn("api stream not ended", "endpoint", a.e.Name(), "error", err)
	}
}

// account counts a refusal, gives it an id and logs it under that id.
func (s *Service) account(e *served, err error) *model.Fault {
	f := *model.FaultOf(err)
	f.ID = rand.Text()[:12]
	e.counts.refuse(&f)
	level := slog.LevelDebug
	if f.Code == 500 {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "api refusal", "endpoint", e.Name(), "error_id", f.ID, "code", f.Code, "error", err)
	return &f
}

// Stats is what the service has done, by endpoint name; "unknown-subject" stands for all that no endpoint takes.
func (s *Service) Stats() map[string]Counts {
	all := map[string]Counts{s.nobody.Name(): s.nobody.counts.snapshot()}
	for _, e := range s.table {
		all[e.Name()] = e.counts.snapshot()
	}
	return all
}
