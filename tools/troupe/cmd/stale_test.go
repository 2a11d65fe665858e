package cmd

import (
	"strings"
	"testing"
)

func TestB31_StaleAnswersTellTheirAge(t *testing.T) {
	h := full(t)
	code, out, err := h.run("queue", "list", "--stale", "--json")
	if code != 0 || !strings.HasPrefix(out, "{") ||
		err != "as of record 1230 of epoch 3, told by master b: at most 1.53s old, 4 records behind the leader\n" {
		t.Errorf("exit %d, %q, %q", code, out, err)
	}
	if _, _, err := h.run("queue", "list"); err != "" {
		t.Errorf("without --stale: %q", err)
	}
}
