package history

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what is known of a history.
type Verdict string

const (
	// Linearizable: one cell without any fault could have answered so.
	Linearizable Verdict = "linearizable"
	// Broken: it could not.
	Broken Verdict = "broken"
	// Undecided: the time was too short to find out.
	Undecided Verdict = "undecided"
)

// findingsMax is how many findings a report tells of; the others are counted.
const findingsMax = 20

// nameShare is which part of the time that is left one name may take: the others must have some, too.
const nameShare = 4

// Report is the judgement of a history.
type Report struct {
	Verdict Verdict `json:"verdict"`
	Ops     int     `json:"ops"`
	Clients int     `json:"clients"`
	Jobs    int     `json:"jobs"`
	// Unknown are operations whose outcome nobody learned.
	Unknown int `json:"unknown"`
	// BrokenJobs are names of which no order of the operations explains the answers; at most 20 are in Findings.
	BrokenJobs int       `json:"broken_jobs"`
	Findings   []Finding `json:"findings,omitempty"`
	// UndecidedJobs are names for which the time was too short; at most 20 are named.
	UndecidedJobs  int      `json:"undecided_jobs"`
	UndecidedNames []string `json:"undecided_names,omitempty"`
	Seconds        float64  `json:"seconds"`
}

// Finding tells of one job name whose answers contradict each other.
type Finding struct {
	Job string `json:"job"`
	// Problem in a sentence.
	Problem string `json:"problem"`
	// Ops are those that the problem is about: the one that fits nowhere last, those that led to it before it.
	Ops []string `json:"ops"`
}

// Check judges a history. It ends after about within, and says then of which names it does not know.
func Check(ops []Op, within time.Duration) Report {
	began := time.Now()
	r := Report{Verdict: Linearizable, Ops: len(ops)}
	clients := map[int]bool{}
	for i := range ops {
		clients[ops[i].Client] = true
		if ops[i].Outcome == Unknown {
			r.Unknown++
		}
	}
	r.Clients = len(clients)
	for _, f := range twins(ops) {
		r.broke(f)
	}
	names, parts := partition(ops)
	r.Jobs = len(names)
	for _, name := range names {
		left := within - time.Since(began)
		switch f, verdict := judge(name, parts[name], left/nameShare); verdict {
		case Broken:
			r.broke(f)
		case Undecided:
			r.UndecidedJobs++
			if len(r.UndecidedNames) < findingsMax {
				r.UndecidedNames = append(r.UndecidedNames, name)
			}
		}
	}
	switch {
	case r.BrokenJobs > 0:
		r.Verdict = Broken
	case r.UndecidedJobs > 0:
		r.Verdict = Undecided
	}
	r.Seconds = time.Since(began).Seconds()
	return r
}

func (r *Report) broke(f Finding) {
	r.BrokenJobs++
	if len(r.Findings) < findingsMax {
		r.Findings = append(r.Findings, f)
	}
}

// twins finds what no single name shows: one uid for two names, one key of a queue for two jobs.
func twins(ops []Op) (found []Finding) {
	uids, keys := map[uint64]*Op{}, map[string]*Op{}
	for i := range ops {
		op := &ops[i]
		if op.Outcome != Done || op.UID == 0 {
			continue
		}
		if first := uids[op.UID]; first == nil {
			uids[op.UID] = op
		} else if first.Job != op.Job {
			found = append(found, Finding{op.Job, fmt.Sprintf("job %d has two names", op.UID), []string{first.String(), op.String()}})
		}
		if op.Kind != Submit {
			continue
		}
		queue, _, _ := strings.Cut(op.Job, "/")
		if first := keys[queue+"\t"+op.Key]; first == nil {
			keys[queue+"\t"+op.Key] = op
		} else if first.Job != op.Job {
			found = append(found, Finding{op.Job, "key " + op.Key + " made jobs of two names", []string{first.String(), op.String()}})
		}
	}
	return found
}

// partition gives the operations of each name that tell something, and the names in order. A key that is used for
// several names of a queue is refused for all but one of them: such a conflict tells nothing of the name.
func partition(ops []Op) (names []string, parts map[string][]porcupine.Operation) {
	nameOf, shared := map[string]string{}, map[string]bool{}
	madeBy, madeUID := map[string]uint64{}, map[uint64]bool{}
	for i := range ops {
		op := &ops[i]
		if op.Kind != Submit {
			continue
		}
		if first, ok := nameOf[op.Key]; ok && first != op.Job {
			shared[op.Key] = true
		}
		nameOf[op.Key] = op.Job
		if op.Created {
			madeBy[op.Job+"\t"+op.Key], madeUID[op.UID] = op.UID, true
		}
	}
	parts = map[string][]porcupine.Operation{}
	for i := range ops {
		op := &ops[i]
		silent := op.Outcome == Unknown && op.Kind != Submit && op.Kind != Stop || op.Outcome == Conflict && shared[op.Key]
		if silent || op.Outcome == Refused {
			continue
		}
		p := porcupine.Operation{ClientId: op.Client, Input: &asked{op, madeBy[op.Job+"\t"+op.Key], !madeUID[op.UID]}, Call: op.Call, Return: op.Return}
		if op.Outcome == Unknown {
			p.Return = forever
		}
		if len(parts[op.Job]) == 0 {
			names = append(names, op.Job)
		}
		parts[op.Job] = append(parts[op.Job], p)
	}
	slices.Sort(names)
	return names, parts
}

// judge decides on one name.
func judge(name string, ops []porcupine.Operation, within time.Duration) (Finding, Verdict) {
	if within <= 0 {
		return Finding{}, Undecided
	}
	switch porcupine.CheckOperationsTimeout(cell(), ops, within) {
	case porcupine.Ok:
		return Finding{}, Linearizable
	case porcupine.Unknown:
		return Finding{}, Undecided
	}
	return explain(name, ops, within), Broken
}

// explain searches once more, to tell how far the longest order goes and what does not fit behind it.
func explain(name string, ops []porcupine.Operation, within time.Duration) Finding {
	const shown = 12
	f := Finding{Job: name, Problem: "no order of the operations explains all answers"}
	_, info := porcupine.CheckOperationsVerbose(cell(), ops, within)
	var longest []porcupine.Operation
	for _, orders := range info.PartialLinearizationsOperations() {
		for _, order := range orders {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	m := cell()
	s, placed := m.Init(), map[*asked]bool{}
	for _, o := range longest {
		_, s = m.Step(s, o.Input, nil)
		placed[o.Input.(*asked)] = true
	}
	for _, o := range longest[max(0, len(longest)-shown):] {
		f.Ops = append(f.Ops, o.Input.(*asked).String())
	}
	rest := slices.DeleteFunc(slices.Clone(ops), func(o porcupine.Operation) bool { return placed[o.Input.(*asked)] })
	if len(rest) == 0 {
		return f
	}
	first := slices.MinFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	f.Ops = append(f.Ops, first.Input.(*asked).String())
	f.Problem = fmt.Sprintf("in the longest order of operations that explains their answers %d of %d have a place; after them %s, and then comes: %s",
		len(longest), len(ops), m.DescribeState(s), first.Input.(*asked))
	return f
}

// drawnMax is how many names a page shows.
const drawnMax = 20

// Draw writes a page in HTML that shows the operations of broken names, or of the first names if none is, each with the
// order that was found. It is searched for no longer than within.
func Draw(w io.Writer, ops []Op, within time.Duration) error {
	names, parts := partition(ops)
	report := Check(ops, within)
	broken := map[string]bool{}
	for _, f := range report.Findings {
		broken[f.Job] = true
	}
	var shown [][]porcupine.Operation
	for _, name := range names {
		if len(shown) < drawnMax && (broken[name] || len(broken) == 0) {
			shown = append(shown, parts[name])
		}
	}
	m := cell()
	m.Partition = func([]porcupine.Operation) [][]porcupine.Operation { return shown }
	_, info := porcupine.CheckOperationsVerbose(m, slices.Concat(shown...), max(within, time.Second))
	return porcupine.Visualize(m, info, w)
}
