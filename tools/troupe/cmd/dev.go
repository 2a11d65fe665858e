package cmd

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newDevCommand(app *App) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a lasting cell on this one machine: NATS server, master and node in one process",
		Long: `Run a lasting cell on this one machine: a NATS server, a master and a node in one process.

Everything is kept on disk: stop it and start it again, and its jobs go on. It ends on an interrupt; attempts that run
are kept and taken over by the next start.`,
		Example: example("troupe dev", "troupe dev --dir /tmp/cell --nats-listen 127.0.0.1:4333", "troupe dev --http 127.0.0.1:8222 --pprof"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir != "" {
				for flag, sub := range map[string]string{"master-dir": "master", "node-dir": "node"} {
					if err := cmd.Flags().Set(flag, filepath.Join(dir, sub)); err != nil {
						return usagef("--dir: %v", err)
					}
				}
			}
			return app.serve(cmd, app.World.Dev, devHello)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "where the cell keeps its data: `DIR`/master and DIR/node")
	config.AddFlag(c.Flags(), "master-dir", "master.dir").Hidden = true
	config.AddFlag(c.Flags(), "node-dir", "node.dir").Hidden = true
	config.AddFlag(c.Flags(), "nats-listen", "master.listen")
	config.AddFlag(c.Flags(), "store", "master.store")
	addNodeFlags(c.Flags())
	addProcessFlags(c.Flags())
	return c
}

// devHello tells where the cell is and what to type next.
func devHello(p *view.Page, f compose.Facts) {
	p.Line("cell %s is up", f.Cell)
	p.Line("")
	whereabouts(p, f)
	p.Line("")
	p.Line("Type next, in another terminal:")
	p.Line("")
	if f.NATS != localNATS {
		p.Line("  export TROUPE_NATS__URL=%s", f.NATS)
	}
	if f.Cell != "local" {
		p.Line("  export TROUPE_CELL__NAME=%s", f.Cell)
	}
	p.Line("  troupe job submit tools/examples/hello.yaml --wait")
	p.Line("  troupe job list --ended")
	p.Line("  troupe cell status")
	p.Line("")
	p.Line("or with any NATS client:")
	p.Line("")
	server := ""
	if f.NATS != localNATS {
		server = fmt.Sprintf(" -s %s", f.NATS)
	}
	p.Line("  nats%s micro info troupe", server)
	p.Line("  nats%s req troupe.v1.%s.default.job.submit '{\"job\":{\"name\":\"hi\",\"stages\":[{\"name\":\"hi\",\"command\":[\"echo\",\"hi\"]}]}}'", server, f.Cell)
	p.Line("  nats%s req troupe.v1.%s.default.job.status.hi ''", server, f.Cell)
	p.Line("  nats%s sub 'troupe.v1.%s.*.event.>'", server, f.Cell)
	p.Line("")
	p.Line("An interrupt (Ctrl-C) ends it.")
}

// localNATS is where NATS clients look if nobody tells them.
const localNATS = "nats://127.0.0.1:4222"
