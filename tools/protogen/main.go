// Command protogen writes protos/v1/*.pb.go from protos/v1/*.proto. It needs nothing but the Go modules that go.mod
// pins, so that every machine makes the same bytes. With -check it writes nothing and fails if a file is stale.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if a generated file is stale")
	flag.Parse()
	if err := run("protos", *check); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	paths, err := filepath.Glob(filepath.Join(root, "v1", "*.proto"))
	if err != nil {
		return err
	}
	sort.Strings(paths)
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.ToSlash(filepath.Join("v1", filepath.Base(p)))
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	var add func(fd *descriptorpb.FileDescriptorProto)
	byName := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range files {
		byName[f.Path()] = protoutil.ProtoFromFileDescriptor(f)
	}
	add = func(fd *descriptorpb.FileDescriptorProto) {
		if seen[fd.GetName()] {
			return
		}
		seen[fd.GetName()] = true
		for _, dep := range fd.GetDependency() {
			if d, ok := byName[dep]; ok {
				add(d)
			}
		}
		request.ProtoFile = append(request.ProtoFile, fd)
	}
	for _, n := range names {
		add(byName[n])
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	for _, f := range plugin.Files {
		if f.Generate {
			internal_gengo.GenerateFile(plugin, f)
		}
	}
	response := plugin.Response()
	if response.Error != nil {
		return fmt.Errorf("generate: %s", response.GetError())
	}
	for _, f := range response.File {
		path := filepath.Join(root, "v1", filepath.Base(f.GetName()))
		if err := place(path, []byte(f.GetContent()), check); err != nil {
			return err
		}
	}
	return nil
}

func place(path string, content []byte, check bool) error {
	if !check {
		return os.WriteFile(path, content, 0o644)
	}
	have, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(have, content) {
		return fmt.Errorf("%s is stale: run make generate", path)
	}
	return nil
}
