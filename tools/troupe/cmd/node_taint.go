package cmd

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newNodeTaintCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "taint ID KEY[=VALUE][:EFFECT]...",
		Short: "Keep work off a node that does not tolerate it",
		Long: `Put taints on a node, beside those that its agent was started with. Stages that tolerate a taint (tolerations in the job
file) come as before. Effects: no_place (nothing new comes; the default), avoid (only if nothing else fits), evict (what
runs there goes, too). A taint of the same key and value changes its effect.`,
		Example: example("troupe node taint node-a gpu=yes", "troupe node taint node-a disk=slow:avoid team=ml:evict"),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("there is no taint; right would be %s", cmd.UseLine())
			}
			return nil
		},
		ValidArgsFunction: app.completeNodes,
		RunE: ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.NodeStatus, error) {
			wanted, err := parseTaints(args[1:])
			if err != nil {
				return nil, err
			}
			return changeTaints(ctx, cell, args[0], func(taints []*v1.Taint) ([]*v1.Taint, error) {
				for _, t := range wanted {
					taints = append(slices.DeleteFunc(taints, sameTaint(t)), t)
				}
				return taints, nil
			})
		}, view.Node),
	}
}

func newNodeUntaintCommand(app *App) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "untaint ID KEY[=VALUE]...",
		Short: "Take taints off a node again",
		Long: `Take taints off a node that were put there by "troupe node taint". Those that its agent was started with stay: they are
part of its configuration.`,
		Example:           example("troupe node untaint node-a gpu=yes", "troupe node untaint node-a --all"),
		ValidArgsFunction: app.completeNodes,
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || all != (len(args) == 1) {
			return usagef("name the taints, or --all; right would be %s", cmd.UseLine())
		}
		return nil
	}
	c.Flags().BoolVar(&all, "all", false, "take off all of them")
	c.RunE = ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.NodeStatus, error) {
		unwanted, err := parseTaints(args[1:])
		if err != nil {
			return nil, err
		}
		return changeTaints(ctx, cell, args[0], func(taints []*v1.Taint) ([]*v1.Taint, error) {
			if all {
				return nil, nil
			}
			for _, t := range unwanted {
				before := len(taints)
				if taints = slices.DeleteFunc(taints, sameTaint(t)); len(taints) == before {
					return nil, usagef("no operator has put the taint %s on node %s; there are: %s", model.FormatTaint(t), args[0], orNone(model.FormatTaints(taints)))
				}
			}
			return taints, nil
		})
	}, view.Node)
	return c
}

func orNone(list string) string {
	if list == "" {
		return "none"
	}
	return list
}

func parseTaints(args []string) ([]*v1.Taint, error) {
	var list []*v1.Taint
	for _, text := range args {
		t, err := model.ParseTaint(text)
		if err != nil {
			return nil, usagef("%v", err)
		}
		list = append(list, t)
	}
	return list, nil
}

func sameTaint(t *v1.Taint) func(*v1.Taint) bool {
	return func(o *v1.Taint) bool { return o.GetKey() == t.GetKey() && o.GetValue() == t.GetValue() }
}

// changeTaints reads the taints that operators have put on a node and puts others there. Of two who do so at once the
// later one wins.
func changeTaints(ctx context.Context, cell Cell, id string, change func([]*v1.Taint) ([]*v1.Taint, error)) (*v1.NodeStatus, error) {
	status, err := cell.NodeStatus(ctx, &v1.NodeRef{Id: id})
	if err != nil {
		return nil, err
	}
	own := len(status.GetInfo().GetTaints()) // the agent's, which come first
	taints, err := change(slices.Clone(status.GetTaints()[min(own, len(status.GetTaints())):]))
	if err != nil {
		return nil, err
	}
	return cell.TaintNode(ctx, &v1.TaintRequest{Id: id, Taints: taints})
}
