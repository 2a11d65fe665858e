// Package protos carries the written schema of the cell, for those who want to read it at run time.
package protos

import "embed"

// Sources are the proto files, under v1/.
//
//go:embed v1/*.proto
var Sources embed.FS
