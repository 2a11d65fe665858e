package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/chaos/replay"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newDecisionsCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "decisions",
		Short:   "Read what a master has decided: who was placed where, evicted for whom, and when",
		Example: example("troupe decisions tail --dir /var/lib/troupe/master", "troupe decisions tail --job web/shop"),
	}
	c.AddCommand(newDecisionsTailCommand(app))
	return group(c)
}

func newDecisionsTailCommand(app *App) *cobra.Command {
	var last int
	var job, node string
	c := &cobra.Command{
		Use:   "tail [FILE]",
		Short: "Show the last decisions, a line each",
		Long: `Show the last decisions that a master has recorded, a line each: what was placed, evicted or kept, where, for whom and why.
Without a file it is what the master of --dir has recorded; the master may run meanwhile.`,
		Example: example("troupe decisions tail", "troupe decisions tail --job nightly/count -n 100 --json | jq -r .nodes[]"),
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, files []string) error {
			if last < 1 || last > tailMax {
				return usagef("-n is %d; right would be 1 to %d", last, tailMax)
			}
			return app.decisions(cmd, files, last, func(d *replay.Decision) bool { return about(d, job, node) })
		},
	}
	config.AddFlag(c.Flags(), "dir", "master.dir")
	c.Flags().IntVarP(&last, "lines", "n", 20, "how many decisions")
	c.Flags().StringVar(&job, "job", "", "only those about a job, NAME or QUEUE/NAME, or for it")
	c.Flags().StringVar(&node, "node", "", "only those about a node")
	return c
}

// about reports whether a decision is about a job and a node, if they are named.
func about(d *replay.Decision, job, node string) bool {
	is := func(id string) bool {
		_, name, _ := strings.Cut(id, "/")
		return id == job || name == job && !strings.Contains(job, "/")
	}
	if job != "" && !is(d.Queue+"/"+d.Job) && !is(d.For) {
		return false
	}
	for _, n := range d.Nodes {
		if n == node {
			return true
		}
	}
	return node == ""
}

func (a *App) decisions(cmd *cobra.Command, files []string, last int, wanted func(*replay.Decision) bool) error {
	files, err := a.recorded(cmd, files)
	if err != nil {
		return err
	}
	var kept []*replay.Decision
	for _, file := range files {
		var log replay.Log
		err := decisions.Read(file, func(_ decisions.Head, e decisions.Entry) error {
			if d := log.Take(e); d != nil && wanted(d) {
				if kept = append(kept, d); len(kept) >= 2*last {
					kept = append(kept[:0:0], kept[len(kept)-last:]...)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("decisions: %w", err)
		}
	}
	for _, d := range kept[max(len(kept)-last, 0):] {
		if a.json {
			err = view.JSONValue(a.Out, d)
		} else {
			err = a.page(func(p *view.Page) { p.Line("%s", view.Clean(d.String())) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}
