// Command troupe is the whole of Troupe in one binary: the command line, the master, the agent, and the shim under
// which processes run.
package main

import (
	"os"
	"time"

	"github.com/troupe-sched/troupe/node/driver/process"
	"github.com/troupe-sched/troupe/tools/troupe/cmd"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

// version is set by the linker.
var version = "dev"

func main() {
	// A shim stands behind every slot, so it is kept clear of all that the rest of the program sets up.
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(process.ShimMain(os.Args[2:]))
	}
	os.Exit(cmd.Main(&cmd.App{
		Version: version, In: os.Stdin, Out: cmd.FileStream(os.Stdout), Err: cmd.FileStream(os.Stderr), Now: time.Now,
		Sources: config.FromProcess, World: world(),
	}, os.Args[1:]))
}
