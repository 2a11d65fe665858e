package kit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Children is the part of a supervisor that keeps one child a key: events of one key never interleave, keys run side
// by side, a crash frees the key for the next message, idle children can leave and come back (W1, W5, W6).
// It belongs to one Behavior and is not safe for others. Names of children carry an incarnation, because the engine
// frees a name before its actor has ended.
type Children struct {
	// Spec says how to start the child of a key; its Name is set by Children.
	Spec func(key string) Spec
	// Max bounds the children, those that are leaving included; DefaultChildren if zero.
	Max int

	byKey  map[string]*child
	byName map[string]string
}

// DefaultChildren bounds the children of one Children.
const DefaultChildren = 1 << 17

type child struct {
	ref      Ref
	retiring bool
	waiting  []waiting
}

type waiting struct {
	message any
	sender  Ref
}

// waitingMax bounds messages kept for a key whose child is leaving.
const waitingMax = 1024

var (
	// ErrTooMany: there are Max children already.
	ErrTooMany = errors.New("kit: too many children")
	// ErrLeaving: the child of that key is ending; Forward keeps messages for its successor.
	ErrLeaving = errors.New("kit: child is leaving")
)

// Retire asks a child to end; see Children.Retire. It comes after all that was sent to the child before, in any lane, and
// is never refused. A child that gets it must stop itself, at once or when its work is safe; if it fails before that, it
// is stopped.
type Retire struct{}

// Get returns the child of key.
func (c *Children) Get(key string) (Ref, bool) {
	ch, ok := c.byKey[key]
	if !ok || ch.retiring {
		return nil, false
	}
	return ch.ref, true
}

// Len is the number of children, those that are leaving included.
func (c *Children) Len() int { return len(c.byKey) }

// Start returns the child of key, started if need be.
func (c *Children) Start(ctx *Context, key string) (Ref, error) {
	if ch, ok := c.byKey[key]; ok {
		if ch.retiring {
			return nil, ErrLeaving
		}
		return ch.ref, nil
	}
	limit := c.Max
	if limit <= 0 {
		limit = DefaultChildren
	}
	if len(c.byKey) >= limit {
		return nil, ErrTooMany
	}
	if c.byKey == nil {
		c.byKey, c.byName = map[string]*child{}, map[string]string{}
		ctx.shell.keeps = append(ctx.shell.keeps, c)
	}
	spec := c.Spec(key)
	// The number is unique in the system, so that an address kept from before never means another child.
	spec.Name = key + "~" + strconv.FormatUint(ctx.system().serial.Add(1), 10)
	ref, err := ctx.Spawn(spec)
	if err != nil {
		return nil, fmt.Errorf("kit: start %s: %w", key, err)
	}
	c.byKey[key] = &child{ref: ref}
	c.byName[spec.Name] = key
	return ref, nil
}

// Forward sends message to the child of key, in the name of the sender of the message being handled. If there is no child
// it starts one if start is set, and returns false otherwise. A message for a child that is leaving waits for its
// successor, if start is set or a successor will come anyway.
func (c *Children) Forward(ctx *Context, key string, message any, start bool) (bool, error) {
	if ch, ok := c.byKey[key]; ok {
		switch {
		case !ch.retiring:
			ctx.Forward(ch.ref, message)
			return true, nil
		case !start && len(ch.waiting) == 0:
			return false, nil
		case len(ch.waiting) >= waitingMax:
			return false, ErrBusy
		}
		ch.waiting = append(ch.waiting, waiting{message, ctx.Sender()})
		return true, nil
	}
	if !start {
		return false, nil
	}
	ref, err := c.Start(ctx, key)
	if err != nil {
		return false, err
	}
	ctx.Forward(ref, message)
	return true, nil
}

// Retire lets the child of key end once it has handled what was forwarded to it before.
func (c *Children) Retire(ctx *Context, key string) {
	if ch, ok := c.byKey[key]; ok && !ch.retiring {
		ch.retiring = true
		ctx.Tell(ch.ref, Retire{})
	}
}

// Stopped must be told of every ChildStopped. It returns the child's key; ok is false if the child was not one of these.
// Messages that waited start its successor.
func (c *Children) Stopped(ctx *Context, m *ChildStopped) (key string, ok bool) {
	key, ok = c.byName[m.Name]
	if !ok {
		return "", false
	}
	delete(c.byName, m.Name)
	ch := c.byKey[key]
	delete(c.byKey, key)
	if len(ch.waiting) == 0 {
		return key, true
	}
	ref, err := c.Start(ctx, key)
	for _, w := range ch.waiting {
		if err != nil {
			ctx.system().lost(m.Ref, w.message, w.sender)
			continue
		}
		ctx.TellFrom(w.sender, ref, w.message)
	}
	return key, true
}

// abandon implements keeper.
func (c *Children) abandon(u *unit) {
	keys := slices.Sorted(maps.Keys(c.byKey))
	for _, k := range keys {
		for _, w := range c.byKey[k].waiting {
			u.system.lost(c.byKey[k].ref, w.message, w.sender)
		}
	}
	c.byKey, c.byName = nil, nil
}

// Each calls fn for every child that is not leaving, in the order of keys.
func (c *Children) Each(fn func(key string, ref Ref)) {
	for _, k := range slices.Sorted(maps.Keys(c.byKey)) {
		if ch, ok := c.byKey[k]; ok && !ch.retiring {
			fn(k, ch.ref)
		}
	}
}
