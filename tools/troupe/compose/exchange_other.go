//go:build !linux

package compose

import "errors"

// exchange makes each of two directories stand where the other stood, at one moment: here that is not possible.
func exchange(string, string) error { return errors.ErrUnsupported }
