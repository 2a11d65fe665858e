package cmd

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newJobExplainCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "explain NAME[/INSTANCE]",
		Short: "Say why a job waits and what would help, or why it runs where it runs",
		Long: `Say why a job waits, and the smallest changes that would each place one more instance; or, for what runs, why its nodes
were chosen.

An INSTANCE is STAGE:INDEX or STAGE/INDEX, or INDEX alone for that of every stage; STAGE alone is all of that stage. The
queue is named by -q, or in front: QUEUE/NAME.`,
		Example: example("troupe job explain nightly", "troupe job explain nightly/3", "troupe job explain nightly/count:3",
			"troupe job explain analytics/nightly", "troupe job explain nightly --json | jq -r '.stages[].remedies[]'"),
		Args:              names("the NAME of a job"),
		ValidArgsFunction: app.completeJobs,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return app.explain(cmd.Flags().Changed("queue"))(cmd, args)
	}
	return c
}

// explain asks about what the words most likely mean; if there is no such job, about what else they may mean. queued says
// that the queue was named by a flag.
func (a *App) explain(queued bool) func(*cobra.Command, []string) error {
	return ask(a, func(ctx context.Context, cell Cell, args []string) (*v1.ExplainReply, error) {
		readings, err := explainReadings(args[0], a.queue, queued)
		if err != nil {
			return nil, err
		}
		reply, first := cell.Explain(ctx, readings[0])
		if absent(first) && len(readings) > 1 {
			if other, err := cell.Explain(ctx, readings[1]); err == nil {
				return other, nil
			}
		}
		return reply, first
	}, view.Explain)
}

// explainReadings are the meanings of NAME, NAME/INSTANCE, NAME/STAGE, NAME/STAGE/INDEX, and of the same with a queue in
// front unless the queue was named by a flag.
func explainReadings(text, queue string, queued bool) ([]*v1.ExplainRequest, error) {
	parts := strings.Split(text, "/")
	var readings []*v1.ExplainRequest
	if r := explainReading(queue, parts); r != nil {
		readings = append(readings, r)
	}
	if !queued && len(parts) > 1 && parts[0] != "" {
		if r := explainReading(parts[0], parts[1:]); r != nil {
			readings = append(readings, r)
		}
	}
	if len(readings) == 0 {
		return nil, usagef("%q names no part of a job; right would be NAME, NAME/INDEX, NAME/STAGE or NAME/STAGE:INDEX, with QUEUE/ in front if need be", text)
	}
	return readings, nil
}

// explainReading is the request for a job of a queue, or for part of it; nil if the words cannot mean one.
func explainReading(queue string, parts []string) *v1.ExplainRequest {
	if len(parts) > 3 || slices.Contains(parts, "") {
		return nil
	}
	stage, index := "", ""
	switch len(parts) {
	case 2:
		stage, index, _ = strings.Cut(parts[1], ":")
		if _, err := strconv.ParseUint(parts[1], 10, 64); err == nil {
			stage, index = "", parts[1]
		}
	case 3:
		stage, index = parts[1], parts[2]
	}
	r := &v1.ExplainRequest{Queue: queue, Name: parts[0], Stage: stage}
	if index != "" {
		n, err := strconv.ParseUint(index, 10, 64)
		if err != nil {
			return nil
		}
		r.Index, r.HasIndex = n, true
	}
	return r
}
