package meter

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// BootID changes with every boot of the machine.
func BootID() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "", fmt.Errorf("meter: boot id: %w", err)
	}
	return id, nil
}
