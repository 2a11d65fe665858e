package replay

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/placer"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
)

// Options of a replay. The zero value decides as the recorded master did, if no program has added rules to it.
type Options struct {
	// Place is what the program had added to the placer, or what is to be tried instead.
	Place place.Options
	// Context is how many messages before a difference are told; 10 if zero.
	Context int
	// Each is called with every entry that is played; nil for nobody.
	Each func(decisions.Entry)
}

// Result tells of one segment.
type Result struct {
	Head decisions.Head
	// From and To are the times of the first and the last message.
	From, To time.Time
	// Heard and Said count messages, Slots those that were granted, Evicted those that were taken away.
	Heard, Said    uint64
	Slots, Evicted uint64
	// Missing is how many entries are missing at the end, because more came than could be written.
	Missing uint64
	// Failed is why the actor failed at the last message, then as now; nil if it did not.
	Failed error
	// Difference is where it decided otherwise than then; nil if it nowhere did.
	Difference *Difference
}

// Difference is the first message because of which the actor said something else.
type Difference struct {
	// Number of the message in the segment, from 1 on.
	Number uint64
	// Heard is the message, Before are those before it.
	Heard  decisions.Entry
	Before []decisions.Entry
	// At is the place among what it said, from 0 on; Then and Now are what it said there, nil for nothing.
	At        int
	Then, Now *decisions.Entry
	// Failed is why it failed now, if it did.
	Failed error
}

// errOver ends the reading of a segment.
var errOver = errors.New("over")

// File decides the segment in a file over again, up to the first difference.
func File(name string, o Options) (*Result, error) {
	r, err := Play(func(fn func(decisions.Head, decisions.Entry) error) error { return decisions.Read(name, fn) }, o)
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", name, err)
	}
	return r, nil
}

// Play decides a segment over again, up to the first difference. entries calls fn with what is in it, and returns its error.
func Play(entries func(fn func(decisions.Head, decisions.Entry) error) error, o Options) (*Result, error) {
	if o.Context == 0 {
		o.Context = 10
	}
	p := &play{options: o}
	err := entries(p.take)
	if err == nil {
		// What the last message led to may not have been written.
		p.cut = true
		err = p.turn()
	}
	if err != nil && !errors.Is(err, errOver) {
		return nil, err
	}
	if p.actor == nil {
		return nil, errors.New("nothing was decided in it")
	}
	return &p.result, nil
}

// play is a replay under way.
type play struct {
	options Options
	result  Result
	actor   *kit.Rehearsal
	self    kit.Ref

	// heard is the message of this turn, nil before the first; said is what came of it then.
	heard *decisions.Entry
	said  []decisions.Entry
	ids   []uint64
	extra uint64 // numbers drawn beyond those of then
	cut   bool

	reminders map[string]any
	evictions map[model.SlotID]*msg.Evict
	before    []decisions.Entry
}

// take takes the next entry of the recording.
func (p *play) take(head decisions.Head, e decisions.Entry) error {
	if p.actor == nil {
		if err := p.begin(head, e); err != nil {
			return err
		}
	}
	if p.options.Each != nil {
		p.options.Each(e)
	}
	switch e.Kind {
	case decisions.Heard:
		if err := p.turn(); err != nil {
			return err
		}
		p.heard, p.said, p.ids = &e, nil, nil
		p.result.To = e.At
	case decisions.Said:
		p.said = append(p.said, e)
		p.result.Said++
		switch m := e.Message.(type) {
		case *msg.Reserve:
			p.result.Slots += uint64(len(m.Slots))
			p.ids = append(p.ids, m.Serial)
			for _, s := range m.Slots {
				p.ids = append(p.ids, uint64(s))
			}
		case *msg.Evict:
			if _, again := p.evictions[m.Serial]; !again { // it is said again as it was
				p.result.Evicted += uint64(m.Count)
				p.ids = append(p.ids, uint64(m.Serial))
			}
		}
	case decisions.Gap:
		p.result.Missing, _ = e.Message.(uint64)
		p.cut = true
	}
	return nil
}

func (p *play) begin(head decisions.Head, e decisions.Entry) error {
	for _, name := range head.Scores {
		found := false
		for _, s := range p.options.Place.Scores {
			found = found || s.Name() == name
		}
		if !found {
			return fmt.Errorf("the recorded program had a score %q, which this one has not: it can be replayed by a program that has it", name)
		}
	}
	p.result.Head, p.result.From = head, e.At
	p.reminders, p.evictions = map[string]any{}, map[model.SlotID]*msg.Evict{}
	for _, m := range placer.Reminders() {
		p.reminders[fmt.Sprintf("%T", m)] = m
	}
	env := &msg.Env{Cell: head.Cell, Host: head.Host, Epoch: head.Epoch, Scores: head.Scores, IDs: msg.ToldIDs(head.Epoch, p.id)}
	env.Refs = msg.Refs{
		Journal: kit.NewRef(head.Journal), Names: kit.NewRef(head.Names), Placer: kit.NewRef(head.Placer), Queues: kit.NewRef(head.Queues),
		Jobs: kit.NewRef(head.Jobs), Nodes: kit.NewRef(head.Nodes), Gateway: kit.NewRef(head.Gateway),
	}
	p.self = env.Refs.Placer
	p.actor = kit.NewRehearsal(p.self, placer.New(env, p.options.Place))
	return nil
}

// id is the next number that the actor draws: the one that it drew then, or one that nobody has.
func (p *play) id() uint64 {
	if len(p.ids) == 0 {
		p.extra++
		return 1<<35 + p.extra
	}
	id := p.ids[0]
	p.ids = p.ids[1:]
	return id
}

// turn lets the actor hear the message of this turn, and compares what it says.
func (p *play) turn() error {
	if p.heard == nil {
		return nil
	}
	h := p.heard
	message, err := p.message(h.Message)
	if err != nil {
		return err
	}
	p.result.Heard++
	said, _, failed := p.actor.Hear(h.At, ref(h.From), message)
	for i := range max(len(said), len(p.said)) {
		var then, now *decisions.Entry
		if i < len(p.said) {
			then = &p.said[i]
		}
		if i < len(said) {
			s := said[i]
			now = &decisions.Entry{Kind: decisions.Said, At: h.At, From: id(s.From), To: id(s.To), Message: s.Message}
			if e, is := s.Message.(*msg.Evict); is {
				p.evictions[e.Serial] = e
			}
		}
		if then == nil && p.cut {
			break // it was not written any more
		}
		if then == nil || now == nil || then.From != now.From || then.To != now.To || !sameMessage(then.Message, now.Message) {
			p.result.Difference = &Difference{Number: p.result.Heard, Heard: *h, Before: p.before, At: i, Then: then, Now: now, Failed: failed}
			return errOver
		}
	}
	if failed != nil {
		if p.cut {
			p.result.Failed = failed
			return errOver
		}
		p.result.Difference = &Difference{Number: p.result.Heard, Heard: *h, Before: p.before, At: len(said), Failed: failed}
		return errOver
	}
	if p.before = append(p.before, *h); len(p.before) > p.options.Context {
		p.before = append(p.before[:0:0], p.before[1:]...)
	}
	if p.cut {
		return errOver
	}
	return nil
}

// message is a recorded message as the actor must hear it.
func (p *play) message(m any) (any, error) {
	switch m := m.(type) {
	case decisions.Named:
		if r, known := p.reminders[string(m)]; known {
			return r, nil
		}
		return nil, fmt.Errorf("a message of kind %s was recorded, which this version does not know", m)
	case *kit.Busy:
		inner, err := p.message(m.Message)
		return &kit.Busy{To: m.To, Message: inner}, err
	case *kit.Lost:
		inner, err := p.message(m.Message)
		return &kit.Lost{To: m.To, Message: inner}, err
	case *msg.Evict: // one that has come back: the actor knows its own
		if own := p.evictions[m.Serial]; own != nil {
			return own, nil
		}
	}
	return m, nil
}

func ref(path string) kit.Ref {
	if path == "" {
		return nil
	}
	return kit.NewRef(path)
}

func id(r kit.Ref) string {
	if r == nil {
		return ""
	}
	return r.GetId()
}
