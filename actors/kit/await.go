package kit

import (
	"context"
	"errors"
	"fmt"
)

// Await returns when ready is closed: it waits, or under a stepper steps until then without moving time. It fails
// when the system ends first, or nothing is left to do that could close it.
func (s *System) Await(ctx context.Context, ready <-chan struct{}) error {
	for s.stepper != nil {
		select {
		case <-ready:
			return nil
		default:
			if !s.stepper.Step(s.stepper.now) {
				return errors.New("kit: await: nothing left to do")
			}
		}
	}
	select {
	case <-ready:
		return nil
	case <-s.done:
		return fmt.Errorf("kit: await: %w", s.Err())
	case <-ctx.Done():
		return fmt.Errorf("kit: await: %w", ctx.Err())
	}
}
