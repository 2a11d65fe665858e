//go:build !linux && !darwin

package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/troupe-sched/troupe/node/driver"
)

// Driver does not exist on this system.
type Driver struct{ driver.Driver }

// New refuses: process groups and sessions are needed.
func New(Options) (*Driver, error) {
	return nil, errors.New("process driver: " + runtime.GOOS + " is not supported; use Linux or macOS")
}

// ShimMain refuses.
func ShimMain([]string) int {
	fmt.Fprintln(os.Stderr, "shim: "+runtime.GOOS+" is not supported")
	return 1
}
