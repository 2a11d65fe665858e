package compose

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAJumpMovesTheTimeOfDayAlone(t *testing.T) {
	for _, by := range []time.Duration{0, time.Second, time.Hour, -time.Hour, 24 * time.Hour} {
		before := time.Now()
		after := jump(before, int64(by/time.Second))
		if got := after.Round(0).Sub(before.Round(0)); got != by {
			t.Errorf("a jump by %v moves the time of day by %v", by, got)
		}
		if got := after.Sub(before); got != 0 {
			t.Errorf("a jump by %v makes %v elapse", by, got)
		}
		if later := jump(before.Add(time.Minute), int64(by/time.Second)); later.Sub(after) != time.Minute {
			t.Errorf("after a jump by %v a minute is %v", by, later.Sub(after))
		}
	}
}

func TestAClockJumpsAsItsFileSays(t *testing.T) {
	env := &Env{Log: slog.New(slog.DiscardHandler)}
	t.Setenv(clockVariable, "")
	if env.clock() != nil {
		t.Error("a clock jumps that nobody asked for")
	}
	file := filepath.Join(t.TempDir(), "clock")
	t.Setenv(clockVariable, file)
	c := env.clock()
	off := func() time.Duration { return time.Until(c.Now().Round(0)).Round(time.Second) }
	if got := off(); got != 0 {
		t.Errorf("without a file it is off by %v", got)
	}
	for _, step := range []struct {
		text string
		want time.Duration
	}{{"1h\n", time.Hour}, {"-30s", -30 * time.Second}, {"soon", -30 * time.Second}, {"0s", 0}} {
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.(*jumpingClock).next.Store(0)
		if got := off(); got != step.want {
			t.Errorf("by %q it is off by %v", step.text, got)
		}
	}
	done := make(chan struct{})
	c.AfterFunc(time.Millisecond, func() { close(done) })
	<-done
	c.AfterFunc(time.Hour, func() { t.Error("a stopped timer fires") })()
}
