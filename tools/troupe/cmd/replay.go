package cmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/replay"
	"github.com/troupe-sched/troupe/cluster/store/decisions"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newReplayCommand(app *App) *cobra.Command {
	var o replay.Options
	c := &cobra.Command{
		Use:   "replay [FILE]",
		Short: "Decide over again what a master has decided, and show the first difference",
		Long: `Decide over again what a master has decided: the recorded messages are handed to the production placer at their recorded
times, and what it says is held against what it said then. Without a file it is all that the master of --dir has recorded;
the master may run meanwhile.

Nothing differs as long as program and rules are those that recorded. With a newer program, or with --score, it shows the
first decision that would be another one.`,
		Example: example("troupe replay --dir /var/lib/troupe/master", "troupe replay incident.decisions --context 30",
			"troupe replay incident.decisions --score epvm"),
		Args: oneFile,
		RunE: func(cmd *cobra.Command, files []string) error { return app.replay(cmd, files, o) },
	}
	config.AddFlag(c.Flags(), "dir", "master.dir")
	c.Flags().IntVar(&o.Context, "context", 10, "messages before a difference that are shown")
	c.Flags().StringVar(&o.Place.Score, "score", "", "how nodes are chosen for stages and queues that do not say; empty: as the master does")
	return c
}

// oneFile takes a file or none.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return names()(cmd, args)
}

// recorded are the files that are named, or all that a master has recorded.
func (a *App) recorded(cmd *cobra.Command, files []string) ([]string, error) {
	if len(files) > 0 {
		return files, nil
	}
	c, err := a.settings(cmd)
	if err != nil {
		return nil, err
	}
	dir := compose.DecisionsDir(c)
	if files, err = decisions.Files(dir); err == nil && len(files) == 0 {
		err = fmt.Errorf("%s holds no recorded decisions; name a file, or by --dir the directory of a master whose master.decisions.size is not 0", dir)
	}
	return files, err
}

// replayed is a segment as JSON tells of it.
type replayed struct {
	File    string    `json:"file"`
	Cell    string    `json:"cell"`
	Host    string    `json:"host"`
	Version string    `json:"version"`
	Epoch   uint64    `json:"epoch"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Heard   uint64    `json:"heard"`
	Said    uint64    `json:"said"`
	Slots   uint64    `json:"slots"`
	Evicted uint64    `json:"evicted"`
	Missing uint64    `json:"missing"`
	// Failed is why the placer failed at the end, then and now.
	Failed string `json:"failed,omitempty"`
	// Same says that it decided everything as it did then.
	Same       bool        `json:"same"`
	Difference *difference `json:"difference,omitempty"`
}

type difference struct {
	Message uint64    `json:"message"`
	At      time.Time `json:"at"`
	Heard   string    `json:"heard"`
	Before  []string  `json:"before"`
	Then    string    `json:"then"`
	Now     string    `json:"now"`
}

func (a *App) replay(cmd *cobra.Command, files []string, o replay.Options) error {
	if o.Place.Score != "" && !slices.Contains(model.ScoreNames(), o.Place.Score) {
		return usagef("--score %s: there is no such score; right would be one of %s", o.Place.Score, strings.Join(model.ScoreNames(), ", "))
	}
	files, err := a.recorded(cmd, files)
	if err != nil {
		return err
	}
	all, differ := []replayed{}, false
	for _, file := range files {
		r, err := replay.File(file, o)
		if err != nil {
			return err
		}
		done := segmentOf(file, r)
		differ = differ || !done.Same
		if all = append(all, done); !a.json {
			if err := a.page(done.draw); err != nil {
				return err
			}
		}
	}
	if a.json {
		if err := view.JSONValue(a.Out, map[string]any{"segments": all, "same": !differ}); err != nil {
			return err
		}
	}
	if differ {
		return &exitError{code: exitFailed}
	}
	return nil
}

func segmentOf(file string, r *replay.Result) replayed {
	done := replayed{
		File: file, Cell: r.Head.Cell, Host: r.Head.Host, Version: r.Head.Version, Epoch: r.Head.Epoch, From: r.From.UTC(), To: r.To.UTC(),
		Heard: r.Heard, Said: r.Said, Slots: r.Slots, Evicted: r.Evicted, Missing: r.Missing, Same: r.Difference == nil,
	}
	if r.Failed != nil {
		done.Failed = r.Failed.Error()
	}
	if d := r.Difference; d != nil {
		done.Difference = &difference{Message: d.Number, At: d.Heard.At.UTC(), Heard: replay.Text(&d.Heard), Before: []string{}, Then: replay.Text(d.Then), Now: replay.Text(d.Now)}
		for i := range d.Before {
			done.Difference.Before = append(done.Difference.Before, replay.Text(&d.Before[i]))
		}
		if d.Failed != nil {
			done.Difference.Now = d.Failed.Error()
		}
	}
	return done
}

func (r *replayed) draw(p *view.Page) {
	p.Line("%s: cell %s, epoch %d on %s, %s for %s", r.File, r.Cell, r.Epoch, r.Host, r.From.Format("2006-01-02 15:04:05"), view.Span(r.To.Sub(r.From)))
	p.Line("  %s messages heard, %s said, %s slots placed, %s evicted", view.Count(r.Heard), view.Count(r.Said), view.Count(r.Slots), view.Count(r.Evicted))
	if r.Missing > 0 {
		p.Line("  it ends where %s messages are missing: more came than could be written", view.Count(r.Missing))
	}
	if r.Failed != "" {
		p.Line("  at the end the placer failed, as then: %s", view.Clean(r.Failed))
	}
	d := r.Difference
	if d == nil {
		p.Line("  every decision is the same")
		return
	}
	p.Line("  the first difference is at message %d, at %s", d.Message, d.At.Format("15:04:05.000000"))
	for _, line := range d.Before {
		p.Line("    before  %s", view.Clean(line))
	}
	p.Line("    heard   %s", view.Clean(d.Heard))
	p.Line("    then    %s", view.Clean(d.Then))
	p.Line("    now     %s", view.Clean(d.Now))
}
