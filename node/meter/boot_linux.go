package meter

import (
	"fmt"
	"os"
	"strings"
)

// BootID changes with every boot of the machine.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("meter: boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
