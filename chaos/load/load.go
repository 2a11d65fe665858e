package load

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// ServiceName is the job with the services.
	ServiceName = "service"
	// CPUMilli is what an attempt takes of a node.
	CPUMilli = 50
	// underWay bounds the submits of the stream that wait for their answers; the stream pauses then.
	underWay = 64
	// submitWithin is how long a submit is tried again before it is given up as unanswered.
	submitWithin = 30 * time.Second
)

// Ack is a submit that the cell has acknowledged.
type Ack struct {
	Job, Key string
	UID      uint64
	// Instances that the job has; all of them must have a result in the end, unless it is a Service.
	Instances int
	Service   bool
}

// Operation is one call of a client, for the timeline.
type Operation struct {
	Kind        string
	Begun, Done time.Time
	// Err is empty if it was answered.
	Err string
}

// Load is the work given to one cell.
type Load struct {
	cell  api.Cell
	w     scenario.Workload
	files Files
	begun time.Time

	mu         sync.Mutex
	acks       []Ack
	unanswered []string // keys
	operations []Operation
	history    []history.Op
}

// Files are where attempts find what they need.
type Files struct {
	// Effects is the folder in which attempts note what they do, Leash the pipe that services wait on. In a cell that is
	// elsewhere there are neither: attempts note nothing, and services end after Lasts.
	Effects, Leash string
	Lasts          time.Duration
	// Prefix begins the names of all jobs and their keys.
	Prefix string
}

// New makes the load of a cell.
func New(cell api.Cell, w scenario.Workload, files Files) *Load {
	return &Load{cell: cell, w: w, files: files, begun: time.Now()}
}

// Begin submits the services and returns when all of them run.
func (l *Load) Begin(ctx context.Context) error {
	if l.w.Services == 0 {
		return nil
	}
	if err := l.submit(ctx, l.service(), l.files.Prefix+"service"); err != nil {
		return fmt.Errorf("the services cannot be submitted: %w", err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := l.cell.JobStatus(ctx, &v1.JobRef{Queue: api.DefaultQueue, Name: l.files.Prefix + ServiceName})
		if err == nil && status.GetCounts().GetRunning() == uint64(l.w.Services) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d services run: %w; %w", status.GetCounts().GetRunning(), l.w.Services, context.Cause(ctx), err)
		}
	}
}

// Run submits until ctx ends, and returns when no call is under way any more.
func (l *Load) Run(ctx context.Context) {
	var all sync.WaitGroup
	if l.w.Every > 0 {
		all.Add(1)
		go func() { defer all.Done(); l.stream(ctx) }()
	}
	for i := range l.w.Clients {
		all.Add(1)
		go func() { defer all.Done(); l.client(ctx, i) }()
	}
	all.Wait()
}

// stream submits one batch job after another at its pace, whatever becomes of those before.
func (l *Load) stream(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, underWay)
	tick := time.NewTicker(l.w.Every.Std())
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-room }()
			// What was begun goes on when the stream ends: its answer says whether the job must be there.
			calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), submitWithin)
			defer cancel()
			name := fmt.Sprintf("%sbatch-%d", l.files.Prefix, i)
			_ = l.submit(calling, l.batch(name, l.w.Instances), "key-"+name) // noted as unanswered
		}()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// submit makes a job durable and notes the answer.
func (l *Load) submit(ctx context.Context, job *v1.JobSpec, key string) error {
	op := Operation{Kind: "submit", Begun: time.Now()}
	reply, err := l.cell.Submit(ctx, &v1.SubmitRequest{Job: job, Key: key})
	op.Done = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		op.Err = err.Error()
		l.unanswered = append(l.unanswered, key)
	} else {
		l.acks = append(l.acks, Ack{
			Job: job.GetName(), Key: key, UID: reply.GetUid(), Instances: int(job.GetStages()[0].GetInstances()), Service: job.GetKind() == "service",
		})
	}
	l.operations = append(l.operations, op)
	return err
}

// batch is a job of short attempts, each of which leaves its fence as the result.
func (l *Load) batch(name string, instances int) *v1.JobSpec {
	script := l.note("b") + fmt.Sprintf("sleep %.3f; ", l.w.Work.Std().Seconds()) + l.note("e") + `printf %s "$TROUPE_FENCE" > "$TROUPE_RESULT"`
	return job(name, "batch", instances, script)
}

// service is a job whose attempts run until the leash is let go.
func (l *Load) service() *v1.JobSpec {
	waits := "read never < " + quote(l.files.Leash)
	if l.files.Leash == "" {
		waits = fmt.Sprintf("exec sleep %d", int(l.files.Lasts.Seconds()))
	}
	return job(l.files.Prefix+ServiceName, "service", l.w.Services, l.note("b")+waits)
}

// note is a command that writes one line into the file of the node, in one write; nothing if there is no such file.
func (l *Load) note(what string) string {
	if l.files.Effects == "" {
		return ""
	}
	return fmt.Sprintf(`printf '%s %%s %%s %%s %%s %%s %%s\n' "$(date +%%s%%N)" "$TROUPE_JOB_UID" "$TROUPE_STAGE" "$TROUPE_INDEX" "$TROUPE_ATTEMPT" "$TROUPE_FENCE" >> %s/"$TROUPE_NODE"; `,
		what, quote(filepath.Clean(l.files.Effects)))
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func job(name, kind string, instances int, script string) *v1.JobSpec {
	return &v1.JobSpec{Name: name, Kind: kind, Stages: []*v1.StageSpec{{
		Name: "work", Instances: int64(instances), Command: []string{"sh", "-c", script},
		Resources: &v1.Resources{Cpu: fmt.Sprintf("%dm", CPUMilli), Memory: "1Mi"},
		Stop:      &v1.Stop{Grace: "1s"},
		Spread:    "node", // or one node has it all, and the death of another shows nothing
	}}}
}

// Acks are the submits that were acknowledged; Unanswered the keys of those that were not.
func (l *Load) Acks() (acks []Ack, unanswered []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Ack(nil), l.acks...), append([]string(nil), l.unanswered...)
}

// Operations are all calls, and History those of the clients that are judged.
func (l *Load) Operations() ([]Operation, []history.Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Operation(nil), l.operations...), append([]history.Op(nil), l.history...)
}
