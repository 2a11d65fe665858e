# Everything a contributor types. It needs Go, make and sh: no other program, and no service.
#
#   make run    a real job in a cell of this one process
#   make test   every test
#   make check  the house rules

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
SEED     ?=
FOCUS    ?=
SEEDS    ?= 1000
SCENARIOS ?= smoke one-master embedded kill-master kill-all pauses links step-downs storm doubles drills clocks cables power disks upgrade
SOAK     ?= 1h
OLD      ?=
FUZZTIME ?= 10s

# Builds are the same for everyone: flags and workspaces of the environment stay out, all that matters stands here.
unexport GOFLAGS CGO_ENABLED
export GOWORK := off

BUILD     = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
# Where many goroutines meet; the race detector is worth its price there.
RACY      = ./actors/... ./cluster/... ./node/...
# On Linux the race detector needs a C compiler. RACE=yes insists on it, RACE=no goes without, auto looks for one.
RACE     ?= auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1	/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='	' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

.PHONY: build
build: ## build bin/troupe: one static binary
	@mkdir -p bin
	$(BUILD) -o bin/troupe ./tools/troupe

.PHONY: run
run: build ## open a cell in one process and run a real job in it to its end
	bin/troupe run tools/examples/count-source.yaml

.PHONY: test
test: ## run every test, then once more under the race detector where goroutines meet
	$(GO) test -timeout 8m ./...
	@case "$(RACE)/$$($(GO) env GOOS)/$$($(GO) env CGO_ENABLED)" in \
	no/*) echo "race detector: left out (RACE=no)" ;; \
	yes/*|auto/darwin/*|auto/*/1) $(MAKE) race ;; \
	*) echo "race detector: left out, on Linux it needs a C compiler ($$($(GO) env CC))" ;; \
	esac

.PHONY: race
race: ## run the tests of the actors, the cluster and the node under the race detector
	$(GO) test -race -timeout 12m $(RACY)

.PHONY: sim
sim: ## run the seeded world: SEEDS fresh ones and all kept ones, or SEED=n again (FOCUS=family/theme, V=1 for every message)
	@$(GO) test ./chaos/sim -count=1 -timeout 20m -v -run Swarm -base=0 -seeds=$(SEEDS) \
		$(if $(FOCUS),-focus=$(FOCUS)) $(if $(SEED),-seed=$(SEED)) $(if $(V),-messages)

.PHONY: sim-planted
sim-planted: ## plant bugs into the actors, one after another: the seeded world must find each
	$(GO) test -tags planted ./chaos/sim -count=1 -v -run Planted -timeout 20m

.PHONY: chaos
chaos: build ## strike real cells by every scenario of SCENARIOS, a page of each in bin; a quarter of an hour (SEED=n, OLD=another troupe)
	@for scenario in $(SCENARIOS); do \
		bin/troupe chaos run $$scenario --seed $(or $(SEED),1) --skip-unable --report bin/chaos-$$scenario.html \
			$(if $(OLD),--troupe-old $(OLD)) || exit 1; \
	done

.PHONY: soak
soak: build ## strike a real cell for an hour, a fault every 30 s, and see that nothing grows (SOAK=10m for less)
	bin/troupe chaos run soak --duration $(SOAK) --report bin/soak.html $(if $(SEED),--seed $(SEED))

.PHONY: bench
bench: build ## measure throughput, processes and durable submits
	bin/troupe bench throughput --instances 1000000 --nodes 1000
	bin/troupe bench process --instances 2000
	bin/troupe bench submit

.PHONY: check
check: ## hold the house rules: imports, purity, docs, sizes, format, vet, staticcheck, generated code
	$(GO) run ./tools/check

.PHONY: generate
generate: ## write the generated code again
	$(GO) run ./tools/protogen

.PHONY: fuzz
fuzz: ## give every fuzz target FUZZTIME (10s)
	@list="$$($(GO) test -list '^Fuzz' ./...)" || { echo "$$list"; exit 1; }; \
	printf '%s\n' "$$list" | { names=; while read -r word package _; do case "$$word" in \
		Fuzz*) names="$$names $$word" ;; \
		ok) for name in $$names; do \
			echo "$$package $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
		done; names= ;; \
	esac; done; }

.PHONY: cross
cross: ## build the binary for every platform
	@mkdir -p bin
	@set -e; for platform in $(PLATFORMS); do \
		os=$${platform%/*}; arch=$${platform#*/}; echo "bin/troupe-$$os-$$arch"; \
		GOOS=$$os GOARCH=$$arch $(BUILD) -o bin/troupe-$$os-$$arch ./tools/troupe; \
	done

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
