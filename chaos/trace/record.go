package trace

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// pointsMax bounds the curve: when it is full every other point goes, and points are taken half as often.
const pointsMax = 1024

// instancesMax bounds the instances of all jobs together.
const instancesMax = 20_000_000

// recorder writes down what agents see. It knows nothing of the scheduler but what it makes machines do.
type recorder struct {
	jobs     []jobRecord
	byStage  map[stageKey]int32
	tries    []try // of all instances, by the offset of their job
	queues   []string
	byQueue  map[string]int32
	shapes   []shape
	byShape  map[string]int32
	mean     amount // of the slots of the whole workload
	capacity amount
	dims     []int // those that the machines have and the work wants
	scarce   int   // the dimension by which arrivals are counted

	start   time.Time
	held    amount
	peak    amount
	area    [len(amount{})]float64 // held over time, in seconds
	areaAt  time.Time
	arrived amount
	waiting uint64
	running map[*slot]placed
	points  []Point
	// asked and given are sums of hundredths, by hundredths of the capacity that had arrived; for workloads tried once.
	asked, given []float64
	stride       int
	skipped      int
	fullest      moment
	fullness     float64
}

// jobRecord is one job.
type jobRecord struct {
	at     time.Duration
	run    time.Duration
	offset int32
	count  int32
	stage  int32
	queue  int32
	shape  int32
	// gone: withdrawn, so the end of its attempts is no eviction.
	gone bool
}

// try is one instance: when it first began and when it ended, after the start; -1 if it did not.
type try struct {
	begun, ended time.Duration
	evicted      uint32
	lost         time.Duration // that evicted attempts had run
	running      bool
	// settled: it had ended before the play began.
	settled bool
}

// moment is what all machines hold at one time.
type moment struct {
	at      time.Time
	held    []placed
	devices [][]int32 // milli held of each device, by machine
}

// stageKey names one stage of one job.
type stageKey struct {
	job   model.JobID
	stage uint32
}

func newRecorder(nodes []*v1.NodeInfo, start time.Time) *recorder {
	r := &recorder{
		byStage: map[stageKey]int32{}, byQueue: map[string]int32{}, byShape: map[string]int32{},
		running: map[*slot]placed{}, stride: 1, start: start, areaAt: start,
	}
	for _, info := range nodes {
		r.capacity = r.capacity.add(capacityOf(info))
	}
	return r
}

// compile takes in the jobs of a workload: every one must be valid.
func (r *recorder) compile(w *Workload) error {
	for i := range w.Jobs {
		j := &w.Jobs[i]
		plan, problems := model.Compile(j.Spec)
		if len(problems) > 0 {
			return model.Invalid("job "+jobID(j.Spec).String()+" is not valid", problems...)
		}
		if err := r.add(plan, 0, j.At, j.Run); err != nil {
			return err
		}
	}
	r.measure()
	return nil
}

// add takes in one stage of a job.
func (r *recorder) add(plan *model.Plan, stage int, at, run time.Duration) error {
	n := int64(plan.Stages[stage].Instances)
	if int64(len(r.tries))+n > instancesMax {
		return fmt.Errorf("trace: more than %d instances", instancesMax)
	}
	r.byStage[stageKey{plan.ID, uint32(stage)}] = int32(len(r.jobs))
	r.jobs = append(r.jobs, jobRecord{
		at: at, run: run, offset: int32(len(r.tries)), count: int32(n), stage: int32(stage), queue: r.queueOf(plan.ID.Queue),
		shape: r.shapeOf(plan.Service, &plan.Stages[stage]),
	})
	for range n {
		r.tries = append(r.tries, try{begun: -1, ended: -1})
	}
	return nil
}

// measure sums up what the stages want, once all are there.
func (r *recorder) measure() {
	total, slots := amount{}, int64(0)
	for _, s := range r.shapes {
		slots += s.wanted
		for d, v := range s.size {
			total[d] += v * s.wanted
		}
	}
	for d := range total {
		if r.mean[d] = total[d] / max(slots, 1); r.mean[d] > 0 && r.capacity[d] > 0 {
			r.dims = append(r.dims, d)
		}
	}
	r.scarce = scarcest(total, r.capacity)
}

// scarcest is devices if the cell has any, else what is wanted most.
func scarcest(total, capacity amount) int {
	if capacity[devices] > 0 {
		return devices
	}
	best := 0
	for d := range total {
		if capacity[d] > 0 && float64(total[d])/float64(capacity[d]) > float64(total[best])/float64(max(capacity[best], 1)) {
			best = d
		}
	}
	return best
}

func (r *recorder) queueOf(name string) int32 {
	i, known := r.byQueue[name]
	if !known {
		i = int32(len(r.queues))
		r.byQueue[name] = i
		r.queues = append(r.queues, name)
	}
	return i
}

func (r *recorder) shapeOf(service bool, st *model.StagePlan) int32 {
	s := shape{size: sizeOf(st), service: service}
	if st.Extra != nil {
		s.count, s.milli = int64(st.Extra.Devices.Count), int64(st.Extra.Devices.Milli)
		s.models = st.Extra.Devices.Models
	}
	key := fmt.Sprint(s.size, s.service, s.count, s.milli, strings.Join(s.models, "|"))
	i, known := r.byShape[key]
	if !known {
		i = int32(len(r.shapes))
		r.byShape[key] = i
		r.shapes = append(r.shapes, s)
	}
	r.shapes[i].wanted += int64(st.Instances)
	return i
}

// since is a moment as a duration after the start.
func (r *recorder) since(t time.Time) time.Duration { return t.Sub(r.start) }

// arrive notes that a job is submitted.
func (r *recorder) arrive(i int) {
	j := &r.jobs[i]
	r.waiting += uint64(j.count)
	for d, v := range r.shapes[j.shape].size {
		r.arrived[d] += v * int64(j.count)
	}
}

// withdraw notes that a job is stopped by who has submitted it.
func (r *recorder) withdraw(i int) {
	j := &r.jobs[i]
	j.gone = true
	for k := range r.triesOf(j) {
		if r.tries[int(j.offset)+k].begun < 0 {
			r.waiting--
		}
	}
}

func (r *recorder) triesOf(j *jobRecord) []try { return r.tries[j.offset : j.offset+j.count] }

// job finds the job of an attempt; nil if the workload has no such job.
func (r *recorder) job(t *v1.Template) *jobRecord {
	i, known := r.byStage[stageKey{model.JobID{Queue: t.GetQueue(), Name: t.GetJob()}, t.GetStage()}]
	if !known {
		return nil
	}
	return &r.jobs[i]
}

// length says how long an attempt runs.
func (r *recorder) length(t *v1.Template, _ *v1.Launch) time.Duration {
	if j := r.job(t); j != nil {
		return j.run
	}
	return Forever
}

func (r *recorder) began(a *agent, s *slot) {
	j := r.job(s.template)
	if j == nil {
		return
	}
	now := s.since
	r.advance(now)
	r.held = r.held.add(r.shapes[j.shape].size)
	for d := range r.held {
		r.peak[d] = max(r.peak[d], r.held[d])
	}
	r.running[s] = placed{node: int32(a.number), shape: j.shape}
	r.waiting--
	t := &r.tries[int(j.offset)+int(s.launch.GetIndex())]
	if t.running = true; t.begun < 0 {
		t.begun = r.since(now)
	}
}

func (r *recorder) ended(a *agent, s *slot, phase v1.AttemptPhase, now time.Time) {
	j := r.job(s.template)
	if j == nil {
		return
	}
	r.advance(now)
	r.held = r.held.sub(r.shapes[j.shape].size)
	delete(r.running, s)
	t := &r.tries[int(j.offset)+int(s.launch.GetIndex())]
	t.running = false
	switch {
	case phase == v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED:
		t.ended = r.since(now)
	case !j.gone:
		t.evicted++
		t.lost += now.Sub(s.since)
		r.waiting++
	}
}

// advance adds what was held until now.
func (r *recorder) advance(now time.Time) {
	s := now.Sub(r.areaAt).Seconds()
	if s <= 0 {
		return
	}
	for d := range r.held {
		r.area[d] += float64(r.held[d]) * s
	}
	r.areaAt = now
}

// sample takes a point of the curve, unless there are enough, and remembers the fullest moment.
func (r *recorder) sample(now time.Time, machines []*agent) {
	full := 0.0
	for d := range r.held {
		if r.capacity[d] > 0 {
			full += float64(r.held[d]) / float64(r.capacity[d])
		}
	}
	if full > r.fullness*1.01 || r.fullest.held == nil {
		r.fullness = full
		r.fullest = r.look(now, machines)
	}
	if r.skipped++; r.skipped < r.stride {
		return
	}
	r.skipped = 0
	if len(r.points) == pointsMax {
		for i := range pointsMax / 2 {
			r.points[i] = r.points[2*i+1]
		}
		r.points = r.points[:pointsMax/2]
		r.stride *= 2
	}
	r.points = append(r.points, r.point(now))
}

// tally notes how much was given when so much had been asked for, as the study of the openb traces does: shares are rounded
// to hundredths of a percent, and averaged over the arrivals of each percent that was asked for.
func (r *recorder) tally() {
	capacity := float64(max(r.capacity[r.scarce], 1))
	d := int(math.RoundToEven(float64(r.arrived[r.scarce]) / capacity * 100))
	for len(r.asked) <= d {
		r.asked, r.given = append(r.asked, 0), append(r.given, 0)
	}
	r.asked[d]++
	r.given[d] += math.RoundToEven(float64(r.held[r.scarce])/capacity*1e4) / 100
}

// byDemand is the mean of what was given in percent, by percent of the capacity that had been asked for; where nothing
// arrived it is as before.
func (r *recorder) byDemand() []float64 {
	curve := make([]float64, len(r.asked))
	for d := range curve {
		if r.asked[d] > 0 {
			curve[d] = r.given[d] / r.asked[d]
		} else if d > 0 {
			curve[d] = curve[d-1]
		}
	}
	return curve
}

func (r *recorder) point(now time.Time) Point {
	p := Point{
		AtS: r.since(now).Seconds(), Running: uint64(len(r.running)), Waiting: r.waiting,
		Arrived: float64(r.arrived[r.scarce]) / float64(max(r.capacity[r.scarce], 1)),
	}
	for _, d := range r.dims {
		p.Held = append(p.Held, float64(r.held[d])/float64(max(r.capacity[d], 1)))
	}
	return p
}

// look copies what all machines hold.
func (r *recorder) look(now time.Time, machines []*agent) moment {
	m := moment{at: now, held: make([]placed, 0, len(r.running)), devices: make([][]int32, len(machines))}
	for _, p := range r.running { //order: it is counted, in any order
		m.held = append(m.held, p)
	}
	for i, a := range machines {
		if len(a.devices) > 0 {
			m.devices[i] = append([]int32(nil), a.devices...)
		}
	}
	return m
}
