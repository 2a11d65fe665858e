package jobfile

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const rulesYAML = `
name: train
owner: alice@example.com
stages:
  - name: fit
    command: [fit]
    instances: 8
    constraints:
      - {attribute: cpus, op: ">=", value: 8}
      - {attribute: kernel, op: version, value: ">=5.15, <7"}
    prefer: [{attribute: ssd, op: exists, weight: 50}]
    affinity: [{labels: {app: cache}, on: rack, weight: 20}]
    anti_affinity:
      - labels: {app: web}
        queue: "*"
    spreads: [{on: rack, max_skew: 1, max: 4, weight: 7}]
    ports:
      - {name: http, number: 8080}
      - name: debug
    devices: {kind: gpu, share: 0.5, models: [V100, A100]}
    pool: gpu
    tolerations: [{key: gpu, value: true}]
    gang: {hold: 20s}
    duration: 10m
    score: {by: fragmentation, weights: {packages: 100, mix: 0}}
    max_unavailable: 10%
    packages: [torch, cuda]
    data: {n1: 2Gi}
    resources: {cpu: 2, custom: {license: 2}}
`

const rulesTOML = `
name = "train"
owner = "alice@example.com"
[[stages]]
name = "fit"
command = ["fit"]
instances = 8
constraints = [{attribute = "cpus", op = ">=", value = 8}, {attribute = "kernel", op = "version", value = ">=5.15, <7"}]
prefer = [{attribute = "ssd", op = "exists", weight = 50}]
spreads = [{on = "rack", max_skew = 1, max = 4, weight = 7}]
devices = {kind = "gpu", share = 0.5, models = ["V100", "A100"]}
pool = "gpu"
tolerations = [{key = "gpu", value = true}]
gang = {hold = "20s"}
duration = "10m"
max_unavailable = "10%"
packages = ["torch", "cuda"]
[[stages.affinity]]
on = "rack"
weight = 20
labels = {app = "cache"}
[[stages.anti_affinity]]
queue = "*"
labels.app = "web"
[[stages.ports]]
name = "http"
number = 8080
[[stages.ports]]
name = "debug"
[stages.score]
by = "fragmentation"
[stages.score.weights]
packages = 100
mix = 0
[stages.data]
n1 = "2Gi"
[stages.resources]
cpu = 2
custom.license = 2
`

func rulesSpec() *v1.JobSpec {
	return &v1.JobSpec{Name: "train", Owner: "alice@example.com", Stages: []*v1.StageSpec{{
		Name: "fit", Command: []string{"fit"}, Instances: 8,
		Constraints:  []*v1.Constraint{{Attribute: "cpus", Op: ">=", Value: "8"}, {Attribute: "kernel", Op: "version", Value: ">=5.15, <7"}},
		Prefer:       []*v1.Constraint{{Attribute: "ssd", Op: "exists", Weight: 50}},
		Affinity:     []*v1.Affinity{{Labels: map[string]string{"app": "cache"}, On: "rack", Weight: 20}},
		AntiAffinity: []*v1.Affinity{{Labels: map[string]string{"app": "web"}, Queue: "*"}},
		Spreads:      []*v1.Spread{{On: "rack", MaxSkew: 1, Max: 4, Weight: 7}},
		Ports:        []*v1.Port{{Name: "http", Number: 8080}, {Name: "debug"}},
		Devices:      &v1.Devices{Kind: "gpu", Share: "0.5", Models: []string{"V100", "A100"}},
		Pool:         "gpu", Tolerations: []*v1.Toleration{{Key: "gpu", Value: "true"}}, Gang: &v1.Gang{Hold: "20s"}, Duration: "10m",
		Score:          &v1.Score{By: "fragmentation", Weights: map[string]int32{"packages": 100, "mix": 0}},
		MaxUnavailable: "10%", Packages: []string{"torch", "cuda"}, Data: map[string]string{"n1": "2Gi"},
		Resources: &v1.Resources{Cpu: "2", Custom: map[string]int64{"license": 2}},
	}}}
}

// TestB9_B53_RulesInThreeFormats shows the same rules from YAML, TOML and JSON, and that every field of a stage that says
// where it runs can be written.
func TestB9_B53_RulesInThreeFormats(t *testing.T) {
	want := rulesSpec()
	asJSON, err := protojson.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"j.yaml": rulesYAML, "j.toml": rulesTOML, "j.json": string(asJSON)} {
		doc, err := Parse(name, []byte(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !proto.Equal(doc.Spec, want) {
			t.Errorf("%s: got\n%v\nwant\n%v", name, doc.Spec, want)
		}
		if _, errs := model.Compile(doc.Spec); errs != nil {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestB9_WrongRulesNameTheirPlace(t *testing.T) {
	stage := "name: j\nstages:\n  - name: s\n    command: [a]\n"
	for _, tt := range []struct{ rule, want string }{
		{"    ports: [{name: a}, {name: a}]\n", "j.yaml:5:25: stages[0].ports[1].name: another port is told in TROUPE_PORT_A; give every port a name of its own"},
		{"    ports: [8080]\n", "j.yaml:5:13: stages[0].ports[0]: is a number, wants a table of fields; such as {name: …, number: …}"},
		{"    ports: [{name: a, numbr: 1}]\n", "j.yaml:5:23: stages[0].ports[0]: unknown field `numbr`; did you mean `number`?"},
		{"    devices:\n      count: 2\n      share: 500m\n", "j.yaml:7:7: stages[0].devices.share: only a single device can be shared, not 2; remove it, or set count: 1"},
		{"    resources: {custom: {license: many}}\n", "j.yaml:5:35: stages[0].resources.custom.license: \"many\" is not a whole number; such as 10"},
		{"    score: {weights: {localty: 5}}\n", "j.yaml:5:23: stages[0].score.weights.localty: unknown value \"localty\"; did you mean \"locality\"?"},
		{"    affinity: [{lables: {app: web}}]\n", "j.yaml:5:17: stages[0].affinity[0]: unknown field `lables`; did you mean `labels`?"},
		{"    antiaffinity: []\n", "j.yaml:5:5: stages[0]: unknown field `antiaffinity`; did you mean `anti_affinity`?"},
		{"    gang: true\n", "j.yaml:5:11: stages[0].gang: is a truth value, wants a table of fields; such as {hold: …}"},
		{"    max_unavailable: 0\n", "j.yaml:5:5: stages[0].max_unavailable: \"0\" is not a number of instances; write a count from 1 on or a percentage from 1 to 100"},
		{"    gpu: 1\n", "j.yaml:5:5: stages[0]: unknown field `gpu`; one of name, after"},
		{"    license: 1\n", "j.yaml:5:5: stages[0]: unknown field `license`; one of name"},
	} {
		doc, err := Parse("j.yaml", []byte(stage+tt.rule))
		if err == nil {
			_, errs := model.Compile(doc.Spec)
			err = doc.Refuse(errs)
		}
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), tt.want) || len(e.Problems) != 1 {
			t.Errorf("%q:\n got %v\nwant %s", tt.rule, err, tt.want)
		}
	}
}
