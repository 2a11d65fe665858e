package sim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/chaos/history"
)

// cell is the name of the simulated cell.
const cell = "sim"

// tailMax is how many lines of the timeline a result keeps.
const tailMax = 50

// world is one run.
type world struct {
	opts Options
	p    profile
	st   *kit.Stepper
	rng  *rand.Rand
	// more is chance for what came later, see draw.
	more *rand.Rand
	// newest is chance for what came with several masters.
	newest *rand.Rand
	began  time.Time
	part   part

	disk     *disk
	truth    *truth
	master   *master   // that reigns, or nil
	masters  []*master // that live, zombies included
	hosts    []*host   // processes of masters, in a cell of several
	answered uint64    // greatest epoch of a master that has answered somebody
	twin     *machine  // that goes by the name of another one, or nil
	twins    int       // there have been
	machines []*machine
	links    []*link // by machine, to and from
	clients  clients
	shown    map[string]shown // what clients were told, by queue/name
	history  []history.Op     // what they asked about jobs
	events   int64            // questions and answers in it: its time
	load     load

	// todo is done between two steps, outside of every callback.
	todo    []func()
	buckets map[int64]*bucket
	limits  msg.Limits

	stateAt  uint64 // step of the next look at the whole state
	strike   uint64 // step of the next fault
	faulty   bool
	strikes  []Strike // faults that have struck
	struck   int      // of those in the schedule, so many have had their turn
	dieIn    int      // deliveries until an actor crashes; 0: none will
	frozen   map[*kit.System]bool
	coverage Coverage
	checked  [Checks]uint64
	broken   *Violation

	// still is the step at which time moved last, busy what was handled since, once that is a lot.
	still  uint64
	moment time.Time
	busy   map[string]int
	hash   uint64
	kinds  map[reflect.Type]uint64
	tail   []line
	lines  int
	stats  struct{ begun, reigns int }
}

// part of a run.
type part uint8

const (
	faults part = iota
	healing
	quiet
)

// line of the timeline; it is written out only if somebody reads it.
type line struct {
	step   uint64
	at     time.Duration
	what   string
	format string
	args   []any
}

func (l line) String() string {
	return fmt.Sprintf("%7d %11.4fs  %-8s %s", l.step, l.at.Seconds(), l.what, fmt.Sprintf(l.format, l.args...))
}

var birth = time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(o Options) *world {
	w := &world{
		opts: o, rng: rand.New(rand.NewPCG(o.Seed, 0x776f_726c_64)), more: rand.New(rand.NewPCG(o.Seed, 0x6d6f_7265)),
		newest: rand.New(rand.NewPCG(o.Seed, 0x6e65_7765_7374)), st: kit.NewStepper(o.Schedule.mailboxes(o.Seed), birth), began: birth,
		buckets: map[int64]*bucket{}, shown: map[string]shown{}, kinds: map[reflect.Type]uint64{}, frozen: map[*kit.System]bool{}, hash: 14695981039346656037,
	}
	w.p = draw(o, w.rng, w.more, w.newest)
	o.Schedule.limit(&w.p)
	w.limits = msg.DefaultLimits()
	w.limits.EndedJobs, w.limits.ReadLease = w.p.endedJobs, w.p.lease
	w.limits.Suspect, w.limits.Lost, w.limits.Settle = w.p.suspect, w.p.lost, w.p.settle
	w.disk, w.truth = newDisk(w), newTruth(w)
	w.say("world", "seed %d: %v", o.Seed, &w.p)
	w.st.OnTrace(w.trace)
	for i := range w.p.agents {
		w.machines = append(w.machines, newMachine(w, i))
		w.links = append(w.links, newLink(w, i))
	}
	for i := range w.p.masters {
		w.hosts = append(w.hosts, newHost(w, i))
	}
	w.clients.w, w.load.w = w, w
	w.load.prepare()
	o.Schedule.begin(w)
	return w
}

func (w *world) result() Result {
	r := Result{
		Seed: w.opts.Seed, Focus: w.p.focus, Theme: w.p.theme, asked: w.opts.Focus, Profile: w.p.String(), Steps: w.st.Steps(), FaultSteps: w.p.steps, Virtual: w.st.Now().Sub(w.began),
		Hash: w.hash, Violation: w.broken, Checked: w.checked, Coverage: w.coverage,
		Begun: w.stats.begun, Records: w.disk.last(), Jobs: len(w.truth.jobs), Reigns: w.stats.reigns,
	}
	r.Shapes = w.load.shapesOf()
	r.Strikes, r.steps, r.agents, r.jobs = w.strikes, w.opts.Steps, w.p.agents, w.p.jobs
	for i := range w.tail {
		r.Tail = append(r.Tail, w.tail[(w.lines+i)%len(w.tail)].String())
	}
	return r
}

// say adds a line to the timeline.
func (w *world) say(what, format string, args ...any) {
	l := line{w.st.Steps(), w.st.Now().Sub(w.began), what, format, args}
	if len(w.tail) < tailMax {
		w.tail = append(w.tail, l)
	} else {
		w.tail[w.lines%tailMax] = l
		w.lines++
	}
	w.mix(hashOf(what) ^ uint64(len(args)))
	if w.opts.Timeline != nil {
		fmt.Fprintln(w.opts.Timeline, l)
	}
}

// mix adds a number to the hash of the run.
func (w *world) mix(v uint64) { w.hash = (w.hash ^ v) * 1099511628211 }

// fail ends the run with a violation; the first one stands.
func (w *world) fail(c Check, format string, args ...any) {
	if w.broken != nil {
		return
	}
	w.broken = &Violation{Check: c, Text: fmt.Sprintf(format, args...), Step: w.st.Steps()}
	w.say("BROKEN", "%s: %s", c, w.broken.Text)
}

// did counts that a check had something to look at.
func (w *world) did(c Check) { w.checked[c]++ }

// chance is true n times of a thousand.
func (w *world) chance(n int) bool { return n > 0 && w.rng.IntN(1000) < n }

// upTo draws a duration below d.
func (w *world) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

func (w *world) between(a, b time.Duration) time.Duration { return a + w.upTo(b-a) }

// bucket is what happens at one moment: all of it before any actor goes on, so that what comes together competes.
type bucket struct{ fns []func() }

// after calls fn once d has passed. There is no way to take it back: fn looks whether it still has a meaning.
func (w *world) after(d time.Duration, fn func()) {
	at := w.st.Now().Add(max(d, 0)).UnixNano()
	if q := int64(w.p.quantum); q > 0 {
		at = (at + q - 1) / q * q
	}
	b := w.buckets[at]
	if b == nil {
		b = &bucket{}
		w.buckets[at] = b
		w.st.AfterFunc(time.Duration(at-w.st.Now().UnixNano()), func() {
			delete(w.buckets, at)
			for _, fn := range b.fns {
				fn()
			}
		})
	}
	b.fns = append(b.fns, fn)
}

// soon calls fn between two steps: what starts or ends processes must not happen within a callback.
func (w *world) soon(fn func()) { w.todo = append(w.todo, fn) }

func (w *world) later(d time.Duration, fn func()) { w.after(d, func() { w.soon(fn) }) }

// trace hears of every message before it is handled.
func (w *world) trace(t kit.Trace) {
	kind, ok := w.kinds[reflect.TypeOf(t.Message)]
	if !ok {
		kind = hashOf(fmt.Sprintf("%T", t.Message))
		w.kinds[reflect.TypeOf(t.Message)] = kind
	}
	w.mix(kind)
	w.mix(hashOf(t.Actor))
	w.mix(uint64(t.At.UnixNano()))
	w.checkStill(t)
	w.truth.heard(t)
	if w.opts.Messages && w.opts.Timeline != nil {
		fmt.Fprintf(w.opts.Timeline, "%v  from %s  %s\n", t, t.From, brief(t.Message))
	}
}

// stillMax is how many messages may be handled while time stands still.
const stillMax = 50_000

// checkStill looks whether the actors come to rest between two moments.
func (w *world) checkStill(t kit.Trace) {
	if !t.At.Equal(w.moment) {
		w.moment, w.still, w.busy = t.At, t.Step, nil
		w.did(NothingStuck)
		w.truth.checkGangs()
		return
	}
	switch n := t.Step - w.still; {
	case n > stillMax+1000:
		w.fail(NothingStuck, "%d messages are handled at one moment; of the last thousand: %s", n, mostly(w.busy))
	case n > stillMax:
		if w.busy == nil {
			w.busy = map[string]int{}
		}
		w.busy[fmt.Sprintf("%T at %s", t.Message, t.Actor)]++
	}
}

// mostly names what is counted most.
func mostly(count map[string]int) string {
	keys := sortedKeys(count)
	slices.SortStableFunc(keys, func(a, b string) int { return count[b] - count[a] })
	var b strings.Builder
	for _, k := range keys[:min(len(keys), 5)] {
		fmt.Fprintf(&b, "%d %s; ", count[k], k)
	}
	return b.String()
}

// hashOf is FNV-1a: the same on every machine.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func (w *world) logger(host string) *slog.Logger {
	if !w.opts.Messages || w.opts.Timeline == nil {
		return nil
	}
	return slog.New(slog.NewTextHandler(w.opts.Timeline, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})).With("host", host)
}

// step lets one thing happen. It returns false when nothing is left to happen before until, or the run is over.
func (w *world) step(until time.Time) bool {
	for len(w.todo) > 0 && w.broken == nil {
		fn := w.todo[0]
		w.todo = w.todo[1:]
		fn()
	}
	if w.broken != nil {
		return false
	}
	w.bury()
	if w.faulty && w.st.Steps() >= w.strike {
		w.strikeNow()
	}
	if w.st.Steps() >= w.stateAt && w.st.Idle() {
		w.stateAt = w.st.Steps() + stateEvery
		w.checkState()
	}
	return w.st.Step(until)
}

// stateEvery is how many steps lie between two comparisons of whole states.
const stateEvery = 256

// runFor lets the world live for d, or until ok says so; whether it said so.
func (w *world) runFor(d time.Duration, stepsMax uint64, ok func() bool) bool {
	until := w.st.Now().Add(d)
	last := w.st.Steps() + stepsMax
	w.after(d, func() {}) // time goes on even if nothing else happens
	for n := 0; w.broken == nil; n++ {
		if ok != nil && n%64 == 0 && ok() {
			return true
		}
		if !w.step(until) || w.st.Steps() >= last {
			return ok != nil && w.broken == nil && ok()
		}
	}
	return false
}
