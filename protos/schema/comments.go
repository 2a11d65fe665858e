package schema

import (
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/troupe-sched/troupe/protos"
)

var (
	messageLine = regexp.MustCompile(`^message (\w+) \{`)
	fieldName   = regexp.MustCompile(`(\w+) = \d+;`)
)

// comments reads what stands above messages and fields in the proto files: the generated code keeps no comments. Keys
// are "Message" and "Message.field". The files never change, so they are read once.
var comments = sync.OnceValue(func() map[string]string {
	found := map[string]string{}
	paths, err := fs.Glob(protos.Sources, "v1/*.proto")
	if err != nil {
		panic("schema: " + err.Error()) // the pattern is a constant
	}
	for _, path := range paths {
		source, err := fs.ReadFile(protos.Sources, path)
		if err != nil {
			panic("schema: " + err.Error()) // embedded, and just listed
		}
		read(string(source), found)
	}
	return found
})

// read takes the comments of one file. A comment belongs to the first thing named on the line below it.
func read(source string, into map[string]string) {
	var message string
	var above []string
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "//"); ok {
			above = append(above, strings.TrimSpace(text))
			continue
		}
		text := strings.Join(above, " ")
		above = nil
		if m := messageLine.FindStringSubmatch(line); m != nil {
			message = m[1]
			if text != "" {
				into[message] = text
			}
			continue
		}
		if m := fieldName.FindStringSubmatch(line); m != nil && text != "" && message != "" {
			into[message+"."+m[1]] = text
		}
	}
}
