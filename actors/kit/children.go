package kit

import (
	"errors"
	"fmt"
	"sort"
)

// Children is the part of a supervisor that keeps one child a key: events of one key never interleave, keys run side
// by side, a crash frees the key for the next message, idle children can leave and come back (W1, W5, W6).
// It belongs to one Behavior and is not safe for others. Names of children carry an incarnation, because the engine
// frees a name before its actor has ended.
type Children struct {
	// Spec says how to start the child of a key; its Name is set by Children.
	Spec func(key string) Spec
	// Max bounds the children.
	Max int

	serial uint64
	byKey  map[string]*child
	byName map[string]string
}

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

// ErrTooMany: there are Max children already.
var ErrTooMany = errors.New("kit: too many children")

// Retire asks a child to end; see Children.Retire. A child that gets it stops itself, which Children expects.
type Retire struct{}

// Get returns the child of key.
func (c *Children) Get(key string) (Ref, bool) {
	ch, ok := c.byKey[key]
	if !ok || ch.retiring {
		return nil, false
	}
	return ch.ref, true
}

// Len is the number of children.
func (c *Children) Len() int { return len(c.byKey) }

// Start returns the child of key, started if need be.
func (c *Children) Start(ctx *Context, key string) (Ref, error) {
	if ch, ok := c.byKey[key]; ok && !ch.retiring {
		return ch.ref, nil
	}
	if c.Max > 0 && len(c.byKey) >= c.Max {
		return nil, ErrTooMany
	}
	if c.byKey == nil {
		c.byKey, c.byName = map[string]*child{}, map[string]string{}
	}
	c.serial++
	spec := c.Spec(key)
	spec.Name = fmt.Sprintf("%s~%d", key, c.serial)
	ref, err := ctx.Spawn(spec)
	if err != nil {
		return nil, fmt.Errorf("kit: start %s: %w", key, err)
	}
	c.byKey[key] = &child{ref: ref}
	c.byName[spec.Name] = key
	return ref, nil
}

// Forward sends the message being handled to the child of key, in the name of its sender, starting the child if start
// is set. It returns false if there is no child. Messages for a child that is leaving wait for its successor.
func (c *Children) Forward(ctx *Context, key string, message any, start bool) (bool, error) {
	ch, ok := c.byKey[key]
	switch {
	case ok && !ch.retiring:
		ctx.Forward(ch.ref, message)
		return true, nil
	case ok && len(ch.waiting) < waitingMax:
		ch.waiting = append(ch.waiting, waiting{message, ctx.Sender()})
		return true, nil
	case ok:
		return false, ErrBusy
	case !start:
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

// Stopped must be told of every ChildStopped. It returns the child's key. Messages that waited start its successor.
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
			ctx.system().lost(nil, w.message, w.sender)
			continue
		}
		ctx.TellFrom(w.sender, ref, w.message)
	}
	return key, true
}

// Each calls fn for every child that is not leaving, in the order of keys.
func (c *Children) Each(fn func(key string, ref Ref)) {
	keys := make([]string, 0, len(c.byKey))
	for k, ch := range c.byKey {
		if !ch.retiring {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		fn(k, c.byKey[k].ref)
	}
}
