// Package vet is wrong on purpose: go vet must say so.
package vet

import "fmt"

// Wrong prints a number as text.
func Wrong() string { return fmt.Sprintf("%s", 7) }
