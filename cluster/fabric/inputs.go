package fabric

import (
	"context"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Results is what an agent needs of the cell to fetch inputs; every api.Cell is one.
type Results interface {
	Results(ctx context.Context, req *v1.ResultsRequest) (*v1.ResultsReply, error)
}

// Inputs calls fn with every result of one stage, by index, page after page. fn's error ends it and is returned.
func Inputs(ctx context.Context, from Results, queue, job string, uid uint64, stage string, fn func(*v1.InstanceResult) error) error {
	req := &v1.ResultsRequest{Queue: queue, Name: job, Uid: uid, Stage: stage}
	for {
		page, err := from.Results(ctx, req)
		if err != nil {
			return err
		}
		for _, r := range page.GetResults() {
			if err := fn(r); err != nil {
				return err
			}
		}
		next := page.GetNext()
		if next == 0 {
			return nil
		}
		if next <= req.GetFrom() {
			return model.Internal("results of %s/%s stage %s go back from %d to %d", queue, job, stage, req.GetFrom(), next)
		}
		req = &v1.ResultsRequest{Queue: queue, Name: job, Uid: uid, Stage: stage, From: next}
	}
}
