package cmd

import (
	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newMasterCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "master",
		Short: "Run the master of a cell, over its own NATS server or the one that --nats names",
		Long: `Run the master of a cell. Without --nats it opens a NATS server of its own (--nats-listen); with it, it uses that one.

It ends on an interrupt or SIGTERM. What runs on the nodes goes on meanwhile, and the next master takes it over.`,
		Example: example("troupe master --nats-listen 0.0.0.0:4222 --dir /var/lib/troupe/master",
			"troupe master --nats nats://nats.example:4222 --store jetstream --http 127.0.0.1:8222"),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.serve(cmd, app.World.Master, func(p *view.Page, f compose.Facts) {
				p.Line("master of cell %s is up", f.Cell)
				whereabouts(p, f)
			})
		},
	}
	config.AddFlag(c.Flags(), "dir", "master.dir")
	config.AddFlag(c.Flags(), "nats-listen", "master.listen")
	config.AddFlag(c.Flags(), "store", "master.store")
	addProcessFlags(c.Flags())
	return c
}
