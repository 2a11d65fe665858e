package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/tools/troupe/view"
)

// withCell runs do with the cell that flags, environment and context name.
func (a *App) withCell(cmd *cobra.Command, do func(ctx context.Context, cell Cell) error) error {
	ctx := cmd.Context()
	cell, release, err := a.reach(ctx, cmd)
	if err != nil {
		return err
	}
	defer release()
	return do(ctx, cell)
}

// ask makes a command's body of one question: it asks the cell and shows the answer.
func ask[A proto.Message](a *App, question func(ctx context.Context, cell Cell, args []string) (A, error), draw func(*view.Page, A)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.withCell(cmd, func(ctx context.Context, cell Cell) error {
			ctx, cancel := context.WithTimeout(ctx, a.timeout)
			defer cancel()
			answer, err := question(ctx, cell, args)
			if err != nil {
				return err
			}
			return a.answer(answer, func(p *view.Page) { draw(p, answer) })
		})
	}
}

// pagesMax bounds how many pages of a list are asked for.
const pagesMax = 1000

// listJobs gathers pages of jobs until limit.
func listJobs(ctx context.Context, cell Cell, req *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	all := &v1.ListJobsReply{}
	limit, after := int(req.GetLimit()), req.GetAfter()
	for range pagesMax {
		reply, err := cell.ListJobs(ctx, &v1.ListJobsRequest{
			Queue: req.GetQueue(), Labels: req.GetLabels(), Ended: req.GetEnded(),
			Limit: int32(min(1000, limit-len(all.GetJobs()))), After: after,
		})
		if err != nil {
			return nil, err
		}
		all.Jobs = append(all.Jobs, reply.GetJobs()...)
		if after = reply.GetNext(); after == "" || len(all.GetJobs()) >= limit {
			break
		}
	}
	all.Next = after
	return all, nil
}

// listNodes gathers all pages of nodes.
func listNodes(ctx context.Context, cell Cell) (*v1.ListNodesReply, error) {
	all := &v1.ListNodesReply{}
	for range pagesMax {
		reply, err := cell.ListNodes(ctx, &v1.ListNodesRequest{After: all.GetNext()})
		if err != nil {
			return nil, err
		}
		all.Nodes = append(all.Nodes, reply.GetNodes()...)
		if all.Next = reply.GetNext(); all.GetNext() == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("the cell has more than %d pages of nodes: ask for one by its id", pagesMax)
}
