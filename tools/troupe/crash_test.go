package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cluster is a master with a NATS server of its own and one node, as processes that can be killed and started again.
type cluster struct {
	*place
	nats         string
	master, node *running
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{place: newPlace(t)}
	c.startMaster("127.0.0.1:0")
	c.startNode()
	return c
}

func (c *cluster) startMaster(listen string) {
	c.t.Helper()
	master, facts := c.server("master", "--dir", c.path("master"), "--nats-listen", listen)
	c.master, c.nats = master, facts.NATS
}

func (c *cluster) startNode() {
	c.t.Helper()
	c.node, _ = c.server("node", "--nats", c.nats, "--dir", c.path("node"), "--id", "one", "--cpu", "2", "--memory", "1Gi")
}

func (c *cluster) ask(args ...string) string { return c.must(append(args, "--nats", c.nats)...) }

// status of a job; empty while nobody answers.
func (c *cluster) status(job string) (phase, done string) {
	code, out, _ := c.run("job", "status", job, "--json", "--nats", c.nats)
	var s struct {
		Phase  string
		Counts struct{ Done string }
	}
	if code == 0 && json.Unmarshal([]byte(out), &s) == nil {
		return s.Phase, s.Counts.Done
	}
	return "", ""
}

// until asks again and again until ok says yes.
func (c *cluster) until(what string, ok func() bool) {
	c.t.Helper()
	tick, end := time.NewTicker(20*time.Millisecond), time.After(2*time.Minute)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			c.t.Fatalf("%s: it did not come about", what)
		}
	}
}

// began counts how often each instance has begun: every attempt writes a line.
func (c *cluster) began(name string) (lines int, by map[string]int) {
	data, err := os.ReadFile(c.path(name))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	by = map[string]int{}
	for _, index := range strings.Fields(string(data)) {
		by[index]++
		lines++
	}
	return lines, by
}

// crashing submits a job of short attempts and kills a process whenever so many more have begun. In the end every
// instance has begun once and every result is there once.
func (c *cluster) crashing(kill func(round int)) {
	c.t.Helper()
	const instances = 40
	script := fmt.Sprintf(`echo "$TROUPE_INDEX" >> %s; sleep 0.2; echo "result $TROUPE_INDEX" > "$TROUPE_RESULT"`, c.path("began"))
	file := c.write("once.yaml", strings.Replace(oneStage("once", instances, script), "cpu: 10m", "cpu: 250m", 1))
	c.ask("job", "submit", file, "--key", "k")
	for round, reached := range []int{6, 18, 30} {
		c.until("attempts begin", func() bool { n, _ := c.began("began"); return n >= reached })
		kill(round)
	}
	c.ask("job", "submit", file, "--key", "k") // the same key: no second job
	c.until("the job ends", func() bool { phase, _ := c.status("once"); return phase == "succeeded" })
	_, by := c.began("began")
	for i := range instances {
		if n := by[fmt.Sprint(i)]; n != 1 {
			c.t.Errorf("instance %d began %d times", i, n)
		}
	}
	if _, done := c.status("once"); done != fmt.Sprint(instances) {
		c.t.Errorf("%s instances are done, of %d", done, instances)
	}
	if out := c.ask("job", "results", "once"); strings.Count(out, "result ") != instances {
		c.t.Errorf("results:\n%s", out)
	}
}

func TestB46_F13_F5_B29_AKilledAgentRunsNothingTwiceAndLosesNothing(t *testing.T) {
	c := newCluster(t)
	c.crashing(func(int) {
		c.node.end(syscall.SIGKILL)
		c.startNode()
	})
}

func TestF30_F31_B14_B31_AKilledMasterForgetsNothingAndRestartsNothing(t *testing.T) {
	c := newCluster(t)
	c.crashing(func(round int) {
		c.ask("job", "submit", c.write("later.yaml", oneStage(fmt.Sprintf("later-%d", round), 1, "true")))
		c.master.end(syscall.SIGKILL)
		c.startMaster(strings.TrimPrefix(c.nats, "nats://"))
	})
	for round := range 3 {
		c.until("acknowledged jobs end", func() bool { phase, _ := c.status(fmt.Sprintf("later-%d", round)); return phase == "succeeded" })
	}
}

func TestM1_B9_EverySizeHasAnAnswer(t *testing.T) {
	c := newCluster(t)
	var chain strings.Builder
	chain.WriteString("name: chain\nstages:\n  - {name: s0, command: ['true']}\n")
	for i := 1; i < 1000; i++ {
		fmt.Fprintf(&chain, "  - {name: s%d, command: ['true'], after: [s%d]}\n", i, i-1)
	}
	c.ask("job", "submit", c.write("chain.yaml", chain.String()))
	c.until("a thousand stages go on", func() bool { _, done := c.status("chain"); return len(done) == 2 })
	c.ask("job", "stop", "chain")

	million := "name: million\nstages: [{name: s, instances: 1000000, command: ['true'], resources: {cpu: '64'}}]\n"
	c.ask("job", "submit", c.write("million.yaml", million))
	if phase, _ := c.status("million"); phase != "pending" {
		t.Errorf("a million waits for nodes that are large enough, but it is %q", phase)
	}
	for name, limit := range map[string]string{"mebibyte": "262144", "beyond": "1048576"} {
		size := map[string]int{"mebibyte": 1<<20 - 200, "beyond": 2 << 20}[name]
		file := c.write(name+".yaml", fmt.Sprintf("name: big\nstages: [{name: s, command: [echo, %q]}]\n", strings.Repeat("x", size)))
		if code, _, errs := c.run("job", "submit", file, "--nats", c.nats); code == 0 || !strings.Contains(errs, limit) {
			t.Errorf("%s: exit %d, it should name the limit %s: %.300s", name, code, limit, errs)
		}
	}
}
