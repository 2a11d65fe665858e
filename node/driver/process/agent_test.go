//go:build linux || darwin

package process_test

func agentMain(string) int { return 1 }
