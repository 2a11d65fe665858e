package compose

import (
	"context"
	"errors"
	"fmt"
)

// parts are what was opened, in order. They are closed in reverse, each whatever became of the others.
type parts []part

type part struct {
	name  string
	close func(context.Context) error
}

func (p *parts) add(name string, close func(context.Context) error) {
	*p = append(*p, part{name, close})
}

func (p *parts) close(ctx context.Context) error {
	var errs []error
	for i := len(*p) - 1; i >= 0; i-- {
		if err := (*p)[i].close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", (*p)[i].name, err))
		}
	}
	*p = nil
	return errors.Join(errs...)
}

// quiet makes a closer of one that neither waits nor fails.
func quiet(close func()) func(context.Context) error {
	return func(context.Context) error { close(); return nil }
}
