package compose

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/elect"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/fabric"
	"github.com/troupe-sched/troupe/cluster/masters"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// openElection lets this master hear the others of its cell, if there may be any.
func (m *masterParts) openElection(context.Context) error {
	if !m.spec.several {
		return nil
	}
	nc, err := m.connect("masters")
	if err != nil {
		return err
	}
	c := m.spec.Config
	m.election, err = masters.Open(masters.Config{
		Conn: nc, Cell: c.Cell.Name, ID: c.Master.ID, Host: hostname(), Version: m.spec.Version, Log: m.spec.Log,
		Elect: elect.Options{Suspect: c.Master.Suspect},
	})
	if err != nil {
		return err
	}
	m.process.parts.add("election", quiet(m.election.Close))
	m.process.parts.add("API", quiet(m.lingering.Wait)) // each bounds itself
	return nil
}

// openFabric opens the link to agents for one reign.
func (m *masterParts) openFabric(_ context.Context, cell *actors.Cell) (func(context.Context) error, error) {
	f, err := fabric.OpenMaster(fabric.MasterConfig{
		Cell: m.spec.Config.Cell.Name, Log: m.spec.Log,
		Dial:    func(purpose string) (*nats.Conn, error) { return m.dial("fabric-" + purpose) },
		Deliver: cell.Deliver,
	})
	if err != nil {
		return nil, err
	}
	m.link.Store(f)
	m.shown.fabric.Store(f)
	return func(context.Context) error {
		m.link.Store(nil)
		m.shown.fabric.Store(nil)
		f.Close()
		return nil
	}, nil
}

// openAPI answers requests for one reign: while nobody leads, NATS itself tells callers that nobody does.
func (m *masterParts) openAPI(_ context.Context, cell *actors.Cell) (func(context.Context) error, error) {
	s := m.spec
	c := api.Config{Conn: m.asked, Cell: s.Config.Cell.Name, Version: semantic(s.Version), Log: s.Log}
	if m.election != nil {
		c.Epoch = cell.Epoch()
	}
	service, err := api.Serve(c, cell)
	if err != nil {
		return nil, err
	}
	m.shown.api.Store(service)
	m.events.Miss()
	if m.election == nil {
		return service.Close, nil
	}
	return func(ctx context.Context) error {
		if _, none := m.election.Successor(""); none != nil {
			return service.Close(ctx)
		}
		err := service.Refuse(ctx)
		m.lingering.Go(func() { m.linger(service) })
		return err
	}, nil
}

const (
	// lingerMax bounds how long a leader that has gone refuses requests, lingerAfter how long it does so when its successor
	// leads: then all NATS servers know where that is.
	lingerMax, lingerAfter = time.Second, 100 * time.Millisecond
	lingerLook             = 10 * time.Millisecond
)

// linger lets a service refuse requests until the next leader takes them. One that was sent while NATS servers still
// believed in it would else get no answer at all.
func (m *masterParts) linger(service *api.Service) {
	look, most := time.NewTicker(lingerLook), time.After(lingerMax)
	defer look.Stop()
	for heard := false; !heard; {
		select {
		case <-look.C:
			leader := m.election.Leader()
			heard = leader != "" && leader != m.spec.Config.Master.ID
		case <-most:
			heard = true
		}
	}
	<-time.After(lingerAfter)
	ctx, cancel := context.WithTimeout(context.Background(), lingerMax)
	defer cancel()
	if err := service.Close(ctx); err != nil {
		m.spec.Log.Debug("API of a reign that is over", "error", err)
	}
}

// openStale answers reads that may be stale as long as this master lives, whether it leads or not.
func (m *masterParts) openStale(context.Context) error {
	if m.asked == nil {
		return nil
	}
	s := m.spec
	service, err := api.ServeStale(api.Config{Conn: m.asked, Cell: s.Config.Cell.Name, Version: semantic(s.Version), Log: s.Log}, m.process.cell)
	if err == nil {
		m.process.parts.add("stale reads", service.Close)
	}
	return err
}

// link is the way to agents. It goes nowhere while this master does not lead.
type link struct{ atomic.Pointer[fabric.Master] }

// Send implements actors.Fabric.
func (l *link) Send(message *v1.ToAgent) {
	if f := l.Load(); f != nil {
		f.Send(message)
	}
}

// Logs implements actors.Fabric.
func (l *link) Logs(ctx context.Context, place *v1.LogPlace, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	if f := l.Load(); f != nil {
		return f.Logs(ctx, place, req, fn)
	}
	return model.Unavailable("this master does not lead any more")
}

// hostname is the machine's, as well as it can be known.
func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}
