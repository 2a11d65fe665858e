package cmd

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/chaos/failover"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newBenchFailoverCommand(app *App) *cobra.Command {
	var o failover.Options
	var only string
	c := &cobra.Command{
		Use:   "failover",
		Short: "Kill the leading master again and again, and time how long nothing is placed",
		Long: `Open a cell of real processes with services that run and a stream of submits, kill -9 the leading master again and again, and
time how long it takes until the next attempt begins. Once with NATS servers beside the masters ("apart"), once with those
within the masters, where the server that leads the journal's stream dies with the master ("together"). --resign hands over
in order instead. It fails if an acknowledged submit is lost, an attempt restarts or an instance runs twice.`,
		Example: example("troupe bench failover --kills 30 --json", "troupe bench failover --kills 5 --only apart", "troupe bench failover --resign"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if only != "" && only != "apart" && only != "together" {
				return usagef("--only is %q; it must be apart or together", only)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Program = []string{self}
			o.Say = func(line string) { fmt.Fprintln(app.Err, line) }
			var reports []*failover.Report
			for _, together := range []bool{false, true} {
				if only != "" && (only == "together") != together {
					continue
				}
				o.Together = together
				r, err := failover.Run(cmd.Context(), o)
				if err != nil {
					return err
				}
				reports = append(reports, r)
			}
			return app.failovers(reports)
		},
	}
	c.Flags().IntVar(&o.Kills, "kills", 30, "how often the leader is killed")
	c.Flags().IntVar(&o.Masters, "masters", 3, "masters")
	c.Flags().IntVar(&o.Nodes, "nodes", 5, "agents")
	c.Flags().IntVar(&o.Services, "services", 200, "attempts that run all the while")
	c.Flags().DurationVar(&o.Every, "every", 50*time.Millisecond, "a small job is submitted so often")
	c.Flags().DurationVar(&o.Pause, "pause", 10*time.Second, "time between a new leader and the next kill")
	c.Flags().BoolVar(&o.Resign, "resign", false, "the leader hands over in order instead")
	c.Flags().StringVar(&only, "only", "", "apart or together; both if empty")
	return c
}

func (a *App) failovers(reports []*failover.Report) error {
	err := a.figures(reports, func(p *view.Page) {
		for _, r := range reports {
			where := "NATS apart"
			if r.Together {
				where = "NATS in the masters, the stream's leader dies with the master"
			}
			p.Line("%s: %d times; the next placement after p50 %.0f ms, p99 %.0f ms, at most %.0f ms; the next leader answers after p50 %.0f ms",
				where, r.Kills, r.P50, r.P99, r.Max, r.LedP50)
			p.Line("  %d submits acknowledged, %d lost, %d unanswered; %d instances ran twice; %d of %d services restarted",
				r.Acked, r.Lost, r.Unanswered, r.Doubled, r.Restarted, r.Services)
			for _, v := range r.Violations {
				p.Line("  %s", v)
			}
		}
	})
	for _, r := range reports {
		if err == nil && r.Lost+r.Doubled+r.Restarted > 0 {
			err = fmt.Errorf("%d lost, %d doubled, %d restarted", r.Lost, r.Doubled, r.Restarted)
		}
	}
	return err
}
