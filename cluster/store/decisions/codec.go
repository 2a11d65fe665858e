package decisions

import (
	"fmt"
	"time"
	"weak"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Kind says what an entry is.
type Kind uint8

// The kinds: a message that the actor heard, one that it sent because of it, something that it noted, and a gap: so many
// entries are missing, and nothing after it can be played again.
const (
	Heard Kind = iota + 1
	Said
	Noted
	Gap
)

// Entry is one line of a recording.
type Entry struct {
	Kind Kind
	// At is when it was heard; what is said and noted happens at the time of what was heard before it.
	At time.Time
	// From and To are addresses, as kit writes them; empty for nobody.
	From, To string
	// Message is the message as it was, or a Named; with a Gap it is how many entries are missing, a uint64.
	Message any
}

// Named is a message of which only the name of its type is known: that the actor has sent itself, or that says nothing.
type Named string

// line is an entry as gob writes it. Times are since the line before.
type line struct {
	Kind     Kind
	After    int64
	From, To string
	Name     string
	Message  *form
}

// form holds one message.
type form struct {
	Started      *kit.Started
	ViewsComing  *msg.ViewsComing
	NodesAwaited *msg.NodesAwaited
	Demand       *demandForm
	QueueReset   *msg.QueueReset
	QueueShare   *shareForm
	NodeView     *viewForm
	Reserved     *msg.Reserved
	Freed        *msg.Freed
	GetLedger    *bytesForm
	ViewRequest  *msg.ViewRequest
	Reserve      *msg.Reserve
	Evict        *msg.Evict
	Use          *useForm
	Ledger       *bytesForm
	Kept         *msg.Kept
	Back         *backForm
	Gap          uint64
}

type (
	// bytesForm is an encoded message of package v1.
	bytesForm struct{ Data []byte }
	// demandForm has its plan by number, and itself when it comes for the first time: the placer knows by the address of a
	// plan whether it is another one.
	demandForm struct {
		Demand msg.Demand
		Number uint64
		Plan   *model.StagePlan
	}
	shareForm struct {
		Queue string
		Plan  *model.QueuePlan
	}
	viewForm struct {
		View   msg.NodeView
		Number uint64
		Info   *bytesForm
	}
	useForm struct {
		Name    string
		Amounts [5][]byte // used, waiting, lent, borrowed, allowed; nil for none
	}
	// backForm is a message that came back undelivered.
	backForm struct {
		Lost    bool
		Message *line
	}
)

// plain are the messages of other actors that say nothing, or nothing that a decision hangs on: they are known by name.
func plain(name string) any {
	switch name {
	case "*msg.DemandRequest":
		return &msg.DemandRequest{}
	case "*msg.Rebuild":
		return &msg.Rebuild{}
	case "*msg.Unlearn":
		return &msg.Unlearn{}
	case "*msg.ExplainStages":
		return &msg.ExplainStages{Reply: &v1.ExplainReply{}}
	case "*msg.CellFacts":
		return &msg.CellFacts{Status: &v1.CellStatus{}}
	case "kit.Stopping":
		return kit.Stopping{}
	}
	return nil
}

// numbers tells things apart by their address, as long as somebody else holds on to them.
type numbers[T any] struct {
	known map[weak.Pointer[T]]uint64
	next  uint64
	sweep int
}

// of returns the number of a thing, and whether it is new.
func (n *numbers[T]) of(p *T) (number uint64, fresh bool) {
	if p == nil {
		return 0, false
	}
	w := weak.Make(p)
	if number, found := n.known[w]; found {
		return number, false
	}
	if n.known == nil {
		n.known = map[weak.Pointer[T]]uint64{}
	}
	if len(n.known) >= n.sweep {
		for w := range n.known { //order: each for itself
			if w.Value() == nil {
				delete(n.known, w)
			}
		}
		n.sweep = 2*len(n.known) + 1024
	}
	n.next++
	n.known[w] = n.next
	return n.next, true
}

// writer makes lines of what passes.
type writer struct {
	last  int64
	plans numbers[model.StagePlan]
	infos numbers[v1.NodeInfo]
}

func (w *writer) line(kind Kind, at int64, from, to kit.Ref, message any) (*line, error) {
	l := &line{Kind: kind, After: at - w.last, From: path(from), To: path(to)}
	w.last = at
	err := w.message(l, message)
	return l, err
}

func path(ref kit.Ref) string {
	if ref == nil {
		return ""
	}
	return ref.GetId()
}

// message puts a message into a line.
func (w *writer) message(l *line, message any) (err error) {
	f := &form{}
	switch m := message.(type) {
	case kit.Started:
		f.Started = &m
	case *msg.ViewsComing:
		f.ViewsComing = m
	case *msg.NodesAwaited:
		f.NodesAwaited = m
	case *msg.Demand:
		d := &demandForm{Demand: *m}
		d.Demand.Plan = nil
		var fresh bool
		if d.Number, fresh = w.plans.of(m.Plan); fresh {
			d.Plan = m.Plan
		}
		f.Demand = d
	case *msg.QueueReset:
		f.QueueReset = m
	case *msg.QueueShare:
		f.QueueShare = &shareForm{Queue: m.Queue}
		if m.Plan != nil {
			p := *m.Plan
			p.Spec = nil // all of it is in the plan
			f.QueueShare.Plan = &p
		}
	case *msg.NodeView:
		v := &viewForm{View: *m}
		v.View.Info = nil
		var fresh bool
		if v.Number, fresh = w.infos.of(m.Info); fresh {
			v.Info, err = encode(m.Info)
		}
		f.NodeView = v
	case *msg.Reserved:
		f.Reserved = m
	case *msg.Freed:
		f.Freed = m
	case *msg.GetLedger:
		f.GetLedger, err = encode(m.Request)
	case *kit.Busy:
		f.Back, err = w.back(false, m.Message)
	case *kit.Lost:
		f.Back, err = w.back(true, m.Message)
	case *msg.ViewRequest:
		f.ViewRequest = m
	case *msg.Reserve:
		f.Reserve = m
	case *msg.Evict:
		f.Evict = m
	case *msg.ToQueue:
		f.Use, err = encodeUse(m)
	case *v1.LedgerReply:
		f.Ledger, err = encode(m)
	case *msg.Kept:
		f.Kept = m
	case uint64:
		f.Gap = m
	default:
		l.Name = fmt.Sprintf("%T", m)
		return nil
	}
	l.Message = f
	return err
}

func (w *writer) back(lost bool, message any) (*backForm, error) {
	l := &line{}
	err := w.message(l, message)
	return &backForm{Lost: lost, Message: l}, err
}

func encode(m proto.Message) (*bytesForm, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return &bytesForm{data}, err
}

func encodeUse(m *msg.ToQueue) (*useForm, error) {
	use, is := m.Message.(*msg.QueueUse)
	if !is {
		return nil, fmt.Errorf("decisions: a message %T to a queue", m.Message)
	}
	f := &useForm{Name: m.Name}
	for i, a := range []*v1.Amounts{use.Used, use.Waiting, use.Lent, use.Borrowed, use.Allowed} {
		if a == nil {
			continue
		}
		b, err := encode(a)
		if err != nil {
			return nil, err
		}
		f.Amounts[i] = append([]byte{1}, b.Data...) // empty amounts are not the same as none
	}
	return f, nil
}
