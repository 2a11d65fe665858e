package badgerdb

import (
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// left are the databases that could not be closed for want of room, by directory. They are as good as open, and badger
// keeps their lock: whoever opens one again in this process goes on with it, on a disk that is still full too.
var left struct {
	mu  sync.Mutex
	dbs map[string]*badger.DB
}

// leave keeps a database for the next who opens it.
func leave(dir string, db *badger.DB) {
	left.mu.Lock()
	defer left.mu.Unlock()
	if left.dbs == nil {
		left.dbs = map[string]*badger.DB{}
	}
	left.dbs[absolute(dir)] = db
}

// resume takes a database that was left; nil if there is none.
func resume(dir string) *badger.DB {
	left.mu.Lock()
	defer left.mu.Unlock()
	dir = absolute(dir)
	db := left.dbs[dir]
	delete(left.dbs, dir)
	return db
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
