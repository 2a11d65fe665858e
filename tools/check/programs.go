package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The programs that check for us. Each is pinned by go.mod or comes with Go, and runs through the go command.

func checkVet(t *tree, _ rules) ([]finding, error) {
	return program(t.root, "vet", "go", "vet", "./...")
}

func checkStaticcheck(t *tree, _ rules) ([]finding, error) {
	return program(t.root, "staticcheck", "go", "tool", "staticcheck", "./...")
}

// checkGenerated finds generated code that is older than its schema.
func checkGenerated(t *tree, _ rules) ([]finding, error) {
	return generated(t.root, t.root)
}

// generated builds the generator of the module at root and lets it compare what is in dir.
func generated(root, dir string) ([]finding, error) {
	tmp, err := os.MkdirTemp("", "troupe-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	generator := filepath.Join(tmp, "protogen")
	found, err := program(root, "generated", "go", "build", "-buildvcs=false", "-o", generator, "./tools/protogen")
	if err != nil || len(found) > 0 {
		return found, err
	}
	return program(dir, "generated", generator, "-check")
}

// program runs a command in dir. If it fails, every line that it printed is a finding.
func program(dir, check string, argv ...string) ([]finding, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &exit):
		return nil, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	var found []finding
	for line := range strings.Lines(out.String()) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "go: downloading") {
			found = append(found, finding{check: check, text: text})
		}
	}
	return append(found, finding{check: check, text: fmt.Sprintf("%s: %v", strings.Join(argv, " "), exit)}), nil
}
