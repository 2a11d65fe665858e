package cmd

import (
	"runtime"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newVersionCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: example("troupe version", "troupe version --json"),
		Args:    names(),
		RunE: func(*cobra.Command, []string) error {
			if app.json {
				return view.JSONValue(app.Out, map[string]string{"version": app.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			return app.page(func(p *view.Page) {
				p.Line("troupe %s (%s, %s/%s)", app.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			})
		},
	}
}
