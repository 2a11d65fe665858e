package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/troupe-sched/troupe/chaos"
	"github.com/troupe-sched/troupe/chaos/scenario"
)

// A test of one's own program, which embeds Troupe and is called like it: its master and its nodes are killed while they
// work, and the report is kept as a page.
func ExampleRun() {
	s, err := scenario.Parse("mine.yaml", []byte(`
about: The master dies while work comes, and a node after it
cell:   {masters: 1, nodes: 2}
load:   {services: 4, every: 200ms, clients: 2}
faults: [{at: 1s, fault: kill, who: leader}, {at: 3s, fault: kill, who: any node, for: 1s}]
duration: 6s
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	made, err := chaos.Run(context.Background(), chaos.Options{Scenario: s, Seed: 1, Program: []string{"bin/mine"}})
	if errors.Is(err, chaos.ErrBroken) {
		for _, check := range made.Checks {
			for _, violation := range check.Violations {
				fmt.Println(check.Name+":", violation)
			}
		}
	} else if err != nil {
		fmt.Println(err)
		return
	}
	page, err := os.Create("report.html")
	if err == nil {
		err = errors.Join(made.HTML(page), page.Close())
	}
	if err != nil {
		fmt.Println(err)
	}
}
