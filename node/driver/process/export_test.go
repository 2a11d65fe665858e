//go:build linux || darwin

package process

import "time"

// SetPatience shortens how long a driver waits for a shim that does not answer.
func (d *Driver) SetPatience(p time.Duration) { d.patience = p }
