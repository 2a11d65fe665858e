package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Main runs the program with the arguments and signals of this process and returns its exit code.
func Main(app *App, args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	hurry := make(chan struct{})
	app.Hurry = hurry
	go func() {
		<-signals
		cancel(errInterrupted)
		again(signals)
		close(hurry)
		again(signals)
		os.Exit(exitInterrupted)
	}()
	return Run(ctx, app, args)
}

// doubled is the time within which a further signal is the same interrupt: whoever passes a signal on to the whole group
// of processes, as timeout and make do, sends it twice.
const doubled = time.Second

// again waits for the next interrupt.
func again(signals <-chan os.Signal) {
	before := time.Now()
	for range signals {
		if time.Since(before) >= doubled {
			return
		}
	}
}

// Run runs one command line until it is done or ctx ends, and returns the exit code. Errors have been told when it
// returns.
func Run(ctx context.Context, app *App, args []string) int {
	root := newRootCommand(app)
	root.SetArgs(args)
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	cmd, err := root.ExecuteContextC(ctx)
	code := codeOf(ctx, err)
	var exit *exitError
	if carried := errors.As(err, &exit); err != nil && !app.began && !carried {
		code = exitUsage // cobra itself found the command line wrong
	}
	switch {
	case err == nil || exit != nil && exit.err == nil: // all has been said
	case app.json:
		reportJSON(app.Err, err)
	case code == exitInterrupted && errors.Is(err, context.Canceled):
		fmt.Fprintln(app.Err, "troupe: interrupted")
	default:
		report(app.Err, err)
		if code == exitUsage {
			fmt.Fprintf(app.Err, "  see %s --help\n", cmd.CommandPath())
		}
	}
	return code
}

func newRootCommand(app *App) *cobra.Command {
	root := &cobra.Command{
		Use:   "troupe",
		Short: "A cluster scheduler made of supervised actors",
		Long: `Troupe runs jobs over many machines, or over this one: a master decides, an agent on every machine runs.

It needs no other service: "troupe run" opens a cell in this one process, "troupe dev" one that lasts, and "troupe master"
with a "troupe node" on each machine is a cluster.

Exit codes: 0 done, 1 the job failed or the cell refused, 2 the command line or the configuration is wrong,
130 interrupted.`,
		Example: `  troupe run tools/examples/hello.yaml       run a job in a cell of its own
  troupe dev                                 a lasting cell on this machine
  troupe job submit job.yaml --wait          submit to a running cell
  troupe job list --json                     answers for programs`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			app.began = true
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&app.json, "json", false, "answer with one JSON document on the standard output")
	flags.BoolVar(&app.stale, "stale", false, "let any master answer, from what it has; how old that is, is told on the standard error")
	addCellFlags(flags)
	flags.DurationVar(&app.timeout, "timeout", 15*time.Second, "longest wait for one answer of a cell")
	root.AddCommand(
		newRunCommand(app), newDevCommand(app), newMasterCommand(app), newNodeCommand(app),
		newJobCommand(app), newQueueCommand(app), newCellCommand(app),
		newBackupCommand(app), newRestoreCommand(app), newJournalCommand(app), newReplayCommand(app), newDecisionsCommand(app),
		newConfigCommand(app), newContextCommand(app), newVersionCommand(app), newBenchCommand(app), newChaosCommand(app), newDrillCommand(app), newSimCommand(app),
	)
	return group(root)
}

// group makes a command that only holds others: alone it shows its help, and a word that it does not know is an error
// with the nearest right one.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownCommand(cmd, args[0])
	}
	return c
}

func unknownCommand(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return usagef("there is no command %q; did you mean %q?", cmd.CommandPath()+" "+word, cmd.CommandPath()+" "+near[0])
	}
	return usagef("there is no command %q", cmd.CommandPath()+" "+word)
}

// example indents the lines of an example as cobra wants them.
func example(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

// names tells what the arguments of a command are: their number is checked, and the message says what is missing.
func names(words ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(words) {
			return usagef("%s is missing", words[len(args)])
		}
		if len(args) > len(words) {
			return usagef("%q is too much: %q takes %s", args[len(words)], cmd.CommandPath(), takes(words))
		}
		return nil
	}
}

func takes(words []string) string {
	if len(words) == 0 {
		return "no argument"
	}
	return strings.Join(words, " and ")
}

// notBoth refuses two flags that contradict each other. (Cobra's own check does not see flags of the parent.)
func notBoth(one, other string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed(one) && cmd.Flags().Changed(other) {
			return usagef("--%s and --%s exclude each other; right would be one of them", one, other)
		}
		return nil
	}
}
