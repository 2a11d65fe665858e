// Package gofunc is the driver of stages that run Go functions of the program that embeds the cell. It needs no files
// and no processes, and so has no isolation either: a function that does not return when its context ends cannot be
// killed. It is then reported as ended, and its slot stays taken until it does return: Leaked counts such functions.
package gofunc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Func is what one instance of a stage runs. It should return soon after ctx ends; context.Cause(ctx) says why it did.
// An error or a panic makes the attempt fail.
type Func func(ctx context.Context, c *Call) error

// Registry knows functions by the name that stages give in their field func. It is safe for use by many goroutines.
type Registry struct {
	mu    sync.RWMutex
	funcs map[string]Func
}

// registryMax bounds the names of one registry.
const registryMax = 10_000

// NewRegistry makes an empty one.
func NewRegistry() *Registry { return &Registry{funcs: map[string]Func{}} }

// Register adds f under a name that is not taken.
func (r *Registry) Register(name string, f Func) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case name == "" || f == nil:
		return fmt.Errorf("register func %q: a name and a function are needed", name)
	case r.funcs[name] != nil:
		return fmt.Errorf("register func %q: the name is taken", name)
	case len(r.funcs) == registryMax:
		return fmt.Errorf("register func %q: there are %d names, the limit", name, registryMax)
	}
	r.funcs[name] = f
	return nil
}

// lookup finds a function; the error tells some names that would have been right.
func (r *Registry) lookup(name string) (Func, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if f := r.funcs[name]; f != nil {
		return f, nil
	}
	known := slices.Sorted(maps.Keys(r.funcs))
	const shown = 10
	if len(known) > shown {
		known = append(known[:shown], "…")
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("func %q is not registered; no function is", name)
	}
	return nil, fmt.Errorf("func %q is not registered; registered are %s", name, strings.Join(known, ", "))
}
