package history

import (
	"fmt"
	"math"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
)

// Kind is what a client asked for.
type Kind string

const (
	// Submit asks for a job, with a key.
	Submit Kind = "submit"
	// Status asks where the newest job of a name stands.
	Status Kind = "status"
	// Stop asks the newest job of a name to end.
	Stop Kind = "stop"
	// List looks for a name in the list of all jobs of its queue, ended ones among them.
	List Kind = "list"
)

// Outcome is what a client knows of an operation when it is over.
type Outcome string

const (
	// Done: it was answered as asked for.
	Done Outcome = "done"
	// Absent: the answer is that there is no job of that name.
	Absent Outcome = "absent"
	// Conflict: a submit was refused because of what is there.
	Conflict Outcome = "conflict"
	// Refused: it was refused before it could have had an effect, by a limit for instance.
	Refused Outcome = "refused"
	// Unknown: there was no answer, or one that leaves open what became of it.
	Unknown Outcome = "unknown"
)

// Op is one operation of one client: what it asked, when, and what it was told. Times are in nanoseconds on one
// monotonic clock for the whole history.
type Op struct {
	Client  int     `json:"client"`
	Kind    Kind    `json:"kind"`
	Job     string  `json:"job"`
	Call    int64   `json:"call_ns"`
	Return  int64   `json:"return_ns"`
	Outcome Outcome `json:"outcome"`
	// Key is the idempotency key of a submit; Spec tells equal specs from others, by a checksum for instance.
	Key  string `json:"key,omitempty"`
	Spec string `json:"spec,omitempty"`
	// UID is the job that the answer is about, Created whether this submit made it.
	UID     uint64 `json:"uid,omitempty"`
	Created bool   `json:"created,omitempty"`
	// Phase is that of the answer, as the API spells it.
	Phase string `json:"phase,omitempty"`
	// Error is what the client was told instead, for people.
	Error string `json:"error,omitempty"`
}

// Limits of what is read.
const (
	// OpsMax is the most operations of a history.
	OpsMax = 1_000_000
	// LineMax is the most bytes of one line.
	LineMax = 64 << 10
	// ClientsMax is the most clients.
	ClientsMax = 100_000
)

// forever is when an operation of unknown outcome ends: it can have its effect until then.
const forever = math.MaxInt64

// Check says what is wrong with an operation, naming the field; nil if nothing is.
func (o *Op) Check() error {
	switch {
	case o.Client < 0 || o.Client >= ClientsMax:
		return fmt.Errorf("client: %d is not a number from 0 to %d", o.Client, ClientsMax-1)
	case o.Job == "":
		return fmt.Errorf("job: it is empty; give the name that the operation is about, such as default/render")
	case o.Call < 0:
		return fmt.Errorf("call_ns: %d is before the history; times begin with 0", o.Call)
	case o.Outcome != Unknown && o.Return < o.Call:
		return fmt.Errorf("return_ns: %d is before call_ns, %d", o.Return, o.Call)
	case o.Outcome == "":
		return fmt.Errorf("outcome: it is missing; give one of %s, %s, %s, %s, %s", Done, Absent, Conflict, Refused, Unknown)
	}
	switch o.Kind {
	case Submit:
		return o.checkSubmit()
	case Status, Stop, List:
		return o.checkQuestion()
	}
	return fmt.Errorf("kind: %q is not known; give one of %s, %s, %s, %s", o.Kind, Submit, Status, Stop, List)
}

func (o *Op) checkSubmit() error {
	switch {
	case o.Key == "":
		return fmt.Errorf("key: a submit without a key may make a job each time it is tried, and cannot be judged")
	case strings.ContainsAny(o.Key+o.Spec, "\n\t"):
		return fmt.Errorf("key: neither it nor spec may have tabs or line breaks")
	case o.Outcome == Done && o.UID == 0:
		return fmt.Errorf("uid: a submit that is done has made or found a job; give its uid")
	case o.Outcome == Absent:
		return fmt.Errorf("outcome: a submit is never %q; it is %q if its queue is not there", Absent, Refused)
	}
	return o.outcomeIn(Done, Conflict, Refused, Unknown)
}

func (o *Op) checkQuestion() error {
	switch {
	case o.Outcome == Done && o.Kind != Stop && o.UID == 0:
		return fmt.Errorf("uid: give that of the job that the answer is about")
	case o.Outcome == Done && phaseOf(o.Phase) == none:
		return fmt.Errorf("phase: %q is not a phase of a job; it is one of %s", o.Phase, strings.Join(phases(), ", "))
	}
	return o.outcomeIn(Done, Absent, Refused, Unknown)
}

func (o *Op) outcomeIn(known ...Outcome) error {
	for _, k := range known {
		if o.Outcome == k {
			return nil
		}
	}
	return fmt.Errorf("outcome: %q is not one of a %s; give one of %v", o.Outcome, o.Kind, known)
}

// String is the operation in one line, for people.
func (o *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d %s %s", o.Client, o.Kind, o.Job)
	if o.Kind == Submit {
		fmt.Fprintf(&b, " key %s", o.Key)
		if o.Spec != "" {
			fmt.Fprintf(&b, " spec %s", o.Spec)
		}
	}
	b.WriteString(" -> ")
	switch {
	case o.Outcome != Done:
		b.WriteString(string(o.Outcome))
	case o.Kind == Submit && o.Created:
		fmt.Fprintf(&b, "made %d", o.UID)
	case o.Kind == Submit:
		fmt.Fprintf(&b, "found %d", o.UID)
	case o.UID == 0:
		b.WriteString(o.Phase)
	default:
		fmt.Fprintf(&b, "%d %s", o.UID, o.Phase)
	}
	if o.Error != "" {
		fmt.Fprintf(&b, " (%s)", o.Error)
	}
	return b.String()
}

// phase of a job, as far as everybody must see it alike: that it waits or runs is soft, and may be told either way.
type phase uint8

const (
	none phase = iota
	live
	stopping
	succeeded
	failed
	stopped
)

func phaseOf(text string) phase {
	switch text {
	case "pending", "running":
		return live
	case "stopping":
		return stopping
	case model.PhaseSucceeded:
		return succeeded
	case model.PhaseFailed:
		return failed
	case model.PhaseStopped:
		return stopped
	}
	return none
}

func phases() []string {
	return []string{"pending", "running", "stopping", model.PhaseSucceeded, model.PhaseFailed, model.PhaseStopped}
}

func (p phase) ended() bool { return p >= succeeded }

func (p phase) String() string {
	return [...]string{"none", "live", "stopping", model.PhaseSucceeded, model.PhaseFailed, model.PhaseStopped}[p]
}
