package history

import (
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// state is what one correct cell knows of one job name, as far as the history has shown it. A job may end at any moment
// without an operation; that it has is written down when somebody sees it. States are compared as values.
type state struct {
	// exists says that there is a job of this name; it is the newest one that all the rest is about.
	exists bool
	// uid is 0 while nobody has seen it: a submit of unknown outcome made the job.
	uid uint64
	// floor is the greatest uid of older jobs of this name.
	floor uint64
	phase phase
	// key made the job, from spec.
	key, spec string
	// keys are all that have made a job, one a line: key, uid, spec, with tabs between.
	keys string
}

// asked is an operation with what the whole history tells of its job.
type asked struct {
	*Op
	// made is the uid of the job that the key of a submit has made by another answer; 0 if none says so.
	made uint64
	// orphan says that no answer tells which submit made the job that this one is about.
	orphan bool
}

// made is the job that a key has made.
type made struct {
	uid  uint64
	spec string
}

func (s state) madeBy(key string) (made, bool) {
	for line := range strings.Lines(s.keys) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); f[0] == key {
			uid, _ := strconv.ParseUint(f[1], 10, 64) // it was written by remember
			return made{uid, f[2]}, true
		}
	}
	return made{}, false
}

// remember notes what a key has made, over what was known of it.
func (s state) remember(key string, m made) state {
	var b strings.Builder
	for line := range strings.Lines(s.keys) {
		if !strings.HasPrefix(line, key+"\t") {
			b.WriteString(line)
		}
	}
	fmt.Fprintf(&b, "%s\t%d\t%s\n", key, m.uid, m.spec)
	s.keys = b.String()
	return s
}

// is reports whether the newest job can be the one that an answer tells of, and is the state in which it is known to be.
func (s state) is(op *asked) (state, bool) {
	uid := op.UID
	switch {
	case !s.exists:
		return s, false
	case s.uid == uid:
		return s, true
	case s.uid != 0 || uid <= s.floor || !op.orphan:
		return s, false
	}
	s.uid = uid
	return s.remember(s.key, made{uid, s.spec}), true
}

// next is the state after a submit has made a job; uid 0 if nobody knows it.
func (s state) next(key, spec string, uid uint64) (state, bool) {
	floor := max(s.floor, s.uid)
	if uid != 0 && uid <= floor {
		return s, false
	}
	n := state{exists: true, uid: uid, floor: floor, phase: live, key: key, spec: spec, keys: s.keys}
	return n.remember(key, made{uid, spec}), true
}

// sees is the state in which the newest job is seen in a phase. Nobody is stopped who was not asked to.
func (s state) sees(p phase) (state, bool) {
	switch {
	case s.phase == p:
		return s, true
	case p == stopped && s.phase != stopping, !p.ended(), s.phase.ended():
		return s, false
	}
	s.phase = p
	return s, true
}

// equal and differ compare specs; one that the history leaves out may be any.
func equal(a, b string) bool  { return a == b || a == "" || b == "" }
func differ(a, b string) bool { return a != b || a == "" }

// step gives all states in which the cell may be after an operation with this outcome; none if it could not have it.
func step(s state, op *asked) []state {
	switch {
	case op.Kind == Submit:
		return submit(s, op)
	case op.Outcome == Absent:
		return only(s, !s.exists)
	case op.Kind == Stop:
		return stop(s, op)
	}
	seen, ok := s.is(op)
	if !ok {
		return nil
	}
	p := phaseOf(op.Phase)
	if op.Kind == List && !p.ended() {
		return only(seen, true) // lists follow live phases a little later, and say so
	}
	return only(seen.sees(p))
}

func only(s state, ok bool) []state {
	if !ok {
		return nil
	}
	return []state{s}
}

func submit(s state, op *asked) (after []state) {
	before, again := s.madeBy(op.Key)
	lives := s.exists && !s.phase.ended()
	switch {
	case op.Outcome == Conflict && again:
		return only(s, differ(before.spec, op.Spec))
	case op.Outcome == Conflict:
		return only(s, lives && differ(s.spec, op.Spec))
	case op.Outcome == Unknown && again:
		return only(s, true)
	case op.Outcome == Unknown:
		return only(s.next(op.Key, op.Spec, op.made))
	case again && (op.Created || !equal(before.spec, op.Spec)):
		return nil
	case again && before.uid == op.UID:
		return only(s, true)
	case again:
		return foundOut(s, op, before)
	}
	// It made the job; or an earlier try of the same submit did, whose answer was lost.
	after = only(s.next(op.Key, op.Spec, op.UID))
	if !op.Created && lives && equal(s.spec, op.Spec) {
		if seen, ok := s.is(op); ok {
			after = append(after, seen) // another submit of the same had made it
		}
	}
	return after
}

// foundOut is the state when the answer tells the uid of what a key had made at a time when nobody learned it.
func foundOut(s state, op *asked, before made) []state {
	switch {
	case before.uid != 0:
		return nil
	case op.Key == s.key:
		return only(s.is(op))
	}
	return only(s.remember(op.Key, made{op.UID, before.spec}), s.uid == 0 || op.UID < s.uid)
}

func stop(s state, op *asked) []state {
	p := phaseOf(op.Phase)
	switch {
	case op.Outcome == Unknown:
		if s.exists && s.phase == live && (op.UID == 0 || s.uid == 0 || s.uid == op.UID) {
			s.phase = stopping
		}
		return only(s, true)
	case !s.exists:
		return nil
	}
	if op.UID != 0 {
		var ok bool
		if s, ok = s.is(op); !ok {
			return nil
		}
	}
	if s.phase == live && (p == stopping || p == stopped) {
		s.phase = stopping // stopped: an earlier try of the same stop did it, whose answer was lost
	}
	return only(s.sees(p))
}

// String is the state for people.
func (s state) String() string {
	if !s.exists {
		return "there is no job"
	}
	uid := "a job of a uid that nobody has seen"
	if s.uid != 0 {
		uid = fmt.Sprint("job ", s.uid)
	}
	return fmt.Sprintf("%s is %s", uid, s.phase)
}

var hashSeed = maphash.MakeSeed()

// cell is the sequential cell for porcupine, which searches for an order of the operations that it can follow.
func cell() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{}} },
		Step: func(s, input, _ any) []any {
			var after []any
			for _, next := range step(s.(state), input.(*asked)) {
				after = append(after, next)
			}
			return after
		},
		Hash:              func(s any) uint64 { return maphash.Comparable(hashSeed, s.(state)) },
		DescribeOperation: func(input, _ any) string { return input.(*asked).String() },
		DescribeState:     func(s any) string { return s.(state).String() },
	}
	return m.ToModel()
}
