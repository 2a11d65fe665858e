// Package smalldisk gives tests a file system of their own that is soon full.
package smalldisk
