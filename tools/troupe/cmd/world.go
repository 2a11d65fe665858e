package cmd

import (
	"context"
	"log/slog"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

// World is what commands need beyond their own process. Package compose is the real one; tests bring their own.
type World struct {
	// Reach connects to the running cell that the configuration names. The function lets go of it. With stale, any of its
	// masters answers reads, and stale is called with the age of each answer.
	Reach func(ctx context.Context, c *config.Config, log *slog.Logger, stale func(model.Mark)) (Cell, func(), error)
	// Embed opens a cell in this process, for one job.
	Embed func(ctx context.Context, c *config.Config, log *slog.Logger, dir string) (Embedded, error)
	// Dev, Master and Node open what lasts. They return when it is ready.
	Dev, Master, Node func(ctx context.Context, c *config.Config, log *slog.Logger) (Server, error)
}

// Embedded is a cell in this process.
type Embedded interface {
	Cell
	// Done is closed when the cell has failed; Err tells why.
	Done() <-chan struct{}
	Err() error
	// Close ends the cell and every process that it still runs; it returns when they are gone, or says which are not.
	Close(ctx context.Context) error
}

// Server is a part of a cell that lasts.
type Server interface {
	// Facts tell a person and programs where it is.
	Facts() compose.Facts
	// Done is closed when it has failed; Err tells why.
	Done() <-chan struct{}
	Err() error
	// Close ends it; attempts go on where they can.
	Close(ctx context.Context) error
}
