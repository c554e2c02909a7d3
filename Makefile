# Every target installs what it needs (Debian packages by name) and says what it does.
SHELL := /bin/bash
CARGO ?= cargo
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
BIN := target/$(HOST)/release

.PHONY: help build demo test test-fast fmt lint packages clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

packages: ## Install the Debian packages that tests, demo and benchmarks use
	@packaging/install-packages.sh

build: ## Build the static release executables into $(BIN)
	@echo "==> building standfastd and standfast (release, static)"
	@RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --target $(HOST) -p standfastd -p standfast

demo: packages build ## Two routers, one address, and what can go wrong
	@demo/run $(BIN)/standfastd

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

test: packages lint ## Everything that has to pass
	@echo "==> tests, in network namespaces where they need them"
	@$(CARGO) test --workspace --locked

fmt: ## Format the code
	@$(CARGO) fmt --all

clean: ## Remove what was built
	@$(CARGO) clean
