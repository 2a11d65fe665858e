package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/history"
	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/proc"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var noon = time.Unix(1_700_000_000, 0)

// book is a journal in memory.
type book struct {
	journal.Log
	records [][]byte
	first   uint64
}

func (b *book) Bounds(context.Context) (first, last uint64, err error) {
	return b.first, b.first + uint64(len(b.records)) - 1, nil
}

func (b *book) Read(_ context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	for i, data := range b.records {
		if seq := b.first + uint64(i); seq >= from {
			if err := fn(seq, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// write adds a record of an epoch that follows the one before.
func (b *book) write(t *testing.T, epoch uint64, events ...*v1.Event) {
	t.Helper()
	rec := &v1.Record{Seq: b.first + uint64(len(b.records)), Epoch: epoch, TimeUnixNano: noon.UnixNano(), Events: events}
	if n := len(b.records); n > 0 {
		_, hash, err := journal.DecodeRecord(b.records[n-1])
		if err != nil {
			t.Fatal(err)
		}
		rec.Prev = hash[:]
	}
	data, _, err := journal.EncodeRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	b.records = append(b.records, data)
}

func began(epoch uint64) *v1.Event {
	return &v1.Event{Kind: &v1.Event_EpochStarted{EpochStarted: &v1.EpochStarted{Epoch: epoch, Host: "h"}}}
}

func submitted(uid uint64, name, key string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{
		Uid: uid, Key: key, TimeUnixNano: noon.UnixNano(),
		Spec: &v1.JobSpec{Name: name, Queue: "default", Stages: []*v1.StageSpec{{Name: "work", Instances: 2, Command: []string{"true"}}}},
	}}}
}

func progressed(uid uint64, name string, from, to uint64) *v1.Event {
	return &v1.Event{Kind: &v1.Event_JobProgressed{JobProgressed: &v1.JobProgressed{
		Queue: "default", Name: name, Uid: uid, StageName: "work", Done: []*v1.Range{{From: from, To: to}},
	}}}
}

func ended(uid uint64, name string) *v1.Event {
	return &v1.Event{Kind: &v1.Event_JobEnded{JobEnded: &v1.JobEnded{Queue: "default", Name: name, Uid: uid, Phase: model.PhaseSucceeded, TimeUnixNano: noon.UnixNano()}}}
}

// good is the journal of one job that has ended, over two epochs.
func good(t *testing.T) *book {
	b := &book{first: 1}
	b.write(t, 1, began(1))
	b.write(t, 1, &v1.Event{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: &v1.QueueSpec{Name: "default"}}}}, submitted(1, "a", "ka"))
	b.write(t, 2, began(2))
	b.write(t, 2, progressed(1, "a", 0, 1))
	b.write(t, 2, progressed(1, "a", 1, 2), ended(1, "a"))
	return b
}

func readBook(t *testing.T, b *book) *Journal {
	t.Helper()
	j, err := ReadJournal(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// innocent is evidence of a run in which nothing was wrong.
func innocent(t *testing.T) *Evidence {
	e := &Evidence{
		Acks:    []load.Ack{{Job: "a", Key: "ka", UID: 1, Instances: 2}},
		Journal: readBook(t, good(t)),
		Jobs:    map[string]*v1.JobStatus{"a": {Name: "a", Uid: 1, Phase: model.PhaseSucceeded, EndedUnixMs: 1}},
		Results: map[string][]*v1.InstanceResult{},
		Moments: []Moment{{At: noon, Attempts: []proc.Attempt{{Node: "n", Fence: 11}, {Node: "n", Fence: 12}}}},
		Known:   []uint64{30}, Running: []uint64{30}, CapacityMilli: 100, CPUMilli: 50, Quiet: time.Minute,
		Ledgers: []Ledger{{Node: "n", Epoch: 2}}, Rows: 1, Processes: 3,
		Seen:    []Seen{{At: noon, Epoch: 1, Seq: 2}, {At: noon, Err: "nobody"}, {At: noon, Epoch: 2, Seq: 5}},
		History: []history.Op{{Kind: history.Submit, Job: "default/a", Key: "ka", UID: 1, Created: true, Outcome: history.Done, Call: 1, Return: 2}},
	}
	for i := range uint64(2) {
		fence := 11 + i
		e.Attempts = append(e.Attempts, load.Attempt{Node: "n", Stage: "work", UID: 1, Index: i, Fence: fence, Begun: noon, Ended: noon, Begins: 1, Ends: 1})
		e.Results["a"] = append(e.Results["a"], &v1.InstanceResult{Index: i, Data: strconv.AppendUint(nil, fence, 10)})
	}
	return e
}

func TestB42_TheInnocentIsAcquitted(t *testing.T) {
	for _, c := range Judge(innocent(t)) {
		if c.Broken > 0 || c.Checked == 0 {
			t.Errorf("%s: %d checked, %d broken: %v", c.Name, c.Checked, c.Broken, c.Violations)
		}
	}
}

// Every promise has a crime that breaks it, and no other crime is needed.
func TestF32_B42_EveryPromiseCanBeBroken(t *testing.T) {
	again := func(e *Evidence, fence uint64) {
		e.Attempts = append(e.Attempts, load.Attempt{Node: "n", UID: 1, Index: 0, Fence: fence, Begun: noon.Add(time.Second), Begins: 1})
	}
	crimes := map[string]map[string]func(*Evidence){
		"acknowledged": {
			"the cell forgot it":         func(e *Evidence) { delete(e.Jobs, "a") },
			"another is under its name":  func(e *Evidence) { e.Jobs["a"].Uid = 2 },
			"the journal does not hold":  func(e *Evidence) { delete(e.Journal.Submitted, 1) },
			"a client was told of a job": func(e *Evidence) { e.History[0].UID = 7 },
		},
		"one job a key": {"two jobs": func(e *Evidence) { e.Journal.Submitted[9] = Submitted{"b", "ka"} }},
		"one result": {
			"none":            func(e *Evidence) { e.Results["a"] = e.Results["a"][:1] },
			"two":             func(e *Evidence) { e.Results["a"] = append(e.Results["a"], e.Results["a"][0]) },
			"of nobody":       func(e *Evidence) { e.Results["a"][0].Data = []byte("99") },
			"of the unending": func(e *Evidence) { e.Attempts[0].Ends = 0 },
		},
		"fences": {"twice": func(e *Evidence) { e.Attempts[0].Begins = 2 }, "back": func(e *Evidence) { again(e, 3) }},
		"nothing restarts": {
			"again":  func(e *Evidence) { again(e, 13) },
			"failed": func(e *Evidence) { e.Jobs["a"].Counts = &v1.Counts{FailedAttempts: 1} },
		},
		"terminal": {
			"two ends": func(e *Evidence) { e.Journal.Twice = []string{"it ends again"} },
			"another":  func(e *Evidence) { e.Jobs["a"].Phase = model.PhaseFailed },
		},
		"epochs": {
			"back in the journal": func(e *Evidence) { e.Journal.Epochs = []uint64{2, 1} },
			"back in the answers": func(e *Evidence) { e.Seen = append(e.Seen, Seen{Epoch: 1, Seq: 9}) },
			"an older state":      func(e *Evidence) { e.Seen = append(e.Seen, Seen{Epoch: 2, Seq: 4}) },
		},
		"journal": {
			"damage": func(e *Evidence) { e.Journal.Wrong = errors.New("a flipped bit") },
			"none":   func(e *Evidence) { e.Journal, e.JournalErr = nil, errors.New("no stream") },
		},
		"capacity": {"too much": func(e *Evidence) { e.CapacityMilli = 99 }},
		"known":    {"a stranger": func(e *Evidence) { e.Running = append(e.Running, 31) }, "a ghost": func(e *Evidence) { e.Running = nil }},
		"stopped":  {"it runs": func(e *Evidence) { e.AfterStop = []proc.Attempt{{Fence: 30}} }},
		"finishes": {"it does not": func(e *Evidence) { e.Late = []string{"job a is pending"} }},
		"no crash": {"an end": func(e *Evidence) { e.Ends = []proc.Event{{ID: "master-1", Code: 1, Up: true}} }, "a signal": func(e *Evidence) { e.Ends = []proc.Event{{ID: "master-1", Code: -1}} }, "a panic": func(e *Evidence) { e.Panics = []string{"panic: x"} }},
		"order":    {"a wrong end": func(e *Evidence) { e.Disorder = []string{"exit 1"} }, "leftovers": func(e *Evidence) { e.Left = []int{1} }},
		"ledgers": {
			"held":      func(e *Evidence) { e.Ledgers[0].Slots = 1 },
			"no epoch":  func(e *Evidence) { e.Ledgers[0].Epoch = 3 },
			"not there": func(e *Evidence) { e.Ledgers[0].Err = errors.New("damaged") },
		},
		"flat": {"it grows": func(e *Evidence) { e.Growth = []string{"master-1: memory grows"} }},
		"linearizable": {"two jobs of a key": func(e *Evidence) {
			other := e.History[0]
			other.UID, other.Call, other.Return = 2, 3, 4
			e.History = append(e.History, other)
			e.Journal.Submitted[2] = Submitted{"a", "ka"}
		}},
	}
	for _, p := range promises() {
		if len(crimes[p.name]) == 0 {
			t.Errorf("%s: no crime breaks it", p.name)
		}
		for crime, commit := range crimes[p.name] {
			e := innocent(t)
			commit(e)
			for _, c := range Judge(e) {
				if c.Name == p.name && c.Broken == 0 {
					t.Errorf("%s: %s breaks nothing", p.name, crime)
				}
			}
		}
	}
}

func TestAForgottenJobIsJudgedByTheJournal(t *testing.T) {
	forget := func(results ...*v1.InstanceResult) (broken int) {
		e := innocent(t)
		delete(e.Jobs, "a")
		e.Results = nil
		e.Journal.Forgotten[1], e.Journal.Results[1] = true, results
		for _, c := range Judge(e) {
			broken += c.Broken
		}
		return broken
	}
	first, second := &v1.InstanceResult{Index: 0, Data: []byte("11")}, &v1.InstanceResult{Index: 1, Data: []byte("12")}
	if n := forget(first, second); n != 0 {
		t.Errorf("a job that is forgotten with its results breaks %d promises", n)
	}
	if n := forget(first); n != 1 {
		t.Errorf("a result that is missing breaks %d promises", n)
	}
}

// Of what was submitted before the first record that is kept the journal tells only that it has ended.
func TestAJobBeforeTheTrimIsNotJudgedByWhatIsGone(t *testing.T) {
	for _, known := range []bool{true, false} {
		e := innocent(t)
		delete(e.Jobs, "a")
		e.Results = nil
		e.Journal.Whole = false
		delete(e.Journal.Submitted, 1)
		if known {
			e.Journal.Forgotten[1] = true
		}
		broken := 0
		for _, c := range Judge(e) {
			broken += c.Broken
		}
		if known != (broken == 0) {
			t.Errorf("forgotten %v: %d promises are broken", known, broken)
		}
	}
}

func TestAStartThatFailsIsToldAndNoCrash(t *testing.T) {
	e := innocent(t)
	e.Ends = []proc.Event{{ID: "master-1", Code: 1}}
	for _, c := range Judge(e) {
		if c.Broken > 0 || c.Name == "no crash" && !strings.HasPrefix(c.Note, "1 starts failed") {
			t.Errorf("%s: %v, %q", c.Name, c.Violations, c.Note)
		}
	}
}

func TestRestartsCanBeAllowed(t *testing.T) {
	e := innocent(t)
	e.RestartsAllowed = true
	e.Attempts = append(e.Attempts, load.Attempt{UID: 1, Index: 0, Fence: 13, Begun: noon.Add(1), Begins: 1})
	for _, c := range Judge(e) {
		if c.Broken > 0 {
			t.Errorf("%s: %v", c.Name, c.Violations)
		}
		if c.Name == "nothing restarts" && !strings.HasPrefix(c.Note, "1 attempts") {
			t.Errorf("the note is %q", c.Note)
		}
	}
}

// What is wrong with a journal is found in its records, whatever wrote them.
func TestS5_DamageOfAJournalIsFound(t *testing.T) {
	for want, harm := range map[string]func(*book){
		"hash differs": func(b *book) {
			b.records[2] = b.forged(t, b.records[2], func(r *v1.Record) { r.Prev = make([]byte, 32) })
		},
		"record 3":     func(b *book) { b.records[2][len(b.records[2])/2] ^= 1 },
		"says that it": func(b *book) { b.records[1], b.records[2] = b.records[2], b.records[1] },
		"after epoch":  func(b *book) { b.write(t, 1, began(3)) },
		"contradicts":  func(b *book) { b.write(t, 2, progressed(7, "a", 0, 1)) },
	} {
		b := good(t)
		harm(b)
		j, err := ReadJournal(t.Context(), b)
		if err != nil || j.Wrong == nil || !strings.Contains(j.Wrong.Error(), want) {
			t.Errorf("%s: found %v, %v", want, j.Wrong, err)
		}
	}
	for want, more := range map[string][]*v1.Event{
		"submitted again":    {submitted(1, "a", "ka")},
		"ends again":         {ended(1, "a")},
		"done again":         {progressed(1, "a", 0, 1)},
		"is succeeded, make": {progressed(1, "a", 0, 1)},
	} {
		b := good(t)
		b.write(t, 2, more...)
		if j := readBook(t, b); !strings.Contains(strings.Join(j.Twice, "\n"), want) {
			t.Errorf("%s: found %v", want, j.Twice)
		}
	}
}

// forged is a record that was changed and encoded anew, with a checksum that fits.
func (b *book) forged(t *testing.T, data []byte, change func(*v1.Record)) []byte {
	t.Helper()
	rec, _, err := journal.DecodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	change(rec)
	if data, _, err = journal.EncodeRecord(rec); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestATrimmedJournalIsReadFromWhereItBegins(t *testing.T) {
	b := good(t)
	b.records, b.first = b.records[2:], 3
	j := readBook(t, b)
	if j.Whole || j.Wrong != nil || j.Records != 3 || fmt.Sprint(j.Epochs) != "[2]" {
		t.Errorf("read as %+v", j)
	}
	if j := readBook(t, &book{first: 1}); j.Whole || j.Records != 0 {
		t.Errorf("an empty one is read as %+v", j)
	}
}
