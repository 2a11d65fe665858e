package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestWrongValuesNameKeySourceAndWhatIsRight(t *testing.T) {
	for _, test := range []struct {
		name string
		world
		want string // of the error, with the folder that stands for home taken away
	}{
		{"section", world{user: "natz: {url: x}"}, "natz (~/.config/troupe/config.yaml): unknown key; did you mean nats?"},
		{"far section", world{user: "qqqqqq: 1"}, "there are context, contexts, nats, cell, master, node, http, pyroscope, log, limits"},
		{"key", world{user: "nats: {ulr: x}"}, "nats.ulr (~/.config/troupe/config.yaml): unknown key; did you mean nats.url?"},
		{"far key", world{user: "log: {qqqqqqqqq: x}"}, "log.qqqqqqqqq (~/.config/troupe/config.yaml): unknown key; there are log.level, log.format"},
		{"deep key", world{user: "master: {cluster: {route: []}}"}, "did you mean master.cluster.routes?"},
		{"dotted key", world{user: "nats.url: x"}, "nats.url (~/.config/troupe/config.yaml): unknown key; write nats: {url: ...}"},
		{"deep dotted key", world{user: "master.cluster.listen: x"}, "write master: {cluster: {listen: ...}}"},
		{"half dotted key", world{user: "master: {cluster.listen: x}"}, "write master: {cluster: {listen: ...}}"},
		{"scalar for section", world{user: "nats: x"}, "nats (~/.config/troupe/config.yaml): is a string; write below it nats.url, nats.creds, nats.name"},
		{"list for value", world{user: "log: {level: [info]}"}, "log.level (~/.config/troupe/config.yaml): is a list; write a single value"},
		{"map for value", world{user: "log: {level: {info: 1}}"}, "is a map; write a single value"},
		{"map for list", world{user: "master: {cluster: {routes: {a: 1}}}"}, "is a map; write a list"},
		{"list for map", world{user: "node: {attributes: [a]}"}, "is a list; write a map"},
		{"date", world{user: "node: {attributes: {day: 2020-01-02}}"}, `"day" is a date; put it into quotes`},
		{"no YAML", world{user: "a: [b"}, "~/.config/troupe/config.yaml: yaml: line 1"},
		{"twice", world{user: "log: {level: info}\nlog: {level: info}"}, `mapping key "log" already defined`},
		{"a list on top", world{user: "- a"}, "~/.config/troupe/config.yaml: yaml"},
		{"much", world{user: "# " + strings.Repeat("x", maxFile)}, "is no file of at most 1048576 bytes; name a YAML file"},
		{"a folder", world{args: []string{"--config=$HOME"}}, "~: is no file of at most"},
		{"variable", world{env: []string{"TROUPE_NATS__ULR=x"}}, "TROUPE_NATS__ULR: unknown variable; did you mean TROUPE_NATS__URL?"},
		{"variable with one underscore", world{env: []string{"TROUPE_NATS_URL=x"}}, "TROUPE_NATS_URL: unknown variable; did you mean TROUPE_NATS__URL?"},
		{"contexts by variable", world{env: []string{"TROUPE_CONTEXTS=x"}}, "contexts (TROUPE_CONTEXTS): contexts are no variable; write them into a file"},
		{"choice in the environment", world{env: []string{"TROUPE_LOG__LEVEL=wran"}}, `log.level (TROUPE_LOG__LEVEL): unknown value "wran"; did you mean warn?`},
		{"far choice", world{env: []string{"TROUPE_LOG__LEVEL=qqqqqqqq"}}, `one of debug, info, warn, error`},
		{"choice by flag", world{args: []string{"--master-store=bolt"}}, `master.store (--master-store): unknown value "bolt"; one of badger, jetstream, memory`},
		{"number", world{args: []string{"--limits-jobs=many"}}, `limits.jobs (--limits-jobs): "many" is not a whole number`},
		{"small number", world{args: []string{"--limits-jobs=0"}}, `limits.jobs (--limits-jobs): 0 is too small; at least 1`},
		{"negative number", world{args: []string{"--limits-jobs=-1"}}, `-1 is out of range; from 0 to 1125899906842624`},
		{"wrapping number", world{args: []string{"--limits-jobs=9223372036854775808"}}, `is not a whole number`},
		{"fraction", world{user: "limits: {jobs: 1.5}"}, `"1.5" is not a whole number`},
		{"bool", world{user: "http: {pprof: 'yes'}"}, `http.pprof (~/.config/troupe/config.yaml): unknown value "yes"; true or false`},
		{"duration", world{user: "limits: {settle: 15}"}, `limits.settle (~/.config/troupe/config.yaml): "15" is not a duration; did you mean "15s"?`},
		{"bytes", world{user: "node: {memory: 4GiB}"}, `node.memory (~/.config/troupe/config.yaml): unknown unit "GiB"; did you mean "4Gi"?`},
		{"cpu", world{user: "node: {cpu: .nan}"}, `"NaN" is not a quantity`},
		{"rate", world{user: "node: {net: -1}"}, `"-1" is negative`},
		{"name", world{args: []string{"--cell-name=a.>"}}, `cell.name (--cell-name): "a.>" is not a name; 1 to 63 of a-z`},
		{"empty name", world{args: []string{"--cell-name="}}, `"" is not a name`},
		{"long", world{args: []string{"--nats-creds=" + strings.Repeat("x", maxText+1)}}, "nats.creds (--nats-creds): has 4097 bytes; at most 4096"},
		{"control", world{args: []string{"--nats-creds=a\nb"}}, "contains a control character"},
		{"UTF-8", world{args: []string{"--nats-creds=\xff"}}, "is not valid UTF-8"},
		{"tilde", world{user: "node: {dir: ~/troupe}"}, `"~/troupe" begins with ~, which is not replaced here; write the path in full`},
		{"no folder", world{user: "node: {dir: ''}"}, "node.dir (~/.config/troupe/config.yaml): is empty; name a folder"},
		{"servers", world{args: []string{"--nats-url=localhost:4222"}}, `"localhost:4222" is not a NATS server; write nats://host:port`},
		{"second server", world{args: []string{"--nats-url=nats://a,http://b"}}, `"http://b" is not a NATS server`},
		{"routes", world{args: []string{"--master-cluster-routes=nats://a,b"}}, `master.cluster.routes (--master-cluster-routes): "b" is not a NATS server`},
		{"web server", world{args: []string{"--pyroscope-address=pyro"}}, `"pyro" is not a web server; write http://host:port`},
		{"address", world{args: []string{"--http-listen=localhost"}}, `http.listen (--http-listen): "localhost" is not an address; write host:port`},
		{"port", world{args: []string{"--http-listen=:70000"}}, `":70000" is not an address`},
		{"map", world{args: []string{"--node-attributes=zone"}}, `"zone" has no =; write name=value,name=value`},
		{"map key", world{args: []string{"--node-attributes=a b=c"}}, `"a b" is not a key`},
		{"many", world{args: []string{"--node-attributes=" + strings.Repeat("a=b,", maxEntries) + "a=b"}}, ""},
		{"heartbeat", world{args: []string{"--limits-heartbeat=4s"}}, "limits.suspect (default): 5s is less than two heartbeats (limits.heartbeat is 4s); at least 8s"},
		{"lost", world{args: []string{"--limits-lost=2s"}}, "limits.lost (--limits-lost): 2s is not more than limits.suspect; more than 5s"},
		{"pprof", world{args: []string{"--http-pprof"}}, "http.pprof (--http-pprof): there is nowhere to serve profiles; set http.listen too"},
		{"store of several", world{args: []string{"--master-cluster-listen=:1"}}, "master.store (default): badger is no store for a cell of several masters"},
		{"store of peers", world{args: []string{"--master-peers=h:1,i:1,j:1", "--master-store=badger"}}, "master.store (--master-store): badger is no store for a cell of several masters"},
		{"two peers", world{args: []string{"--master-peers=h:1,i:1"}}, "master.peers (--master-peers): has 2 of them; name three or five masters, this one among them: two stop when either does"},
		{"peers elsewhere", world{args: []string{"--master-peers=h:1,i:1,j:1", "--nats-url=nats://h"}}, "cannot be joined where nats.url names others; leave out one of the two"},
		{"peers and routes", world{args: []string{"--master-peers=h:1,i:1,j:1", "--master-cluster-routes=nats://h"}}, "leave out master.cluster.routes"},
		{"peer without port", world{args: []string{"--master-peers=h:1,i,j:1"}}, `"i" is not where a master can be reached; write host:port, such as 10.0.0.1:6222`},
		{"peer twice", world{args: []string{"--master-peers=h:1,i:1,h:1"}}, "h:1 is there twice; name every master once"},
		{"peers with several ports", world{args: []string{"--master-peers=h:1,i:2,j:1"}}, "has several ports; say by --cluster-listen (master.cluster.listen) where this master hears the others"},
		{"even replicas", world{args: []string{"--master-replicas=2", "--master-store=jetstream"}}, "2 copies; 1, 3 or 5: an even number stands no more losses"},
		{"replicas without servers", world{args: []string{"--master-replicas=5", "--master-peers=h:1,i:1,j:1"}}, "5 copies need as many servers, master.peers has 3; 3"},
		{"replicas in badger", world{args: []string{"--master-replicas=3"}}, "badger is no store for a cell of several masters"},
		{"small disk", world{args: []string{"--master-disk=100Mi"}}, "are too few for a journal and its snapshots; at least 512Mi"},
		{"hasty", world{args: []string{"--master-suspect=300ms"}}, "300ms is less than four beats of a leader; at least 1s"},
		{"context", world{args: []string{"--context=prod"}}, `context (--context): there is no context "prod"; there are none`},
		{"near context", world{user: "contexts: {prod: {url: nats://h}}\ncontext: prd"}, `context (~/.config/troupe/config.yaml): there is no context "prd"; did you mean prod?`},
		{"context without url", world{user: "contexts: {prod: {cell: c}}"}, "contexts.prod.url (~/.config/troupe/config.yaml): is missing; name the NATS servers of the cell"},
		{"key of context", world{user: "contexts: {prod: {url: nats://h, cred: /x}}"}, "contexts.prod.cred (~/.config/troupe/config.yaml): unknown key; did you mean creds?"},
		{"value of context", world{user: "contexts: {prod: {url: h}}"}, `contexts.prod.url (~/.config/troupe/config.yaml): "h" is not a NATS server`},
		{"shape of context", world{user: "contexts: {prod: nats://h}"}, "contexts.prod (~/.config/troupe/config.yaml): is a string; write url, cell, creds"},
		{"shape of contexts", world{user: "contexts: [a]"}, "contexts (~/.config/troupe/config.yaml): is a list"},
		{"name of context", world{user: "contexts: {'a b': {url: nats://h}}"}, `contexts["a b"] (~/.config/troupe/config.yaml): "a b" is not a name of a context`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, home, err := load(t, test.world)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if text := strings.ReplaceAll(err.Error(), home, "~"); !strings.Contains(text, test.want) || len(e.Problems) != 1 {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
		})
	}
}

func TestTooManyEntriesAreRefused(t *testing.T) {
	var attributes, routes strings.Builder
	for i := range maxEntries + 1 {
		attributes.WriteString(strings.Repeat("a", i%60+1) + string(rune('a'+i/60)) + "=1,")
		routes.WriteString("nats://h,")
	}
	for flag, text := range map[string]string{
		"--node-attributes=":       strings.TrimSuffix(attributes.String(), ","),
		"--master-cluster-routes=": strings.TrimSuffix(routes.String(), ","),
	} {
		_, _, err := load(t, world{args: []string{flag + text}})
		if err == nil || !strings.Contains(err.Error(), "has 257 entries; at most 256") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, _, err := load(t, world{
		user: "nats: {url: x}\nlgo: {}\nlimits: {jobs: 0}",
		env:  []string{"TROUPE_LOG__LEVEL=loud", "TROUPE_HTTP__PORT=1"},
		args: []string{"--node-cpu=-1"},
	})
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != 6 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"nats.url (", "lgo (", "limits.jobs (", "log.level (TROUPE_LOG__LEVEL)", "TROUPE_HTTP__PORT:", "node.cpu (--node-cpu)"} {
		if !strings.Contains(err.Error(), "\n  "+want) && !strings.Contains(err.Error(), "/"+want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func TestVariablesOfAttemptsAreNoneOfOurs(t *testing.T) {
	if _, _, err := load(t, world{env: []string{"TROUPE_FENCE=1", "TROUPE_RESULT=/x", "TROUPE_CELL=c", "TROUPE_NODE=n"}}); err != nil {
		t.Error(err)
	}
}

func TestFlagsThatCannotBe(t *testing.T) {
	for _, name := range []string{"nats.ulr", "pyroscope.token", "contexts"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a flag for %s was made", name)
				}
			}()
			AddFlag(pflag.NewFlagSet("", pflag.ContinueOnError), "", name)
		}()
	}
}

func TestFlagNamedOtherwise(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlag(flags, "cell", "cell.name")
	if err := flags.Parse([]string{"--cell", "c1"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if e := entry(t, c, "cell.name"); c.Cell.Name != "c1" || e.Source != "--cell" {
		t.Errorf("%+v from %+v", c.Cell, e)
	}
}
