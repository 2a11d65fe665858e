package cmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

const (
	// A shell waits for a completion while a person holds a key: better none than a late one.
	completeWithin = time.Second
	completeMost   = 200
)

const noFiles = cobra.ShellCompDirectiveNoFileComp

// complete offers words that a cell knows; nothing if no cell answers in time.
func (a *App) complete(cmd *cobra.Command, prefix string, words func(context.Context, Cell) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	cell, release, err := a.reach(ctx, cmd)
	if err != nil {
		return nil, noFiles
	}
	defer release()
	all, err := words(ctx, cell)
	if err != nil {
		return nil, noFiles
	}
	fit := all[:0]
	for _, w := range all {
		if strings.HasPrefix(w, prefix) && len(fit) < completeMost {
			fit = append(fit, w)
		}
	}
	return fit, noFiles
}

// completeJobs offers the names of jobs in the queue that the flags name.
func (a *App) completeJobs(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return a.complete(cmd, prefix, func(ctx context.Context, cell Cell) ([]string, error) {
		reply, err := cell.ListJobs(ctx, &v1.ListJobsRequest{Queue: a.queue, Ended: true, Limit: 1000})
		var found []string
		for _, j := range reply.GetJobs() {
			found = append(found, j.GetName()+"\t"+j.GetPhase())
		}
		return found, err
	})
}

func (a *App) completeQueues(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, prefix, func(ctx context.Context, cell Cell) ([]string, error) {
		reply, err := cell.ListQueues(ctx, &v1.ListQueuesRequest{})
		var found []string
		for _, q := range reply.GetQueues() {
			found = append(found, q.GetSpec().GetName()+"\t"+view.Clean(q.GetSpec().GetDescription()))
		}
		return found, err
	})
}

func (a *App) completeNodes(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return a.complete(cmd, prefix, func(ctx context.Context, cell Cell) ([]string, error) {
		reply, err := cell.ListNodes(ctx, &v1.ListNodesRequest{Limit: 1000})
		var found []string
		for _, n := range reply.GetNodes() {
			found = append(found, n.GetInfo().GetId()+"\t"+n.GetLiveness())
		}
		return found, err
	})
}

// completeFiles offers job files.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml", "toml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

func (a *App) completeQueueArg(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return a.completeQueues(cmd, args, prefix)
}
