package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// closeWithin bounds the orderly end of a server; a second signal cuts it short.
const closeWithin = 30 * time.Second

// opener opens one kind of server.
type opener func(context.Context, *config.Config, *slog.Logger) (Server, error)

// serve is the body of a command that lasts: it opens the server, says where it is, and closes it when a signal comes
// or when it fails. An end by signal is a good end.
func (a *App) serve(cmd *cobra.Command, open opener, hello func(*view.Page, compose.Facts)) error {
	c, err := a.settings(cmd)
	if err != nil {
		return err
	}
	log := logger(c, a.Err, slog.LevelInfo)
	ctx := cmd.Context()
	server, err := open(ctx, c, log)
	if err != nil {
		if errors.Is(context.Cause(ctx), errInterrupted) {
			return &exitError{code: exitInterrupted, err: errInterrupted}
		}
		return err
	}
	facts := server.Facts()
	if err = a.hello(facts, hello); err == nil {
		select {
		case <-ctx.Done():
			log.Info("shutting down", "cause", context.Cause(ctx))
		case <-server.Done():
			err = fmt.Errorf("%s of cell %s failed: %w", facts.Role, facts.Cell, server.Err())
		}
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	defer a.hurried(cancel)()
	return errors.Join(err, server.Close(closing))
}

// hello says where a server is, once it is ready.
func (a *App) hello(facts compose.Facts, draw func(*view.Page, compose.Facts)) error {
	if a.json {
		return view.JSONValue(a.Out, facts)
	}
	return a.page(func(p *view.Page) { draw(p, facts) })
}

// hurried calls cancel when a person interrupts for the second time; the function it returns ends that.
func (a *App) hurried(cancel func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-a.Hurry:
			cancel()
		case <-done:
		}
	}()
	return func() { close(done) }
}

// whereabouts lists the facts of a server.
func whereabouts(p *view.Page, f compose.Facts) {
	pairs := [][2]string{{"  NATS", f.NATS}, {"  HTTP", f.HTTP}, {"  node", f.Node}}
	for _, dir := range f.Dirs {
		pairs = append(pairs, [2]string{"  data", dir})
	}
	p.Facts(pairs...)
}
