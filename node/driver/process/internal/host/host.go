//go:build linux || darwin

// Package host tells processes of this machine apart and ends those that a dead shim left behind. A process id alone
// names nobody, because ids are used again; an id with the start time and the boot of the machine does.
package host

import (
	"fmt"
	"os"
	"time"
)

// Process is what the system says of one process.
type Process struct {
	PID, Parent, Session int
	Zombie               bool
	// Start is its start time in the system's own unit.
	Start uint64
}

// Self is the identity of this process.
func Self() (pid int, start uint64, boot string, err error) {
	boot, err = BootID()
	if err != nil {
		return 0, 0, "", fmt.Errorf("boot id: %w", err)
	}
	p, err := Get(os.Getpid())
	if err != nil {
		return 0, 0, "", fmt.Errorf("own start time: %w", err)
	}
	return p.PID, p.Start, boot, nil
}

// KillAll sends SIGKILL to every process that matches, until none is left: new ones are born while it looks, and those
// that were killed take a moment to die, in which they no longer match. It gives up after the time and returns how many
// remain.
func KillAll(match func(Process) bool, within time.Duration) (int, error) {
	deadline := time.Now().Add(within)
	killed := map[int]uint64{} // start by process id
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		all, err := List()
		if err != nil {
			return 0, fmt.Errorf("list processes: %w", err)
		}
		left := 0
		for _, p := range all {
			start, dying := killed[p.PID]
			if dying = dying && start == p.Start; p.Zombie || !dying && !match(p) {
				continue
			}
			left++
			kill(p)
			killed[p.PID] = p.Start
		}
		if left == 0 || time.Now().After(deadline) {
			return left, nil
		}
		time.Sleep(pause)
	}
}
