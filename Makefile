SHELL := /bin/bash
GO ?= go
GOLANGCI_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.1.4
# The database of make vuln; without that network file:///DIR, which cmd/gendb of github.com/golang/vulndb makes.
VULNDB ?= https://vuln.go.dev
BIN := $(CURDIR)/bin
LINTER := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)
PKGS := ./...
MODULES := benchmarks internal/watermilltests internal/schematests # with dependencies that do not enter the main module
in-modules = @for m in $(MODULES); do echo "$$m: $(1)"; (cd $$m && $(1)) || exit 1; done
unreached = @bad=$$($(GO) list -deps $(2) | grep -E '$(1)' || true); if [ -n "$$bad" ]; then echo "$(2) reach:" $$bad; exit 1; fi

.DEFAULT_GOAL := help

.PHONY: help build lint vuln test race soak bench services services-down

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

build: ## Compile everything, benchmarks included
	$(GO) build $(PKGS)
	$(call in-modules,$(GO) build -o /dev/null ./...)

lint: $(LINTER) ## Run go vet and golangci-lint everywhere, and check what the core and the adapters reach
	$(GO) vet $(PKGS)
	$(LINTER) run
	$(call unreached,sarama|go-redis|franz-go|prometheus|testify,./durable ./realtime ./dual ./adapters/memory)
	$(call unreached,sarama|franz-go|watermill-kafka,./adapters/redisstream ./adapters/redispubsub ./adapters/redisdedupe)
	$(call unreached,go-redis|watermill-redisstream,./adapters/kafka)
	$(call in-modules,$(GO) vet ./... && $(LINTER) run --config $(CURDIR)/.golangci.yml ./...)

vuln: ## Look for known vulnerabilities that the code and its tests reach; needs the database, see VULNDB
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) -test -db $(VULNDB) $(PKGS)
	$(call in-modules,$(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) -test -db $(VULNDB) ./...)

$(LINTER):
	mkdir -p $(BIN)
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(BIN)/golangci-lint $@

test: ## Run every test against real servers
	$(GO) test -timeout 10m $(PKGS)
	$(call in-modules,$(GO) test ./...)

race: compiler ## Run every test with the race detector
	$(GO) test -race -timeout 20m $(PKGS)
	$(call in-modules,$(GO) test -race -timeout 20m ./...)

.PHONY: compiler
compiler:
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "the race detector needs a C compiler: apt-get install gcc libc6-dev"; exit 1; }

# The fifth time with DUALSTREAM_SOAK=1: fault matrices and fleets in full. No test of the modules looks at it.
soak: compiler ## Run every test five times with the race detector, the fifth time with the full fault matrices
	$(GO) test -race -count=4 -timeout 60m $(PKGS)
	DUALSTREAM_SOAK=1 $(GO) test -race -count=1 -timeout 60m $(PKGS)
	$(call in-modules,$(GO) test -race -count=5 -timeout 60m ./...)

bench: ## Print the benchmark table: ratios against the raw clients and Watermill
	cd benchmarks && $(GO) run .

services: ## Install what is missing and run the shared test servers until interrupted
	@$(GO) run ./internal/testenv/cmd/services up

services-down: ## Stop the shared test servers
	$(GO) run ./internal/testenv/cmd/services down
