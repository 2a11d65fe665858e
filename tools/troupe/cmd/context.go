package cmd

import (
	"cmp"
	"slices"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/tools/troupe/config"
	"github.com/troupe-sched/troupe/tools/troupe/view"
)

func newContextCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "context",
		Short: "Name cells, and choose the one that commands talk to",
		Long: `Name cells, and choose the one that commands talk to. Contexts are kept in the configuration file: the one that --config or
TROUPE_CONFIG names, or else ~/.config/troupe/config.yaml.`,
		Example: example("troupe context set prod --url nats://nats.example:4222 --cell main --creds ~/prod.creds",
			"troupe context use prod", "troupe context list", "troupe job list --context prod"),
	}
	c.AddCommand(newContextListCommand(app), newContextUseCommand(app), newContextSetCommand(app))
	return group(c)
}

// contextEntry is a context as JSON shows it.
type contextEntry struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	Cell string `json:"cell"`
	// InUse says that commands talk to it now.
	InUse bool `json:"in_use"`
}

func newContextListCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the contexts; * marks the one in use",
		Example: example("troupe context list", "troupe context list --json | jq -r '.contexts[] | select(.in_use) | .name'"),
		Args:    names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := app.settings(cmd)
			if err != nil {
				return err
			}
			all := contextEntries(c)
			if app.json {
				return view.JSONValue(app.Out, map[string]any{"contexts": all})
			}
			return app.page(func(p *view.Page) {
				if len(all) == 0 {
					p.Line("no contexts; troupe context set NAME --url nats://HOST:4222 makes one")
					return
				}
				t := view.NewTable("IN USE", "CONTEXT", "CELL", "URL")
				for _, e := range all {
					mark := ""
					if e.InUse {
						mark = "*"
					}
					t.Row(mark, e.Name, e.Cell, e.URL)
				}
				t.Write(p)
			})
		},
	}
}

// contextEntries are the contexts by name, without what must not be shown.
func contextEntries(c *config.Config) []contextEntry {
	shown := map[string]string{}
	for _, e := range c.Entries() {
		shown[e.Key] = e.Value
	}
	all := []contextEntry{}
	for name, context := range c.Contexts {
		url, ok := shown["contexts."+name+".url"]
		if !ok {
			url = shown[`contexts["`+name+`"].url`]
		}
		all = append(all, contextEntry{Name: name, URL: url, Cell: context.Cell, InUse: name == c.Context})
	}
	slices.SortFunc(all, func(a, b contextEntry) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func newContextUseCommand(app *App) *cobra.Command {
	var none bool
	c := &cobra.Command{
		Use:               "use NAME",
		Short:             "Choose the cell that commands talk to from now on",
		Example:           example("troupe context use prod", "troupe context use --none"),
		ValidArgsFunction: app.completeContexts,
		Args: func(cmd *cobra.Command, args []string) error {
			if none {
				return names()(cmd, args)
			}
			return names("the NAME of a context (or --none)")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if !none {
				name = args[0]
			}
			file, err := app.changeConfig(cmd, func(f *configFile) {
				if none {
					f.remove("context")
				} else {
					f.set(name, "context")
				}
			})
			if err != nil {
				return err
			}
			return app.said(file, map[bool]string{true: "no context is in use", false: "context " + name + " is in use"}[none])
		},
	}
	c.Flags().BoolVar(&none, "none", false, "use no context: run embedded cells, or what --nats names")
	return c
}

func newContextSetCommand(app *App) *cobra.Command {
	var url, cell, creds string
	var use bool
	c := &cobra.Command{
		Use:               "set NAME",
		Short:             "Make a context, or change what is named of it",
		Example:           example("troupe context set prod --url nats://nats.example:4222 --cell main", "troupe context set prod --creds /home/me/prod.creds --use"),
		Args:              names("the NAME of a context"),
		ValidArgsFunction: app.completeContexts,
	}
	flags := c.Flags()
	flags.StringVar(&url, "url", "", "NATS servers of the cell, several with commas")
	flags.StringVar(&cell, "cell", "", "name of the cell")
	flags.StringVar(&creds, "creds", "", "NATS credentials file")
	flags.BoolVar(&use, "use", false, "use it from now on")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if flags.NFlag() == 0 {
			return usagef("there is nothing to set; right would be --url, --cell, --creds or --use")
		}
		file, err := app.changeConfig(cmd, func(f *configFile) {
			for flag, field := range map[string]string{"url": "url", "cell": "cell", "creds": "creds"} {
				if flags.Changed(flag) {
					f.set(flags.Lookup(flag).Value.String(), "contexts", args[0], field)
				}
			}
			if use {
				f.set(args[0], "context")
			}
		})
		if err != nil {
			return err
		}
		return app.said(file, "context "+args[0]+" is set")
	}
	return c
}

func (a *App) said(file, what string) error {
	if a.json {
		return view.JSONValue(a.Out, map[string]string{"file": file})
	}
	return a.page(func(p *view.Page) { p.Line("%s", view.Clean(what+" ("+file+")")) })
}

func (a *App) completeContexts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	c, err := a.settings(cmd)
	if err != nil {
		return nil, noFiles
	}
	var found []string
	for _, e := range contextEntries(c) {
		found = append(found, e.Name+"\t"+view.Clean(e.URL))
	}
	return found, noFiles
}
