// Package e2e tests the binary as a user has it: real processes, real signals, real files. It holds nothing but tests.
package e2e
