// Package pause waits, for all that breaks and watches cells.
package pause

import (
	"context"
	"time"
)

// For waits for d. It fails with the cause of ctx if that ends first.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
