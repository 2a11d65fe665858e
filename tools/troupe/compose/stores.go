package compose

import (
	"context"

	"github.com/troupe-sched/troupe/actors"
)

// stores is what opens the journal and the snapshots of a master.
func (m *masterParts) stores() (func(context.Context) (actors.Stores, error), error) {
	s := m.spec
	return actors.OpenStores(actors.Options{Dir: s.dir, Log: s.Log}), nil
}
