package compose

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/troupe-sched/troupe/cluster/store/decisions"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

// decisionsDir is where a master records what its placer decides, unless the configuration says otherwise.
const decisionsDir = "decisions"

// openDecisions begins to record what the placer decides, if that shall be.
func (m *masterParts) openDecisions(context.Context) (err error) {
	c := m.spec.Config.Master.Decisions
	if c.Size == 0 || m.spec.store == "memory" {
		return nil
	}
	m.decisions, err = decisions.Open(decisions.Options{
		Dir: cmp.Or(c.Dir, filepath.Join(m.spec.dir, decisionsDir)), Size: c.Size, Version: m.spec.Version, Log: m.spec.Log,
	})
	if err != nil {
		return fmt.Errorf("master.decisions: %w", err)
	}
	m.process.parts.add("decisions", func(context.Context) error { return m.decisions.Close() })
	return nil
}

// DecisionsDir is where a master with this configuration records what its placer decides.
func DecisionsDir(c *config.Config) string {
	return cmp.Or(c.Master.Decisions.Dir, filepath.Join(c.Master.Dir, decisionsDir))
}
