// Package names holds the actor that knows where the running instances of services are.
//
// Started by: tree ("names"). Owns: the endpoints of each service job. Durable: nothing. Promises: answers from what
// jobs last registered. When full: a job beyond the limit is not found by name, and that is logged. When restarted:
// asks all jobs to register again.
package names

import (
	"fmt"
	"slices"
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
	forms := [][]string{parts}
	if n := len(parts); n > 2 && parts[n-1] == a.env.Cell {
		forms = append(forms, parts[:n-1]) // or else it is the name of a queue
	}
	forms = slices.DeleteFunc(forms, func(f []string) bool { return len(f) < 2 || len(f) > 4 })
	if len(forms) == 0 {
		ctx.Reply(model.Invalid("the name must be [instance.][stage.]job.queue, such as 0.web.default",
			&v1.FieldError{Field: "name", Problem: "has " + strconv.Itoa(len(parts)) + " parts", Hint: "0.web.default"}))
		return
	}
	reply := &v1.LookupReply{}
	for _, form := range forms {
		n := len(form)
		id := model.JobID{Queue: form[n-1], Name: form[n-2]}
		job := a.jobs[id]
		if job == nil {
			continue
		}
		for _, e := range job.Endpoints {
			if matches(e, form[:n-2]) {
				reply.Endpoints = append(reply.Endpoints, &v1.Endpoint{
					Name: fmt.Sprintf("%d.%s.%s.%s.%s", e.Index, e.Stage, id.Name, id.Queue, a.env.Cell),
					Node: string(e.Node), Fence: uint64(e.Fence),
				})
			}
		}
		break
	}
	sort.Slice(reply.Endpoints, func(i, j int) bool { return reply.Endpoints[i].Fence < reply.Endpoints[j].Fence })
	ctx.Reply(reply)
}

// matches holds an endpoint against nothing, an instance or a stage, or an instance and its stage.
func matches(e msg.Endpoint, parts []string) bool {
	index := strconv.FormatUint(e.Index, 10)
	switch len(parts) {
	case 0:
		return true
	case 1:
		if _, err := strconv.ParseUint(parts[0], 10, 64); err == nil {
			return parts[0] == index
		}
		return parts[0] == e.Stage
	}
	return parts[0] == index && parts[1] == e.Stage
}
