// Package staticcheck is wrong on purpose: staticcheck must say so.
package staticcheck

// Wrong compares a bool with true.
func Wrong(b bool) bool {
	if b == true {
		return false
	}
	return true
}
