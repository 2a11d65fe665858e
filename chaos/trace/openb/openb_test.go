package openb

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	nodeList = "sn,cpu_milli,memory_mib,gpu,model\nn-1,96000,393216,8,G2\nn-0,64000,262144.0,2,P100\nn-2,8000,1024,0,\n"
	podList  = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos\n" +
		"p-1,12000,16384,1,1000,,LS\np-0,6000,12288,1,460,T4|P100,BE\np-2,500,100,0,0,,BE\np-3,500,100,8,1000,,BE\n"
	shortPodList = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np-1,12000,16384,1,1000\n"
)

func TestS27_ListsAreReadPackedOrPlain(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte(nodeList))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := []Node{
		{"n-0", 64000, 262144, 2, "P100"}, {"n-1", 96000, 393216, 8, "G2"}, {"n-2", 8000, 1024, 0, ""},
	}
	for name, data := range map[string][]byte{"plain.csv": []byte(nodeList), "packed": packed.Bytes()} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		nodes, err := LoadNodes(path)
		if err != nil {
			t.Fatal(err)
		}
		if SortNodes(nodes); !slices.Equal(nodes, want) {
			t.Errorf("%s: %+v", name, nodes)
		}
	}
}

func TestS27_PodListsOfAnyColumns(t *testing.T) {
	pods, err := ReadPods(strings.NewReader(podList))
	if err != nil {
		t.Fatal(err)
	}
	SortPods(pods)
	want := []Pod{
		{"p-0", 6000, 12288, 1, 460, []string{"T4", "P100"}}, {"p-1", 12000, 16384, 1, 1000, nil},
		{"p-2", 500, 100, 0, 0, nil}, {"p-3", 500, 100, 8, 1000, nil},
	}
	if !reflect.DeepEqual(pods, want) {
		t.Errorf("%+v", pods)
	}
	short, err := ReadPods(strings.NewReader(shortPodList))
	if err != nil || !reflect.DeepEqual(short, want[1:2]) {
		t.Errorf("five columns: %+v, %v", short, err)
	}
}

func TestS27_ErrorsNameLineAndField(t *testing.T) {
	pod := func(row string) error {
		_, err := ReadPods(strings.NewReader("name,cpu_milli,memory_mib,num_gpu,gpu_milli\nok,1,1,0,0\n" + row))
		return err
	}
	node := func(row string) error {
		_, err := ReadNodes(strings.NewReader("sn,cpu_milli,memory_mib,gpu,model\n" + row))
		return err
	}
	order := func(text string) error {
		_, err := ReadSequence(strings.NewReader(text), 3, 2)
		return err
	}
	_, header := ReadPods(strings.NewReader("name,cpu_milli\n"))
	_, empty := ReadPods(strings.NewReader(""))
	for _, c := range []struct {
		err  error
		want string
	}{
		{pod("a,x,1,0,0"), `line 3: cpu_milli is "x", it must be a whole number from 0 to`},
		{pod("a,-1,1,0,0"), `line 3: cpu_milli is "-1"`},
		{pod("a,1,99999999999,0,0"), `line 3: memory_mib is "99999999999"`},
		{pod("a,1,1,17,1000"), `line 3: num_gpu is "17", it must be a whole number from 0 to 16`},
		{pod("a,1,1,1,1001"), `line 3: gpu_milli is "1001"`},
		{pod("a,1,1,1,0"), "line 3: gpu_milli is 0, but num_gpu is not"},
		{pod("a,1,1,2,500"), "line 3: gpu_milli is 500, but parts of a device go with num_gpu 1 alone"},
		{pod("ok,1,1,0,0"), `line 3: name is "ok" again`},
		{pod(",1,1,0,0"), "line 3: name is empty"},
		{pod("a,1,1"), "line 3: wrong number of fields"},
		{node("a,1,1,2,"), "line 2: model is empty, but the node has devices"},
		{header, "line 1: no column memory_mib"},
		{empty, "no header with the columns name, cpu_milli"},
		{order("order 0 1\n"), "no line perm10"},
		{order("perm10 0 1\n"), "no line order"},
		{order("order 0 3\nperm10 0 1\n"), `line 1: order[1] is "3", it must be a whole number from 0 to 2`},
		{order("order 0\nperm10 1\n"), "perm10: 1 ranks for 2 nodes"},
		{order("order 0\nperm10 1 1\n"), "perm10[1] is 1 again"},
		{order("order 0\norder 0\n"), "line 2: order is there twice"},
		{order("ordre 0\n"), `line 1: begins with "ordre"`},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%v, want %s", c.err, c.want)
		}
	}
}

func TestS27_DrawAsksForNoMoreThanTheShare(t *testing.T) {
	pods, err := ReadPods(strings.NewReader(podList))
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := ReadNodes(strings.NewReader(nodeList))
	if err != nil {
		t.Fatal(err)
	}
	SortPods(pods)
	SortNodes(nodes)
	asked := func(s Sequence) (sum int64) {
		for _, a := range s.Arrivals {
			sum += pods[a].Total()
		}
		return sum
	}
	for seed := range int64(20) {
		for _, percent := range []int64{10, 50, 130, 1000} {
			s := Draw(pods, nodes, percent, seed)
			if err := s.check(len(nodes)); err != nil {
				t.Fatal(err)
			}
			// the study looks at one device of the last pod: seven of eight may be too many
			if sum, most := asked(s), 10000*percent/100; sum > most+7000 || percent == 10 && sum > most {
				t.Errorf("seed %d: asks for %d of %d", seed, sum, most)
			}
			if again := Draw(pods, nodes, percent, seed); !reflect.DeepEqual(again, s) {
				t.Errorf("seed %d: another sequence", seed)
			}
		}
		if s := Draw(pods, nodes, 130, seed); len(s.Arrivals) < len(pods) {
			t.Errorf("seed %d: not all pods come: %v", seed, s.Arrivals)
		}
	}
}

// The numbers are the study's for its seed 42: the generator must not change.
func TestS27_DrawIsTheStudys(t *testing.T) {
	pods, nodes := make([]Pod, 8152), make([]Node, 1213)
	s := Draw(pods, nodes, 130, 42)
	if want := []int32{255, 1685, 6784}; !slices.Equal(s.Arrivals[:3], want) {
		t.Errorf("begins with %v, want %v", s.Arrivals[:3], want)
	}
}

func TestS27_TypicalShapesAreTheMostCommon(t *testing.T) {
	pods := []Pod{
		{CPU: 1, Memory: 5}, {CPU: 1, Memory: 6}, {CPU: 2, Devices: 1, Milli: 5}, {CPU: 2, Devices: 1, Milli: 7},
		{CPU: 2, Devices: 1, Milli: 7, Models: []string{"T4"}},
	}
	want := []Shape{{CPU: 1, Count: 2}, {2, 1, 7, []string{"T4"}, 1}, {2, 1, 7, nil, 1}, {2, 1, 5, nil, 1}}
	if got := Typical(pods, 100); !reflect.DeepEqual(got, want) {
		t.Errorf("all: %+v", got)
	}
	if got := Typical(pods, 61); !reflect.DeepEqual(got, want[:3]) {
		t.Errorf("61 %%: %+v", got)
	}
}

func FuzzReadPods(f *testing.F) {
	f.Add(podList)
	f.Add(shortPodList)
	f.Fuzz(func(t *testing.T, text string) {
		pods, err := ReadPods(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, p := range pods {
			if p.Name == "" || p.CPU < 0 || p.Devices > 0 && (p.Milli < 1 || p.Milli > Whole) || p.Devices > MaxDevices {
				t.Errorf("%+v", p)
			}
		}
	})
}
