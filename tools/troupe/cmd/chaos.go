package cmd

import "github.com/spf13/cobra"

func newChaosCommand(app *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "chaos",
		Short: "Break a cell on purpose, and see that its promises hold",
		Example: example("troupe chaos sim", "troupe chaos sim --seed 174 --focus master", "troupe chaos sim --seed 174 --shrink",
			"troupe chaos list", "troupe chaos run kill-master --report out.html"),
	}
	c.AddCommand(newChaosSimCommand(app), newChaosRunCommand(app), newChaosListCommand(app), newChaosNATSCommand(app), newChaosCheckCommand(app), newChaosJournalCommand(app))
	return group(c)
}
