package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestM1_B9_SizesHaveAnAnswer(t *testing.T) {
	r := newRig(t)
	r.cluster()
	// A thousand stages, one after the other.
	var chain strings.Builder
	chain.WriteString("name: chain\nstages:\n")
	for i := range 1000 {
		fmt.Fprintf(&chain, "  - {name: s%d, command: ['true']", i)
		if i > 0 {
			fmt.Fprintf(&chain, ", after: [s%d]", i-1)
		}
		chain.WriteString("}\n")
	}
	r.must("job", "submit", r.file("chain.yaml", chain.String()))
	// A million instances.
	r.must("job", "submit", r.file("million.yaml", "name: million\nstages: [{name: s, instances: 1000000, command: ['true'], resources: {cpu: '64'}}]\n"))
	if s := r.status("million"); s.Phase != "pending" {
		t.Fatalf("the million waits for nodes that are large enough, but it is %q", s.Phase)
	}
	// A job file of a mebibyte, and one beyond every limit.
	for name, want := range map[string]string{"mebibyte": "262144", "beyond": "1048576"} {
		size := map[string]int{"mebibyte": 1<<20 - 200, "beyond": 2 << 20}[name]
		out, err := r.say("job", "submit", r.file(name+".yaml", fmt.Sprintf("name: big\nstages: [{name: s, command: [echo, %q]}]\n", strings.Repeat("x", size))))
		if exitCode(err) == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, it should name the limit %q: %.300s", name, exitCode(err), want, out)
		}
	}
	out, err := r.say("job", "submit", r.file("wrong.yaml", "name: wrong\nstages:\n  - name: s\n    instance: 3\n    command: ['true']\n"))
	if exitCode(err) == 0 || !strings.Contains(out, filepath.Base("wrong.yaml")+":4") || !strings.Contains(out, "instances") {
		t.Errorf("a misspelt field gives: %s", out)
	}
	r.must("job", "stop", "million")
	r.until("the chain goes on", func() bool { return r.status("chain").Counts.Done > "1" })
	r.must("job", "stop", "chain")
}
