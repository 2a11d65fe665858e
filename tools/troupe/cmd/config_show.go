package cmd

import (
	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newConfigCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "config",
		Short:   "Look at the configuration",
		Example: example("troupe config show"),
	}
	c.AddCommand(&cobra.Command{
		Use:   "show",
		Short: "Print the whole configuration: every value and where it comes from; secrets are hidden",
		Long: `Print the whole configuration: every value and where it comes from. Secrets are hidden.

The defaults come first, then /etc/troupe/config.yaml, then ~/.config/troupe/config.yaml (or instead of both the file that
--config or TROUPE_CONFIG names), then the environment, then flags. The key nats.url is TROUPE_NATS__URL in the environment.

With --json: {"files": [...], "entries": [{"key", "value", "source"}]}.`,
		Example: example("troupe config show", "TROUPE_HTTP__LISTEN=127.0.0.1:8080 troupe config show --json | jq '.entries[] | select(.source!=\"default\")'"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := app.settings(cmd)
			if err != nil {
				return err
			}
			if app.json {
				return view.JSONValue(app.Out, struct {
					Files   []string       `json:"files"`
					Entries []config.Entry `json:"entries"`
				}{append([]string{}, c.Files()...), c.Entries()})
			}
			return app.page(func(p *view.Page) {
				t := view.NewTable("KEY", "VALUE", "SOURCE")
				for _, e := range c.Entries() {
					t.Row(e.Key, e.Value, e.Source)
				}
				t.Write(p)
			})
		},
	})
	return group(c)
}
