package client_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/api/apitest"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/natsd"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestDialReachesACellByURL(t *testing.T) {
	server, err := natsd.Start(natsd.Options{Dir: t.TempDir(), Port: natsd.RandomPort, SyncLazily: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c, err := client.Dial(server.ClientURL(), "dev", discard)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Wait, c.Backoff = 20*time.Millisecond, time.Millisecond
	_, err = c.CellStatus(t.Context(), &v1.CellStatusRequest{})
	if want := `no master answers for cell "dev" at ` + server.ClientURL(); !errors.Is(err, model.Unavailable("")) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want %s", err, want)
	}
	nc, err := server.Connect("service")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	service, err := api.Serve(api.Config{Conn: nc, Cell: "dev", Version: "1.0.0", Log: discard}, &apitest.Cell{})
	if err != nil {
		t.Fatal(err)
	}
	c.Wait = 10 * time.Second
	if status, err := c.CellStatus(t.Context(), &v1.CellStatusRequest{}); err != nil || status.GetCell() != "dev" {
		t.Fatalf("got %v, %v", status, err)
	}
	if err := service.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
