package cmd

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// addCellFlags names the cell; every command has them.
func addCellFlags(fs *pflag.FlagSet) {
	config.AddFileFlag(fs)
	config.AddFlag(fs, "context", "context")
	config.AddFlag(fs, "nats", "nats.url")
	config.AddFlag(fs, "creds", "nats.creds")
	config.AddFlag(fs, "cell", "cell.name")
}

// addProcessFlags are those of every process that lasts.
func addProcessFlags(fs *pflag.FlagSet) {
	config.AddFlag(fs, "http", "http.listen")
	config.AddFlag(fs, "pprof", "http.pprof")
	config.AddFlag(fs, "log-level", "log.level")
	config.AddFlag(fs, "log-format", "log.format")
}

// addNodeFlags are those of a process with an agent.
func addNodeFlags(fs *pflag.FlagSet) {
	config.AddFlag(fs, "id", "node.id")
	config.AddFlag(fs, "attribute", "node.attributes")
	config.AddFlag(fs, "cpu", "node.cpu")
	config.AddFlag(fs, "memory", "node.memory")
	config.AddFlag(fs, "disk", "node.disk")
	config.AddFlag(fs, "net", "node.net")
	config.AddFlag(fs, "pool", "node.pool")
	config.AddFlag(fs, "taint", "node.taints")
	config.AddFlag(fs, "device", "node.devices")
	config.AddFlag(fs, "custom", "node.custom")
	config.AddFlag(fs, "ports", "node.ports")
	config.AddFlag(fs, "package", "node.packages")
}

// settings reads the configuration: files, environment and the flags of cmd.
func (a *App) settings(cmd *cobra.Command) (*config.Config, error) {
	c, err := config.Load(a.Sources(cmd.Flags()))
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return c, nil
}

// reach connects to the running cell that flags, environment and context name.
func (a *App) reach(ctx context.Context, cmd *cobra.Command) (Cell, func(), error) {
	c, err := a.settings(cmd)
	if err != nil {
		return nil, nil, err
	}
	log := logger(c, a.Err, slog.LevelWarn)
	if !a.stale {
		return a.World.Reach(ctx, c, log, nil)
	}
	var oldest *model.Mark
	cell, release, err := a.World.Reach(ctx, c, log, func(m model.Mark) {
		if oldest == nil || m.Age < 0 || oldest.Age >= 0 && m.Age > oldest.Age {
			oldest = &m
		}
	})
	return cell, func() {
		release()
		if oldest != nil {
			a.note(a.Err, func(p *view.Page) { view.Mark(p, *oldest) })
		}
	}, err
}

// logger writes to w as the configuration says. least applies if it says nothing.
func logger(c *config.Config, w io.Writer, least slog.Level) *slog.Logger {
	level := least
	if told(c, "log.level") {
		level = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[c.Log.Level]
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// told reports whether anybody said anything about a key, or its default holds.
func told(c *config.Config, key string) bool {
	for _, e := range c.Entries() {
		if e.Key == key || strings.HasPrefix(e.Key, key+".") {
			return e.Source != "default"
		}
	}
	return false
}
