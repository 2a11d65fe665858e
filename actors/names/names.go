// Package names holds the actor that knows where the running instances of services are.
//
// Started by: tree ("names"). Owns: the endpoints of each service job. Durable: nothing. Promises: answers from what
// jobs last registered. When full: a job beyond the limit is not found by name, and that is logged. When restarted:
// asks all jobs to register again.
package names

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// jobsMax bounds the services that are found by name.
const jobsMax = 100_000

// Actor answers lookups.
type Actor struct {
	env  *msg.Env
	jobs map[model.JobID]*msg.Register
}

// New makes the actor.
func New(env *msg.Env) *Actor { return &Actor{env: env, jobs: map[model.JobID]*msg.Register{}} }

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		if m.Incarnation > 1 {
			ctx.Tell(a.env.Refs.Jobs, &msg.ToAllJobs{Message: &msg.EndpointsRequest{}})
		}
	case *msg.Register:
		a.register(ctx, m)
	case *msg.Lookup:
		a.lookup(ctx, m.Request.GetName())
	}
}

func (a *Actor) register(ctx *kit.Context, m *msg.Register) {
	old := a.jobs[m.ID]
	switch {
	case old != nil && old.UID > m.UID: // of a job that had the name before
	case len(m.Endpoints) == 0:
		delete(a.jobs, m.ID)
	case old == nil && len(a.jobs) >= jobsMax:
		ctx.Log().Warn("service not registered", "job", m.ID.String(), "limit", jobsMax)
	default:
		a.jobs[m.ID] = m
	}
}

// lookup answers [instance.][stage.]job.queue[.cell]; a job's name gives all its instances.
func (a *Actor) lookup(ctx *kit.Context, name string) {
	parts := strings.Split(strings.TrimSuffix(name, "."), ".")
	if n := len(parts); n > 2 && parts[n-1] == a.env.Cell {
		parts = parts[:n-1]
	}
	if len(parts) < 2 || len(parts) > 4 {
		ctx.Reply(model.Invalid("the name must be [instance.][stage.]job.queue, such as 0.web.default",
			&v1.FieldError{Field: "name", Problem: "has " + strconv.Itoa(len(parts)) + " parts", Hint: "0.web.default"}))
		return
	}
	id := model.JobID{Queue: parts[len(parts)-1], Name: parts[len(parts)-2]}
	reply := &v1.LookupReply{}
	if job := a.jobs[id]; job != nil {
		for _, e := range job.Endpoints {
			if matches(e, parts[:len(parts)-2]) {
				reply.Endpoints = append(reply.Endpoints, &v1.Endpoint{
					Name: fmt.Sprintf("%d.%s.%s.%s.%s", e.Index, e.Stage, id.Name, id.Queue, a.env.Cell),
					Node: string(e.Node), Fence: uint64(e.Fence),
				})
			}
		}
	}
	sort.Slice(reply.Endpoints, func(i, j int) bool { return reply.Endpoints[i].Fence < reply.Endpoints[j].Fence })
	ctx.Reply(reply)
}

// matches holds an endpoint against [instance][, stage].
func matches(e msg.Endpoint, parts []string) bool {
	for _, p := range parts {
		if index, err := strconv.ParseUint(p, 10, 64); err == nil {
			if index != e.Index {
				return false
			}
		} else if p != e.Stage {
			return false
		}
	}
	return true
}
