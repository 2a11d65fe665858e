package cmd

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	// What an outcome shows of the last stage's results; "troupe job results" shows all.
	outcomeResults = 20
	outcomeBytes   = 4 << 10
)

// Report is the JSON of a job that was run or waited for.
type Report struct {
	// Job is the JobStatus as the API writes it.
	Job json.RawMessage `json:"job"`
	// Results of the last stages, at most 20.
	Results []ReportResult `json:"results"`
}

// ReportResult is one instance's result.
type ReportResult struct {
	Stage string `json:"stage"`
	Index uint64 `json:"index"`
	// Text is the result if it is UTF-8, else Data is.
	Text string `json:"text,omitempty"`
	Data []byte `json:"data,omitempty"`
}

// outcome shows the end of a job and fails if the job did.
func (a *App) outcome(ctx context.Context, cell Cell, status *v1.JobStatus) error {
	results, more, err := lastResults(ctx, a, cell, status)
	if err != nil {
		return err
	}
	if a.json {
		err = a.reportOutcome(status, results)
	} else {
		err = a.page(func(p *view.Page) {
			view.Outcome(p, status)
			if len(results) > 0 {
				p.Line("")
				view.Results(p, results, outcomeBytes)
			}
			if more {
				p.Line("… and more results")
			}
		})
	}
	if err == nil && status.GetPhase() != "succeeded" {
		return &exitError{code: exitFailed}
	}
	return err
}

func (a *App) reportOutcome(status *v1.JobStatus, results []view.Result) error {
	job, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(status)
	if err != nil {
		return err
	}
	return view.JSONValue(a.Out, Report{Job: job, Results: reportResults(results)})
}

func reportResults(results []view.Result) []ReportResult {
	out := make([]ReportResult, len(results))
	for i, r := range results {
		out[i] = ReportResult{Stage: r.Stage, Index: r.GetIndex()}
		if utf8.Valid(r.GetData()) {
			out[i].Text = string(r.GetData())
		} else {
			out[i].Data = r.GetData()
		}
	}
	return out
}

// lastResults fetches the first results of the last stage; more says that there are others.
func lastResults(ctx context.Context, a *App, cell Cell, status *v1.JobStatus) (results []view.Result, more bool, err error) {
	stages := status.GetStages()
	if len(stages) == 0 || stages[len(stages)-1].GetResultBytes() == 0 {
		return nil, false, nil
	}
	stage := stages[len(stages)-1].GetName()
	reply, err := bounded(ctx, a, func(ctx context.Context) (*v1.ResultsReply, error) {
		return cell.Results(ctx, &v1.ResultsRequest{Queue: status.GetQueue(), Name: status.GetName(), Uid: status.GetUid(), Stage: stage})
	})
	if err != nil {
		return nil, false, err
	}
	for _, r := range reply.GetResults() {
		if len(results) == outcomeResults {
			return results, true, nil
		}
		results = append(results, view.Result{Stage: stage, InstanceResult: r})
	}
	return results, reply.GetNext() != 0, nil
}
