package cmd

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
	"golang.org/x/term"
	"google.golang.org/protobuf/proto"
)

// Cell is what commands ask: the port of every cell, and its events.
type Cell interface {
	api.Cell
	// Watch sends the events of a job, or of all jobs for an empty name, until ctx ends.
	Watch(ctx context.Context, queue, job string) (<-chan *v1.JobEvent, error)
}

// Stream is where a command writes.
type Stream struct {
	io.Writer
	// Terminal says that a person looks at it.
	Terminal bool
}

// FileStream is a stream into a file of the process.
func FileStream(f *os.File) Stream {
	return Stream{Writer: f, Terminal: term.IsTerminal(int(f.Fd()))}
}

// width of the terminal in columns; 0 if it is unknown.
func (s Stream) width() int {
	if f, ok := s.Writer.(*os.File); ok && s.Terminal {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

// App is one run of the program: where it reads and writes, and how it reaches the world.
type App struct {
	// Version of the program.
	Version  string
	In       io.Reader
	Out, Err Stream
	Now      func() time.Time
	// Sources are where the configuration comes from.
	Sources func(*pflag.FlagSet) config.Sources
	// World opens and reaches cells.
	World World
	// Hurry is closed when a person interrupts for the second time: no more waiting then.
	Hurry <-chan struct{}

	json    bool
	stale   bool
	timeout time.Duration
	queue   string
	// began says that the command line was understood.
	began bool
}

// page shows a page on the standard output.
func (a *App) page(draw func(*view.Page)) error {
	p := view.NewPage(a.Out, a.Now())
	p.Terminal, p.Width = a.Out.Terminal, a.Out.width()
	draw(p)
	return p.Flush()
}

// answer shows m as a page, or as JSON if that was asked for.
func (a *App) answer(m proto.Message, draw func(*view.Page)) error {
	if a.json {
		return view.JSON(a.Out, m)
	}
	return a.page(draw)
}

// note tells a person something beside the answer, on the standard error.
func (a *App) note(w io.Writer, draw func(*view.Page)) {
	var text bytes.Buffer
	p := view.NewPage(&text, a.Now())
	draw(p)
	if p.Flush() == nil {
		w.Write(text.Bytes()) // one write, so that it does not mix with others; a note that is lost is no failure
	}
}
