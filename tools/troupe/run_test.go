package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestB9_ExamplesRunToTheirEnd(t *testing.T) {
	p := newPlace(t)
	out := p.must("run", "../examples/devices.toml", "--device", "gpu:V100=2", "--custom", "license=1", "--pool", "gpu", "--taint", "gpu=yes")
	if want := "whole/0  GPUs 0,1 and 1 license\n"; !strings.Contains(out, want) {
		t.Errorf("devices.toml shows\n%s, want %q", out, want)
	}
	for file, want := range map[string]string{
		"hello.yaml":    "hello/0  hello from ",
		"pipeline.json": "join/0  odd 2500\n        even 2550\n        all 5050\n",
		"retry.toml":    "flaky/3  instance 3 succeeded at attempt 3\n",
		"where.yaml":    "place/3  3 on ",
		"gang.yaml":     "ring/3  3 of 4 hears port 2",
	} {
		if out := p.must("run", "../examples/"+file); !strings.Contains(out, want) {
			t.Errorf("%s shows\n%s, want %q", file, out, want)
		}
	}
	for _, file := range []string{"service.yaml", "count-source.yaml", "quota.yaml"} {
		p.must("job", "validate", "../examples/"+file)
	}
	if left, err := filepath.Glob(p.path("troupe-*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left of the runs, %v", left, err)
	}
}

// TestCountSource holds the example against a count of the same files in one process.
func TestCountSource(t *testing.T) {
	if testing.Short() {
		t.Skip("counts all of the Go toolchain")
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("no Go toolchain to count: %v", err)
	}
	plain := exec.Command("sh", "-c", `find . -name '*.go' -type f | xargs wc -lw |
		awk '$3 != "total" { l += $1; w += $2; n++ } END { printf "%d .go files, %d lines, %d words in 64 slices\n", n, l, w }'`)
	plain.Dir, plain.Env = filepath.Join(strings.TrimSpace(string(root)), "src"), []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	want, err := plain.Output()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	phase, r := report(t, p.must("run", "../examples/count-source.yaml", "--json"))
	if phase != "succeeded" || len(r.Results) != 1 || !strings.HasPrefix(r.Results[0].Text, string(want)) {
		t.Errorf("%s, %+v; want %q", phase, r.Results, want)
	}
}

func TestRunExitsWithTheJobsStatus(t *testing.T) {
	p := newPlace(t)
	job := p.write("bad.yaml", oneStage("bad", 2, `echo "no such luck" >&2; exit 3`, "    retry: {attempts: 1}"))
	code, stdout, stderr := p.run("run", job)
	if code != 1 || !strings.Contains(stdout, "default/bad failed") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = p.run("run", p.write("wrong.yaml", "name: wrong\nstages:\n  - name: s\n    comand: [x]\n"))
	if code != 1 || stdout != "" || !strings.Contains(stderr, "wrong.yaml:4:5: stages[0]: unknown field `comand`; did you mean `command`?") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

func TestM7_CJKFromFileToResult(t *testing.T) {
	p := newPlace(t)
	job := p.write("cjk.yaml", "name: cjk\nlabels: {团队: 数据平台}\nstages:\n  - name: s\n    command: [sh, -c, 'echo 结果：完成 | tee \"$TROUPE_RESULT\"']\n")
	code, _, stderr := p.run("job", "validate", job)
	if code != 1 || !strings.Contains(stderr, "团队") {
		t.Errorf("a key that is no key: exit %d: %s", code, stderr)
	}
	job = p.write("cjk.yaml", "name: cjk\nlabels: {team: 数据平台}\nstages:\n  - name: s\n    command: [sh, -c, 'echo 结果：完成 | tee \"$TROUPE_RESULT\"']\n")
	if out := p.must("run", job); !strings.Contains(out, "s/0  结果：完成\n") {
		t.Errorf("the result is lost:\n%s", out)
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	p := newPlace(t)
	var both sync.WaitGroup
	for i := range 2 {
		job := p.write(fmt.Sprintf("job%d.yaml", i), oneStage("same", 3, fmt.Sprintf(`echo run %d > "$TROUPE_RESULT"`, i)))
		both.Go(func() {
			if code, stdout, stderr := p.run("run", job); code != 0 || !strings.Contains(stdout, fmt.Sprintf("s/2  run %d\n", i)) {
				t.Errorf("run %d: exit %d\n%s%s", i, code, stdout, stderr)
			}
		})
	}
	both.Wait()
}

func TestRunKeepsItsDataInDir(t *testing.T) {
	p := newPlace(t)
	job := p.write("job.yaml", oneStage("kept", 1, `echo done > "$TROUPE_RESULT"`))
	p.must("run", job, "--dir", p.path("cell"))
	if code, _, stderr := p.run("run", job, "--dir", p.path("cell")); code != 0 {
		t.Errorf("a second run in the same directory: exit %d: %s", code, stderr)
	}
	pipe, started := p.fifo("started")
	holds := p.write("holds.yaml", oneStage("holds", 1, `echo $$ > `+pipe+`; sleep 600`))
	first := p.start("run", holds, "--dir", p.path("cell"))
	started()
	code, _, stderr := p.run("run", job, "--dir", p.path("cell"))
	if code != 1 || !strings.Contains(stderr, "another process uses it") {
		t.Errorf("a directory in use: exit %d: %s", code, stderr)
	}
	first.end(syscall.SIGINT)
}

func TestInterruptEndsTheProcesses(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := newPlace(t)
		pipe, pid := p.fifo("pids")
		proc := p.start("run", p.write("job.yaml", oneStage("long", 2, `echo $$ > `+pipe+`; sleep 600 & echo $! > `+pipe+`; wait`)))
		pids := []string{pid(), pid(), pid(), pid()}
		if code := proc.end(sig); code != 130 {
			t.Errorf("%v: exit %d, want 130", sig, code)
		}
		for _, one := range pids {
			if lives(t, one) {
				t.Errorf("%v: process %s still runs", sig, one)
			}
		}
		if said := proc.stderr.String(); !strings.Contains(said, "interrupted: stopping default/long") || !strings.Contains(said, "default/long stopped: 0 of 2 instances were done") {
			t.Errorf("%v: it says\n%s", sig, said)
		}
		if left, _ := filepath.Glob(p.path("troupe-*")); len(left) > 0 {
			t.Errorf("%v: %v is left", sig, left)
		}
	}
}

// TestNextRunEndsWhatAKilledOneLeft: processes outlive whoever started them, so somebody must look after those of a run
// that could not do it itself.
func TestNextRunEndsWhatAKilledOneLeft(t *testing.T) {
	p := newPlace(t)
	pipe, pid := p.fifo("pids")
	proc := p.start("run", p.write("job.yaml", oneStage("long", 1, `echo $$ > `+pipe+`; sleep 600`)))
	orphan := pid()
	proc.end(syscall.SIGKILL)
	if !lives(t, orphan) {
		t.Fatal("the attempt died with the run: nothing is shown here")
	}
	p.must("run", p.write("next.yaml", oneStage("next", 1, "true")))
	if lives(t, orphan) {
		t.Errorf("process %s of the killed run still lives", orphan)
	}
	if left, _ := filepath.Glob(p.path("troupe-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
