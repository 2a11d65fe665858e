package actors_test

import (
	"testing"

	"github.com/troupe-sched/troupe/actors/jobfile"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Nobody names a machine: neither who wrote the file, nor who asks where the work is, nor anybody when its machine goes.
func TestB2_AJobFileNamesNoMachineAndItsWorkIsFoundByName(t *testing.T) {
	file, err := jobfile.Parse("web.yaml", []byte(`
name: web
kind: service
stages:
  - name: http
    instances: 3
    command: [serve]
    resources: {cpu: 600m, memory: 64Mi}
`))
	if err != nil {
		t.Fatal(err)
	}
	th := open(t, 4, "", running)
	c := th.cell.Load()
	th.submit(file.Spec, "")
	// found is where an instance is by its name, once all three run and no two share a node, which has room for one.
	found := func(but string) (at map[string]string) {
		th.eventually(func() bool {
			at = map[string]string{}
			taken := map[string]bool{but: true}
			r, err := c.Lookup(th.ctx, &v1.LookupRequest{Name: "web.default"})
			for _, e := range r.GetEndpoints() {
				if !taken[e.GetNode()] {
					taken[e.GetNode()], at[e.GetName()] = true, e.GetNode()
				}
			}
			return err == nil && len(r.GetEndpoints()) == 3 && len(at) == 3
		})
		return at
	}
	before := found("")
	const name = "1.http.web.default.test"
	r, err := c.Lookup(th.ctx, &v1.LookupRequest{Name: name})
	if err != nil || len(r.GetEndpoints()) != 1 || r.GetEndpoints()[0].GetNode() != before[name] {
		t.Fatalf("%s is at %v, %v; all are at %v", name, r, err, before)
	}
	evict := []*v1.Taint{{Key: "broken", Value: "yes", Effect: model.TaintEvict}}
	if _, err := c.TaintNode(th.ctx, &v1.TaintRequest{Id: before[name], Taints: evict}); err != nil {
		t.Fatal(err)
	}
	after := found(before[name])
	for other, node := range before {
		if other != name && after[other] != node {
			t.Errorf("%s was at %s and is at %s, though only %s had to move", other, node, after[other], name)
		}
	}
	if after[name] == "" {
		t.Errorf("%s is not among %v", name, after)
	}
}
