# Every target installs what it needs (Debian packages by name) and says what it does.
SHELL := /bin/bash
CARGO ?= cargo
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
BIN := target/$(HOST)/release

.PHONY: help build demo test test-fast matrix bench sim fmt lint packages clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

packages: ## Install the Debian packages that tests, demo and benchmarks use
	@packaging/install-packages.sh

build: ## Build the static release executables into $(BIN)
	@echo "==> building standfastd and standfast (release, static)"
	@RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --target $(HOST) -p standfastd -p standfast

demo: packages build ## Two load balancers, one address, everything that can go wrong, in 90 seconds
	@$(CARGO) run --release --locked -q -p testbed --bin demo -- --agent $(BIN)/standfastd

lint: ## Format, clippy, licences
	@echo "==> rustfmt"
	@$(CARGO) fmt --all --check
	@echo "==> clippy"
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@echo "==> tidy"
	@packaging/tidy.sh

test-fast: ## Tests that need no network namespaces
	@echo "==> tests without namespaces"
	@$(CARGO) test --workspace --locked --lib --bins -q

test: packages lint build ## Everything that has to pass
	@echo "==> tests of every crate, in network namespaces where they need them"
	@STANDFASTD=$(CURDIR)/$(BIN)/standfastd STANDFAST=$(CURDIR)/$(BIN)/standfast $(CARGO) test --workspace --locked

matrix: packages build ## The interop matrix alone, with a table at the end
	@STANDFASTD=$(CURDIR)/$(BIN)/standfastd STANDFAST=$(CURDIR)/$(BIN)/standfast \
	  $(CARGO) test --locked -p testbed --test matrix -- --nocapture

sim: ## Many seeds of the simulated LAN (STANDFAST_SEEDS, default 20000)
	@STANDFAST_SEEDS=$${STANDFAST_SEEDS:-20000} $(CARGO) test --release --locked -p vrrp-sim

bench: packages build ## Measure beside keepalived; writes docs/benchmarks.md
	@$(CARGO) run --release --locked -q -p testbed --bin bench -- --agent $(BIN)/standfastd --output docs/benchmarks.md

fmt: ## Format the code
	@$(CARGO) fmt --all

clean: ## Remove what was built
	@$(CARGO) clean
