package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/store/backup"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newJournalCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "journal",
		Short: "Check and read the journal of a cell, of a directory, or of a backup",
		Example: example("troupe journal verify", "troupe journal tail -f", "troupe journal at 1200 history.troupe",
			"troupe journal verify --dir /var/lib/troupe/master"),
	}
	c.AddCommand(newJournalVerifyCommand(app), newJournalTailCommand(app), newJournalAtCommand(app))
	return group(c)
}

func newJournalVerifyCommand(app *App) *cobra.Command {
	var s source
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check a journal: every record's checksum, the chain of hashes, the snapshot, and that all of it replays",
		Long: `Check a journal: the checksum of every record, the chain of their hashes, that the snapshot loads and belongs to it, and that
all of it replays. If the very first record is there, the snapshot must be what the records give, byte for byte.`,
		Example: example("troupe journal verify", "troupe journal verify cell.troupe", "troupe journal verify --dir /var/lib/troupe/master --json"),
		Args:    s.args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := s.inspect(app, cmd, backup.Everything, &backup.Inspector{}, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
			c := describe(found)
			return app.figures(c, func(p *view.Page) {
				p.Line("%s is whole", s.name())
				c.draw(p)
				switch {
				case !c.State:
					p.Line("the state cannot be told: the records begin with record %d, and there is no snapshot", c.First)
				case c.Replayed && c.SnapshotSeq > 0 && c.First == 1:
					p.Line("a replay from the first record gives what the snapshot says")
				}
			})
		},
	}
	s.addFlags(c)
	return c
}

func newJournalTailCommand(app *App) *cobra.Command {
	var s source
	var last int
	var follow bool
	c := &cobra.Command{
		Use:     "tail [FILE]",
		Short:   "Show the last records of a journal, a line an event, and those to come",
		Example: example("troupe journal tail -f", "troupe journal tail -n 100 cell.troupe --json | jq -c .event"),
		Args:    s.args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case last < 1 || last > tailMax:
				return usagef("-n is %d; right would be 1 to %d", last, tailMax)
			case follow && (s.file != "" || s.dir != ""):
				return usagef("-f follows the running cell; a file and --dir stand still")
			}
			return app.tail(cmd, &s, last, follow)
		},
	}
	s.addFlags(c)
	c.Flags().IntVarP(&last, "records", "n", 20, "how many records")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	return c
}

// tailMax bounds the records that are shown from the end.
const tailMax = 100_000

func (a *App) tail(cmd *cobra.Command, s *source, last int, follow bool) error {
	if s.file == "" && s.dir == "" {
		return a.withCell(cmd, func(ctx context.Context, cell Cell) error { return a.tailCell(ctx, cell, uint64(last), follow) })
	}
	var kept []*v1.Record
	i := &backup.Inspector{Each: func(rec *v1.Record) error {
		if kept = append(kept, rec); len(kept) >= 2*last {
			kept = append(kept[:0:0], kept[len(kept)-last:]...)
		}
		return nil
	}}
	if _, err := s.inspect(a, cmd, backup.Everything, i, nil); err != nil {
		return fmt.Errorf("%s: %w", s.name(), err)
	}
	for _, rec := range kept[max(len(kept)-last, 0):] {
		if err := a.showRecord(rec); err != nil {
			return err
		}
	}
	return nil
}

// tailCell shows the last records of the running cell.
func (a *App) tailCell(ctx context.Context, cell Cell, last uint64, follow bool) error {
	status, err := bounded(ctx, a, func(ctx context.Context) (*v1.CellStatus, error) {
		return cell.CellStatus(ctx, &v1.CellStatusRequest{})
	})
	if err != nil {
		return err
	}
	req := &v1.JournalRequest{From: 1, Follow: follow}
	if seq := status.GetSeq(); seq > last {
		req.From = seq - last + 1
	}
	next := uint64(0)
	read := func() error {
		records := &backup.Splitter{Each: func(rec *v1.Record) error {
			next = rec.GetSeq() + 1
			return a.showRecord(rec)
		}}
		return cell.Journal(ctx, req, func(c *v1.Chunk) error {
			_, err := records.Write(c.GetData())
			return err
		})
	}
	for {
		err = read()
		var f *model.Fault
		switch {
		case !errors.As(err, &f) || ctx.Err() != nil:
			return err
		case f.Err == model.ErrInvalid && next == 0 && req.GetFrom() > 0:
			req.From = 0 // not so many are kept
		case follow && f.Err == model.ErrUnavailable && next > req.GetFrom():
			req.From = next // another master leads, which has the rest
		default:
			return err
		}
	}
}

// showRecord shows a record, a line an event.
func (a *App) showRecord(rec *v1.Record) error {
	if !a.json {
		return a.page(func(p *view.Page) { view.Record(p, rec) })
	}
	for _, ev := range rec.GetEvents() {
		data, err := view.Message(ev)
		if err != nil {
			return err
		}
		line := struct {
			Seq        uint64          `json:"seq"`
			Epoch      uint64          `json:"epoch"`
			TimeUnixMs int64           `json:"time_unix_ms"`
			Event      json.RawMessage `json:"event"`
		}{rec.GetSeq(), rec.GetEpoch(), rec.GetTimeUnixNano() / 1e6, data}
		if err := view.JSONValue(a.Out, line); err != nil {
			return err
		}
	}
	return nil
}

func newJournalAtCommand(app *App) *cobra.Command {
	var s source
	var seq uint64
	args := s.args("the number of a record (SEQ)")
	c := &cobra.Command{
		Use:     "at SEQ [FILE]",
		Short:   "Show the hard state as of one record: queues, jobs, nodes",
		Example: example("troupe journal at 1200", "troupe journal at 1200 history.troupe --json | jq '.jobs[].name'"),
		Args: func(cmd *cobra.Command, words []string) (err error) {
			if err = args(cmd, words); err != nil {
				return err
			}
			if seq, err = strconv.ParseUint(words[0], 10, 64); err != nil || seq == 0 {
				return usagef("%q is no record; right would be a number from 1 on", words[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := app.stateAt(cmd, &s, seq)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
			return app.showState(state)
		},
	}
	s.addFlags(c)
	return c
}

// stateAt is the hard state as of one record. Of the running cell the records are asked for only if the snapshot is newer.
func (a *App) stateAt(cmd *cobra.Command, s *source, seq uint64) (*model.State, error) {
	parts := []backup.Part{backup.Everything}
	if s.file == "" && s.dir == "" {
		parts = []backup.Part{backup.Tail, backup.Records}
	}
	var all error
	for _, part := range parts {
		found, err := s.inspect(a, cmd, part, &backup.Inspector{To: seq}, nil)
		if err == nil {
			return found.State, nil
		}
		if errors.Is(err, journal.ErrCorrupt) {
			return nil, err
		}
		all = err
	}
	return nil, all
}

// showState shows a hard state.
func (a *App) showState(s *model.State) error {
	jobs := make([]*v1.JobSummary, 0, len(s.Jobs()))
	for _, job := range s.Jobs() {
		jobs = append(jobs, journal.Summary(job))
	}
	if !a.json {
		return a.page(func(p *view.Page) { view.State(p, s, jobs) })
	}
	list := func(n int, message func(int) (json.RawMessage, error)) ([]json.RawMessage, error) {
		all := make([]json.RawMessage, 0, n)
		for i := range n {
			data, err := message(i)
			if err != nil {
				return nil, err
			}
			all = append(all, data)
		}
		return all, nil
	}
	queues, nodes := s.Queues(), s.Nodes()
	out := struct {
		Seq    uint64            `json:"seq"`
		Epoch  uint64            `json:"epoch"`
		Queues []json.RawMessage `json:"queues"`
		Jobs   []json.RawMessage `json:"jobs"`
		Nodes  []json.RawMessage `json:"nodes"`
	}{Seq: s.Seq(), Epoch: s.Epoch()}
	var errs [3]error
	out.Queues, errs[0] = list(len(queues), func(i int) (json.RawMessage, error) { return view.Message(queues[i].Spec) })
	out.Jobs, errs[1] = list(len(jobs), func(i int) (json.RawMessage, error) { return view.Message(jobs[i]) })
	out.Nodes, errs[2] = list(len(nodes), func(i int) (json.RawMessage, error) {
		n := nodes[i]
		return view.Message(&v1.NodeState{Info: n.Info, Drained: n.Drained, DrainReason: n.DrainReason, Maintenance: n.Maintenance, Evict: n.Evict, Taints: n.Taints})
	})
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	return view.JSONValue(a.Out, out)
}
