package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
)

// final is a failure after which no further attempt makes sense, and that the caller is to see as it is.
type final struct{ error }

// persist attempts until it succeeds, fails for good, or ctx ends; without a deadline in ctx, until Wait has passed.
func (c *Client) persist(caller context.Context, e api.Endpoint, attempt func(context.Context) error) error {
	ctx, cancel := caller, context.CancelFunc(func() {})
	if _, ok := caller.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(caller, c.Wait)
	}
	defer cancel()
	pause := c.Backoff
	var telling error
	for tries := 1; ; tries++ {
		err := attempt(ctx)
		var f final
		switch {
		case err == nil:
			return nil
		case errors.As(err, &f):
			return f.error
		}
		// An attempt that was cut short by the end of the call says less than the one before it.
		if telling == nil || ctx.Err() == nil {
			telling = err
		}
		wait := pause/2 + rand.N(pause/2+1)
		pause = min(2*pause, c.BackoffMax)
		more := repeatable(err) && sleep(ctx, max(wait, retryAfter(err)))
		switch {
		case errors.Is(caller.Err(), context.Canceled):
			return context.Cause(caller)
		case !more:
			return c.explain(e, telling, tries)
		}
	}
}

// sleep waits, if what is left until ctx ends is longer than that; it reports whether it waited to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter is how long a busy cell asked to be left alone.
func retryAfter(err error) time.Duration {
	var f *model.Fault
	if errors.As(err, &f) {
		return min(f.RetryAfter, retryAfterMax)
	}
	return 0
}

// retryAfterMax bounds how long a busy cell can make a client wait at a time.
const retryAfterMax = 10 * time.Second

// repeatable reports whether the same request may succeed later.
func repeatable(err error) bool {
	var f *model.Fault
	if errors.As(err, &f) {
		return f.Temporary()
	}
	for _, again := range []error{
		errLate, nats.ErrNoResponders, nats.ErrTimeout, nats.ErrReconnectBufExceeded, nats.ErrDisconnected,
		nats.ErrConnectionReconnecting, nats.ErrStaleConnection,
	} {
		if errors.Is(err, again) {
			return true
		}
	}
	return false
}

// explain turns what went wrong into a fault that tells a person where to look.
func (c *Client) explain(e api.Endpoint, err error, tries int) error {
	var f *model.Fault
	verb := e.Resource + "." + e.Verb
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, nats.ErrNoResponders):
		return model.Unavailable("no master answers for cell %q at %s", c.Cell, c.where())
	case !c.Conn.IsConnected():
		return model.Unavailable("the connection to NATS at %s is down: %v", c.where(), err)
	case errors.Is(err, nats.ErrMaxPayload):
		return model.TooLarge("%s: the request has more than the %d bytes that NATS at %s takes", verb, c.Conn.MaxPayload(), c.where())
	case errors.Is(err, errLate), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return model.Deadline("cell %q at %s did not answer %s in time, asked %d times", c.Cell, c.where(), verb, tries)
	}
	return model.Unavailable("asking cell %q at %s for %s: %v", c.Cell, c.where(), verb, err)
}

// where is the server as people know it, without secrets.
func (c *Client) where() string {
	if c.Conn.Opts.InProcessServer != nil {
		return "the NATS server in this process"
	}
	if u := c.Conn.ConnectedUrlRedacted(); u != "" {
		return u
	}
	all := c.Conn.Servers()
	for i := range all {
		all[i] = redacted(all[i])
	}
	return strings.Join(all, ", ")
}

// redacted takes passwords and tokens out of a list of URLs.
func redacted(urls string) string {
	parts := strings.Split(urls, ",")
	for i, s := range parts {
		u, err := url.Parse(strings.TrimSpace(s))
		switch {
		case err != nil:
			parts[i] = "an address that is no URL"
		case u.User != nil:
			u.User = url.User("xxxxx")
			parts[i] = u.String()
		}
	}
	return strings.Join(parts, ",")
}
