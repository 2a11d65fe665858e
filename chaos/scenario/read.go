package scenario

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// sizeMax is the most bytes of a scenario's file.
const sizeMax = 1 << 20

//go:embed builtin/*.yaml
var builtin embed.FS

// Names are those of the scenarios that are built in.
func Names() []string {
	files, err := fs.Glob(builtin, "builtin/*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, f := range files {
		files[i] = nameOf(f)
	}
	return files
}

func nameOf(file string) string {
	return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
}

// Open reads the scenario that is built in under that name, or else the file of that name.
func Open(name string) (Scenario, error) {
	if slices.Contains(Names(), name) {
		data, err := builtin.ReadFile("builtin/" + name + ".yaml")
		if err != nil {
			return Scenario{}, err
		}
		return Parse(name+".yaml", data)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && filepath.Ext(name) == "" {
		return Scenario{}, fmt.Errorf("there is no scenario %q; right would be one of %s, or a file", name, strings.Join(Names(), ", "))
	}
	if err != nil {
		return Scenario{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, sizeMax+1))
	if err != nil {
		return Scenario{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	return Parse(name, data)
}

// Parse reads a scenario; the ending of file says in which form. Fields that are not known are errors.
func Parse(file string, data []byte) (Scenario, error) {
	var s Scenario
	var err error
	switch ext := filepath.Ext(file); {
	case len(data) > sizeMax:
		err = fmt.Errorf("it has more than %d bytes", sizeMax)
	case ext == ".toml":
		err = toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&s)
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			err = fmt.Errorf("fields that are not known:\n%s", strict.String())
		}
	case ext == ".yaml" || ext == ".yml" || ext == ".json":
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		err = d.Decode(&s)
	default:
		err = errors.New("its name tells no form; right would be .yaml, .toml or .json")
	}
	if err == nil {
		s.Name = nameOf(file)
		err = s.check()
	}
	if err != nil {
		return Scenario{}, fmt.Errorf("scenario %s: %w", file, err)
	}
	return s, nil
}

// Needs says whether the scenario has a fault of that kind.
func (s *Scenario) Needs(fault string) bool {
	return slices.ContainsFunc(slices.Concat(s.Faults, s.Random.Of), func(f Fault) bool { return f.Fault == fault })
}

// Plan is every fault of the scenario with that seed, in order of time.
func (s *Scenario) Plan(seed uint64) []Fault {
	all := slices.Clone(s.Faults)
	if len(s.Random.Of) > 0 {
		r := rand.New(rand.NewPCG(seed, 0x7265616c))
		mean := float64(s.Random.Every)
		for at := s.Random.From.Std(); ; {
			at += time.Duration(mean/4 + r.ExpFloat64()*mean*3/4) // never two at once, and the same mean
			if at >= s.Duration.Std() || len(all) == faultsMax {
				break
			}
			f := s.Random.Of[r.IntN(len(s.Random.Of))]
			f.At = Duration(at.Truncate(time.Millisecond))
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b Fault) int { return int(min(1, max(-1, a.At-b.At))) })
	return all
}
