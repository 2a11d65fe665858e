package main

import (
	"context"
	"log/slog"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/tools/troupe/cmd"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

// world opens and reaches real cells.
func world() cmd.World {
	env := func(c *config.Config, log *slog.Logger) compose.Env {
		return compose.Env{Config: c, Version: version, Log: log}
	}
	type open func(context.Context, compose.Env) (*compose.Process, error)
	server := func(open open) func(context.Context, *config.Config, *slog.Logger) (cmd.Server, error) {
		return func(ctx context.Context, c *config.Config, log *slog.Logger) (cmd.Server, error) {
			p, err := open(ctx, env(c, log))
			if err != nil {
				return nil, err
			}
			return p, nil
		}
	}
	return cmd.World{
		Reach: func(_ context.Context, c *config.Config, log *slog.Logger, stale func(model.Mark)) (cmd.Cell, func(), error) {
			cell, err := compose.Reach(c, log, stale)
			if err != nil {
				return nil, nil, err
			}
			return cell, cell.Close, nil
		},
		Embed: func(ctx context.Context, c *config.Config, log *slog.Logger, dir string) (cmd.Embedded, error) {
			cell, err := compose.Embed(ctx, env(c, log), dir)
			if err != nil {
				return nil, err
			}
			return cell, nil
		},
		Dev: server(compose.Dev), Master: server(compose.Master), Node: server(compose.Node),
	}
}
