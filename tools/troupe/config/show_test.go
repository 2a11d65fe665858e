package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

const cells = `
contexts:
  prod: {url: "nats://tok-en@p:4222,nats://u:pass-word@q", cell: west, creds: /prod.creds}
  test.eu: {url: nats://t:4222}
`

func TestContextStandsWhereItIsChosen(t *testing.T) {
	for _, test := range []struct {
		name string
		world
		url, cell, source string
	}{
		{"none", world{user: cells}, "", "local", "default"},
		{"in the file", world{user: cells + "context: test.eu"}, "nats://t:4222", "local", "context test.eu"},
		{"by variable", world{user: cells + "context: test.eu", env: []string{"TROUPE_CONTEXT=prod"}}, "nats://tok-en@p:4222,nats://u:pass-word@q", "west", "context prod"},
		{"by flag", world{user: cells, args: []string{"--context=test.eu"}}, "nats://t:4222", "local", "context test.eu"},
		{"taken back", world{user: cells + "context: prod", args: []string{"--context="}}, "", "local", "default"},
		{"beats earlier places", world{system: "nats: {url: nats://s}", user: cells + "context: test.eu"}, "nats://t:4222", "local", "context test.eu"},
		{"of a flag beats the environment", world{user: cells, env: []string{"TROUPE_NATS__URL=nats://e"}, args: []string{"--context=test.eu"}}, "nats://t:4222", "local", "context test.eu"},
		{"of the file does not", world{user: cells + "context: test.eu", env: []string{"TROUPE_NATS__URL=nats://e"}}, "nats://e", "local", "TROUPE_NATS__URL"},
		{"loses to its own place", world{user: cells, args: []string{"--context=prod", "--nats-url=nats://f"}}, "nats://f", "west", "--nats-url"},
		{"of the system file", world{system: cells, user: "context: test.eu"}, "nats://t:4222", "local", "context test.eu"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, err := load(t, test.world)
			if err != nil {
				t.Fatal(err)
			}
			if e := entry(t, c, "nats.url"); c.NATS.URL != test.url || c.Cell.Name != test.cell || e.Source != test.source {
				t.Errorf("url %q, cell %q from %+v", c.NATS.URL, c.Cell.Name, e)
			}
		})
	}
}

func TestContextsOfTwoFilesAreNotMixed(t *testing.T) {
	c, _, err := load(t, world{
		system: "contexts: {prod: {url: nats://s, creds: /system.creds}, other: {url: nats://o}}",
		user:   "contexts: {prod: {url: nats://u}}\ncontext: prod",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.NATS.URL != "nats://u" || c.NATS.Creds != "" || c.Contexts["prod"] != (Context{URL: "nats://u"}) {
		t.Errorf("the user's servers would see the system's credentials: %+v, %+v", c.NATS, c.Contexts)
	}
	if e := entry(t, c, "contexts.other.url"); filepath.Base(e.Source) != "system.yaml" || e.Value != "nats://o" {
		t.Errorf("other: %+v", e)
	}
}

func TestShowHasEveryKeyAndHidesSecrets(t *testing.T) {
	c, _, err := load(t, world{
		user: cells + "context: prod\nmaster: {cluster: {routes: ['nats://u:pass-word@h']}}",
		env:  []string{"TROUPE_PYROSCOPE__TOKEN=ge-heim", "TROUPE_PYROSCOPE__ADDRESS=https://a:pass-word@pyro"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var shown, logged bytes.Buffer
	if err := c.Show(&shown); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&logged, nil)).Info("start", "config", c)
	asJSON, err := json.Marshal(c.Entries())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(c.Pyroscope)
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range map[string]string{
		"show": shown.String(), "log": logged.String(), "entries": string(asJSON), "json": string(whole),
		"%v": fmt.Sprintf("%v", c.Pyroscope), "%+v": fmt.Sprintf("%+v", c.Pyroscope), "%#v": fmt.Sprintf("%#v", c.Pyroscope), "%q": fmt.Sprintf("%q", c.Pyroscope.Token),
	} {
		for _, secret := range []string{"ge-heim", "pass-word", "tok-en"} {
			if strings.Contains(text, secret) && (place == "show" || place == "log" || place == "entries" || secret == "ge-heim") {
				t.Errorf("%s shows %s:\n%s", place, secret, text)
			}
		}
		if !strings.Contains(text, hidden) {
			t.Errorf("%s does not show that something is hidden:\n%s", place, text)
		}
	}
	for _, k := range keys() {
		if !strings.Contains(shown.String(), "\n"+k.name) {
			t.Errorf("%s is not shown:\n%s", k.name, shown.String())
		}
	}
	for _, want := range []string{"nats://(hidden)@p:4222,nats://(hidden)@q", "contexts.prod.cell", "context prod", "TROUPE_PYROSCOPE__TOKEN"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("%q is missing:\n%s", want, shown.String())
		}
	}
}

func TestErrorsHideSecretsToo(t *testing.T) {
	for _, w := range []world{
		{args: []string{"--nats-url=http://u:pass-word@h"}},
		{args: []string{"--nats-url=nats://u:pass-word@h:port"}},
		{args: []string{"--nats-url=pass-word@h"}},
		{args: []string{"--nats-url=nats://u:pass,pass-word@h"}},
		{args: []string{"--pyroscope-address=pass-word@h"}},
		{env: []string{"TROUPE_PYROSCOPE__TOKEN=pass-word\n"}},
	} {
		_, _, err := load(t, w)
		if err == nil || strings.Contains(err.Error(), "pass-word") {
			t.Errorf("%v: %v", w.args, err)
		}
	}
}
