package cmd

import (
	"context"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newMasterCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "master",
		Short: "Run a master of a cell, over its own NATS server or those that --nats names",
		Long: `Run a master of a cell. Without --nats it opens a NATS server of its own (--nats-listen); with it, it uses that one.

A cell may have several masters over one journal in JetStream: one leads, the others follow and one of them takes over
when it goes. Their own NATS servers make a cluster by --peers; over servers that another runs, --store jetstream will do.

It ends on an interrupt or SIGTERM, and hands over before it does. What runs on the nodes goes on meanwhile, and the next
leader takes it over.`,
		Example: example("troupe master --nats-listen 0.0.0.0:4222 --dir /var/lib/troupe/master",
			"troupe master --peers a:6222,b:6222,c:6222 --nats-listen 0.0.0.0:4222",
			"troupe master --nats nats://nats.example:4222 --store jetstream --replicas 3 --http 127.0.0.1:8222",
			"troupe master list"),
		Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.serve(cmd, app.World.Master, func(p *view.Page, f compose.Facts) {
				p.Line("master of cell %s is up", f.Cell)
				whereabouts(p, f)
			})
		},
	}
	for flag, key := range map[string]string{
		"id": "master.id", "dir": "master.dir", "nats-listen": "master.listen", "store": "master.store", "replicas": "master.replicas",
		"peers": "master.peers", "cluster-listen": "master.cluster.listen", "suspect": "master.suspect",
	} {
		config.AddFlag(c.Flags(), flag, key)
	}
	addProcessFlags(c.Flags())
	c.AddCommand(newMasterListCommand(app), newMasterResignCommand(app))
	return c
}

func newMasterListCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the masters of the cell: who leads, who follows and how closely",
		Example: example("troupe master list", "troupe master list --stale   # also while nobody leads", "troupe master list --json | jq -r '.masters[] | select(.role==\"leader\") | .id'"),
		Args:    names(),
		RunE: ask(app, func(ctx context.Context, cell Cell, _ []string) (*v1.ListMastersReply, error) {
			return cell.ListMasters(ctx, &v1.ListMastersRequest{})
		}, view.Masters),
	}
}

func newMasterResignCommand(app *App) *cobra.Command {
	var to, reason string
	c := &cobra.Command{
		Use:   "resign",
		Short: "Ask the leader to hand over to another master",
		Long: `Ask the leader to hand over: it answers no more, what it has acknowledged is durable, and its successor begins at once.
It follows from then on. Nothing that runs restarts.`,
		Example: example("troupe master resign", "troupe master resign --to b --reason 'kernel update'"),
		Args:    names(),
		RunE: ask(app, func(ctx context.Context, cell Cell, _ []string) (*v1.ResignReply, error) {
			// The leader is named by its epoch, so that a repetition does not depose its successor.
			status, err := cell.CellStatus(ctx, &v1.CellStatusRequest{})
			if err != nil {
				return nil, err
			}
			return cell.Resign(ctx, &v1.ResignRequest{To: to, Reason: reason, Epoch: status.GetEpoch()})
		}, view.Resigned),
	}
	c.Flags().StringVar(&to, "to", "", "`ID` of the master that shall lead; by default the one that lags least")
	c.Flags().StringVar(&reason, "reason", "asked to by hand", "what to write into the log")
	return c
}
