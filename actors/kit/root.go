package kit

import "time"

// graceMax is how long a failed tree may take to end before the system is done regardless: a handler that never returns
// must not keep the process alive.
const graceMax = 10 * time.Second

// rootBehavior spawns the top actor, and ends the system when that has ended.
type rootBehavior struct {
	spec    Spec
	started chan startResult
	err     error
}

type startResult struct {
	ref Ref
	err error
}

// graceOver tells the root that the tree took too long.
type graceOver struct{}

// Receive implements Behavior.
func (r *rootBehavior) Receive(ctx *Context, message any) {
	switch message.(type) {
	case Started:
		ref, err := ctx.Spawn(r.spec)
		if err != nil {
			r.err = err
			ctx.StopSelf()
		}
		r.started <- startResult{ref, err}
	case *ChildStopped:
		ctx.StopSelf()
	case graceOver:
		ctx.system().finish(r.err)
	case Stopping:
		if r.err == nil {
			r.err = ErrEnded
		}
		ctx.system().finish(r.err)
	}
}

// fail notes why the system ends; it is done when the tree has ended, or after a grace time.
func (r *rootBehavior) fail(u *unit, err error) {
	if r.err == nil {
		r.err = err
	}
	u.timers.set(u, "grace", graceMax, graceOver{})
}
