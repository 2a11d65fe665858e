package trace

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const someNodes = "node,count,cpu,memory,gpu,model,pool,rack,attributes\nbig,2,8,16Gi,4,V100,,r1,zone=a;disk=ssd\nsmall,1,500m,1Gi,,,edge,r2,\n"

func TestX3_ThePlainFormIsReadWithAllItsColumns(t *testing.T) {
	w, err := ReadPlain(strings.NewReader(someNodes), strings.NewReader(`
time,queue,job,kind,band,rank,owner,instances,parallel,cpu,memory,gpu,models,duration,estimate,gang,spread,pool
# a comment
0,web,front,service,production,2,ann,3,,250m,64Mi,,,,,,rack,
1m,ml,train,,free,-1,bob,4,4,1,1Gi,250m,V100|A10,90.5,1h,true,,edge
61.5,ml,,,,,,,,,,2,,0,,,,
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Nodes) != 3 || w.Nodes[0].Id != "big-0" || w.Nodes[1].Id != "big-1" || w.Nodes[2].Id != "small" {
		t.Errorf("nodes %v", w.Nodes)
	}
	if n := w.Nodes[1]; n.CpuMilli != 8000 || n.MemoryBytes != 16<<30 || len(n.Devices) != 4 || n.Devices[3].Model != "V100" ||
		!reflect.DeepEqual(n.Attributes, map[string]string{"rack": "r1", "zone": "a", "disk": "ssd"}) {
		t.Errorf("node %v", n)
	}
	if n := w.Nodes[2]; n.CpuMilli != 500 || n.Attributes["pool"] != "edge" {
		t.Errorf("node %v", n)
	}
	front, train, last := w.Jobs[0], w.Jobs[1], w.Jobs[2]
	if s := front.Spec; front.At != 0 || front.Run != Forever || s.Kind != "service" || s.Rank != 2 || s.Stages[0].Instances != 3 || s.Stages[0].Spread != "rack" {
		t.Errorf("front %+v", front)
	}
	st := train.Spec.Stages[0]
	if train.At != time.Minute || train.Run != 90500*time.Millisecond || st.Duration != "1h" || st.Gang == nil || st.Pool != "edge" ||
		st.Devices.Share != "250m" || st.Devices.Count != 1 || !reflect.DeepEqual(st.Devices.Models, []string{"A10", "V100"}) {
		t.Errorf("train %+v", train)
	}
	if last.At != 61500*time.Millisecond || last.Run != 0 || last.Spec.Name != "job-3" || last.Spec.Stages[0].Devices.Count != 2 {
		t.Errorf("last %+v", last)
	}
}

func TestX3_ObjectsSayTheSameAsATable(t *testing.T) {
	table, err := ReadPlain(strings.NewReader("node,cpu,memory\nn,4,1Gi\n"), strings.NewReader("time,job,instances,cpu,gang,duration\n5,a,2,250m,true,60\n"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := ReadPlain(strings.NewReader(`{"node":"n","cpu":4,"memory":"1Gi"}`),
		strings.NewReader("\n"+`{"time":5,"job":"a","instances":2,"cpu":"250m","gang":true,"duration":60,"owner":null}`+"\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(table.Jobs[0].Spec.String(), objects.Jobs[0].Spec.String()) || table.Jobs[0].Run != objects.Jobs[0].Run ||
		table.Nodes[0].String() != objects.Nodes[0].String() {
		t.Errorf("%v\n%v", table, objects)
	}
}

func TestX3_ABadRowIsToldWithLineAndColumn(t *testing.T) {
	good := "node,cpu,memory\nn,4,1Gi\n"
	for want, files := range map[string][2]string{
		"nodes: it is empty":                       {"", ""},
		"work: it is empty":                        {good, " \n"},
		`column "cpus" is not known; did you mean`: {"node,cpus\nn,1\n", ""},
		"column cpu is there twice":                {"node,cpu,cpu\nn,1,1\n", ""},
		"line 2: cpu: ":                            {"node,cpu,memory\nn,many,1Gi\n", ""},
		"line 3: node: ":                           {"node,cpu,memory\nn,1,1Gi\nN!,1,1Gi\n", ""},
		"line 2: memory: ":                         {"node,cpu\nn,1\n", ""},
		"line 2: attributes: \"zone\" must be":     {"node,cpu,memory,attributes\nn,1,1Gi,zone\n", ""},
		"line 2: count: \"0\" must be":             {"node,count,cpu,memory\nn,0,1,1Gi\n", ""},
		"line 2: time: \"soon\" must be":           {good, "time,job\nsoon,a\n"},
		"line 2: time: \"-1\" must be":             {good, "time,job\n-1,a\n"},
		"line 2: duration: \"1e300\" must be":      {good, "time,job,duration\n0,a,1e300\n"},
		"line 3: instances: \"x\" must be":         {good, "job,instances\na,1\nb,x\n"},
		"line 2: gang: \"yes\" must be":            {good, "job,gang\na,yes\n"},
		"line 2: gpu: \"1500m\" must be":           {good, "job,gpu\na,1500m\n"},
		"line 2: models: there are models, but":    {good, "job,models\na,V100\n"},
		"line 2: band: ":                           {good, "job,band\na,urgent\n"},
		"line 2: cpu: is zero":                     {good, "job,cpu\na,0\n"},
		"line 1: not a JSON object":                {good, `{"job":`},
		"line 2: name: column":                     {good, "{\"job\":\"a\"}\n{\"jobs\":\"a\"}"},
		"line 1: cpu: it must be a text":           {good, `{"job":"a","cpu":[1]}`},
		"wrong number of fields":                   {good, "job,cpu\na\n"},
	} {
		if _, err := ReadPlain(strings.NewReader(files[0]), strings.NewReader(files[1])); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got: %v", want, err)
		}
	}
}

func TestX3_PackedFilesAreReadAndErrorsNameThem(t *testing.T) {
	dir := t.TempDir()
	nodes, work := filepath.Join(dir, "n.csv.gz"), filepath.Join(dir, "w.csv")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte("node,cpu,memory\nn,4,1Gi\n"))
	z.Close()
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(nodes, packed.Bytes())
	write(work, []byte("job,cpu\na,1\n"))
	if w, err := LoadPlain(nodes, work); err != nil || len(w.Nodes) != 1 || len(w.Jobs) != 1 {
		t.Errorf("%v %v", w, err)
	}
	write(work, []byte("job,cpu\na,x\n"))
	if _, err := LoadPlain(nodes, work); err == nil || !strings.Contains(err.Error(), work+": line 2: cpu") {
		t.Errorf("%v", err)
	}
}

func FuzzReadPlain(f *testing.F) {
	f.Add(someNodes, "time,job,gpu,models\n1,a,2,V100\n")
	f.Add(`{"node":"n","cpu":4,"memory":"1Gi"}`, `{"job":"a"}`)
	f.Fuzz(func(t *testing.T, nodes, work string) {
		if strings.Contains(nodes, "count") {
			t.Skip() // many nodes take time
		}
		w, err := ReadPlain(strings.NewReader(nodes), strings.NewReader(work))
		if err == nil && newRecorder(w.Nodes, birth).compile(w) != nil {
			t.Error("what was read does not compile")
		}
	})
}
