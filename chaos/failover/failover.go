// Package failover kills the leading master of a cell of real processes again and again, and measures how long it takes
// until the next attempt begins, while services run and clients submit: what a user feels of the death of a master.
package failover

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/cell"
	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/pause"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Options of a measurement.
type Options struct {
	// Program is the command that runs Troupe.
	Program []string
	// Kills of the leader; Masters and Nodes there are, Services that run all the while, Every how often a small job is
	// submitted.
	Kills, Masters, Nodes, Services int
	Every                           time.Duration
	// Together kills the NATS server that leads the journal's stream with the master: both are one process then. Without it
	// there are three NATS servers beside the masters, which live on.
	Together bool
	// Resign lets the leader hand over in order instead of being killed.
	Resign bool
	// Pause is how long lies between a new leader and the next kill.
	Pause time.Duration
	// Say hears what goes on; nil for nobody.
	Say func(string)
}

// Report of a measurement. Times are in milliseconds.
type Report struct {
	Together bool `json:"nats_together"`
	Resigned bool `json:"resigned,omitempty"`
	Kills    int  `json:"kills"`
	// Placed is, for each kill, how long it took until an attempt of the next leader began.
	Placed []float64 `json:"placed_ms"`
	P50    float64   `json:"placed_p50_ms"`
	P99    float64   `json:"placed_p99_ms"`
	Max    float64   `json:"placed_max_ms"`
	// Led is the same until the next leader answered.
	LedP50 float64 `json:"led_p50_ms"`
	// Acked submits, of which Lost are not there or have not succeeded; Unanswered ones, Doubled instances that ran twice.
	Acked      int `json:"acked"`
	Lost       int `json:"lost"`
	Unanswered int `json:"unanswered"`
	Doubled    int `json:"doubled"`
	// Services that ran all the while, and how many attempts of them were begun beyond one each.
	Services  int `json:"services"`
	Restarted int `json:"restarted"`
	// Violations tell of the first things that went wrong.
	Violations []string `json:"violations,omitempty"`
}

const (
	upWithin   = 2 * time.Minute
	leadWithin = time.Minute
	endWithin  = 2 * time.Minute
	askEvery   = 20 * time.Millisecond
)

// Run opens a cell in a temporary folder, measures, and takes it away.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	dir, err := os.MkdirTemp("", "troupe-failover-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	shape := scenario.Cell{Masters: o.Masters, NATS: 3, Nodes: o.Nodes, CPU: 2 + o.Services*load.CPUMilli/1000/max(o.Nodes, 1)*2, Network: "proxy"}
	if o.Together {
		shape.NATS = 0
	}
	up, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	c, err := cell.Open(up, cell.Options{Shape: shape, Dir: dir, Program: o.Program, Tell: func(proc.Event) {}})
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	m := &measurement{o: o, cell: c, out: Report{Together: o.Together, Resigned: o.Resign, Kills: o.Kills, Services: o.Services}}
	m.load = load.New(c.Client(), scenario.Workload{
		Services: o.Services, Every: scenario.Duration(o.Every), Instances: 1, Work: scenario.Duration(time.Millisecond),
	}, load.Files{Effects: c.Effects, Leash: c.Leash()})
	if err := m.load.Begin(up); err != nil {
		return nil, err
	}
	o.Say(fmt.Sprintf("%d services run on %d nodes", o.Services, o.Nodes))
	return m.run(ctx)
}

type measurement struct {
	o     Options
	cell  *cell.Cell
	load  *load.Load
	kills []kill
	out   Report
}

// kill is one death of a leader.
type kill struct {
	at, led time.Time
	epoch   uint64 // that ended
}

func (m *measurement) run(ctx context.Context) (*Report, error) {
	working, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); m.load.Run(working) }()
	err := m.strike(ctx)
	stop()
	<-done
	if err != nil {
		return nil, err
	}
	return &m.out, m.judge(ctx)
}

// strike kills one leader after another.
func (m *measurement) strike(ctx context.Context) error {
	for i := range m.o.Kills {
		if err := pause.For(ctx, m.o.Pause); err != nil {
			return err
		}
		if err := m.killOne(ctx, i); err != nil {
			return fmt.Errorf("kill %d: %w", i+1, err)
		}
	}
	return pause.For(ctx, m.o.Pause)
}

func (m *measurement) killOne(ctx context.Context, i int) error {
	status, err := m.cell.Client().CellStatus(ctx, &v1.CellStatusRequest{})
	if err != nil {
		return err
	}
	leader := m.cell.Part(status.GetMaster())
	if leader == nil {
		return fmt.Errorf("the cell is led by %q, which is none of its masters", status.GetMaster())
	}
	if m.o.Together {
		if err := m.join(ctx, leader); err != nil {
			return err
		}
	}
	k := kill{at: time.Now(), epoch: status.GetEpoch()}
	if m.o.Resign {
		_, err = m.cell.Client().Resign(ctx, &v1.ResignRequest{Epoch: status.GetEpoch(), Reason: "measured"})
	} else {
		err = leader.Proc.Signal(syscall.SIGKILL)
	}
	if err != nil {
		return err
	}
	if k.led, err = m.nextLeader(ctx, k.epoch); err != nil {
		return err
	}
	m.kills = append(m.kills, k)
	m.o.Say(fmt.Sprintf("%d of %d: %s of epoch %d is gone, the next answers after %v", i+1, m.o.Kills, leader.ID, k.epoch, k.led.Sub(k.at).Round(time.Millisecond)))
	if m.o.Resign {
		return nil
	}
	if err := leader.Proc.Start(); err != nil {
		return err
	}
	up, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	_, err = leader.Proc.Up(up)
	return err
}

// nextLeader waits until one of a greater epoch answers.
func (m *measurement) nextLeader(ctx context.Context, epoch uint64) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, leadWithin, fmt.Errorf("nobody leads after %v", leadWithin))
	defer cancel()
	for {
		one, cancel := context.WithTimeout(ctx, time.Second)
		status, err := m.cell.Client().CellStatus(one, &v1.CellStatusRequest{})
		cancel()
		if err == nil && status.GetEpoch() > epoch {
			return time.Now(), nil
		}
		if err := pause.For(ctx, askEvery); err != nil {
			return time.Time{}, err
		}
	}
}

// judge waits until all that was acknowledged has ended, and looks what became of it.
func (m *measurement) judge(ctx context.Context) error {
	acks, unanswered := m.load.Acks()
	m.out.Unanswered = len(unanswered)
	deadline := time.Now().Add(endWithin)
	for _, ack := range acks {
		if ack.Job == load.ServiceName {
			continue
		}
		m.out.Acked++
		if why := m.ended(ctx, ack, deadline); why != "" {
			m.out.Lost++
			m.violation("job %s, acknowledged as %d: %s", ack.Job, ack.UID, why)
		}
	}
	attempts, err := load.Effects(m.cell.Effects)
	if err != nil {
		return err
	}
	m.count(attempts, acks)
	m.times(attempts)
	return ctx.Err()
}

// ended waits for the end of a job and says what is wrong with it.
func (m *measurement) ended(ctx context.Context, ack load.Ack, deadline time.Time) string {
	for {
		s, err := m.cell.Client().JobStatus(ctx, &v1.JobRef{Queue: api.DefaultQueue, Name: ack.Job})
		switch {
		case err == nil && s.GetUid() != ack.UID:
			return fmt.Sprintf("the cell has %d under that name", s.GetUid())
		case err == nil && s.GetEndedUnixMs() != 0:
			if s.GetPhase() != model.PhaseSucceeded {
				return "it has " + s.GetPhase() + ": " + s.GetReason()
			}
			return ""
		case time.Now().After(deadline) || ctx.Err() != nil:
			return fmt.Sprintf("it has not ended: %v %v", s.GetPhase(), err)
		}
		_ = pause.For(ctx, askEvery)
	}
}

// count finds what ran more than once.
func (m *measurement) count(attempts []load.Attempt, acks []load.Ack) {
	service := uint64(0)
	for _, a := range acks {
		if a.Job == load.ServiceName {
			service = a.UID
		}
	}
	type instance struct{ uid, index uint64 }
	ran := map[instance]int{}
	for _, a := range attempts {
		i := instance{a.UID, a.Index}
		ran[i] += a.Begins
		if ran[i] == 1 {
			continue
		}
		if a.UID == service {
			m.out.Restarted++
			m.violation("service %d was begun anew by attempt %d on %s", a.Index, a.Fence, a.Node)
		} else {
			m.out.Doubled++
			m.violation("instance %d of job %d ran again as attempt %d on %s", a.Index, a.UID, a.Fence, a.Node)
		}
	}
}

// times finds, for each kill, the first attempt of a later epoch.
func (m *measurement) times(attempts []load.Attempt) {
	var led []float64
	for _, k := range m.kills {
		i := slices.IndexFunc(attempts, func(a load.Attempt) bool { return a.Begun.After(k.at) && model.EpochOf(a.Fence) > k.epoch })
		led = append(led, ms(k.led.Sub(k.at)))
		if i < 0 {
			m.violation("nothing was placed after the end of epoch %d", k.epoch)
			continue
		}
		m.out.Placed = append(m.out.Placed, ms(attempts[i].Begun.Sub(k.at)))
	}
	m.out.P50, m.out.P99, m.out.Max = at(m.out.Placed, 50), at(m.out.Placed, 99), at(m.out.Placed, 100)
	m.out.LedP50 = at(led, 50)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// at is a percentile, by the nearest rank.
func at(values []float64, percent int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*percent+99)/100-1]
}

// violationsMax is how many are told.
const violationsMax = 20

func (m *measurement) violation(format string, args ...any) {
	if len(m.out.Violations) < violationsMax {
		m.out.Violations = append(m.out.Violations, fmt.Sprintf(format, args...))
	}
}
