# Every target installs what it needs (Debian packages by name) and says what it does.
SHELL := /bin/bash
CARGO ?= cargo
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
BIN := target/$(HOST)/release

.PHONY: help build build-cpi demo test test-fast fmt lint packages clean release deb test-bosh deny sim explore

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

packages: ## Install the Debian packages that tests, demo and benchmarks use
	@packaging/install-packages.sh

build: ## Build the static release executables into $(BIN)
	@echo "==> building standfastd and standfast (release, static)"
	@RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --target $(HOST) -p standfastd -p standfast

build-cpi: ## Build openstack_cpi, static, into $(BIN)
	@echo "==> building openstack_cpi (release, static)"
	@RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --target $(HOST) -p openstack-cpi

demo: packages build ## Two load balancers, one address, and what can go wrong
	@demo/run $(BIN)/standfastd $(BIN)/standfast

release: packages build build-cpi ## The BOSH release's tarball, in out/
	@echo "==> BOSH release (bosh/build)"
	@bosh/build $(BIN) out

deb: packages build ## Debian packages, in out/, checked by lintian and installed for a try
	@echo "==> Debian packages (packaging/build-deb)"
	@packaging/build-deb $(BIN) out
	@packaging/test-deb out

test-bosh: packages build build-cpi ## The BOSH release: templates rendered, its job started on two hosts
	@bosh/test/run $(BIN)

deny: ## cargo-deny: licences, sources, duplicates (installs it with cargo, which takes minutes)
	@packaging/deny

lint: ## Format, clippy, licences
	@echo "==> rustfmt"
	@$(CARGO) fmt --all --check
	@echo "==> clippy"
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@echo "==> tidy"
	@packaging/tidy.sh
	@echo "==> licences"
	@packaging/licences.rb check

test-fast: ## Tests that need no network namespaces
	@echo "==> tests without namespaces"
	@$(CARGO) test --workspace --locked --lib --bins -q

test: packages lint ## Everything that has to pass
	@echo "==> tests, in network namespaces where they need them"
	@$(CARGO) test --workspace --locked
	@echo "==> scripts"
	@packaging/test-scripts
	@echo "==> the BOSH release, with the executables of the tests"
	@$(CARGO) build --workspace --locked -q
	@bosh/test/run target/debug
	@packaging/test-on-lab lb cpi story --busy
	@packaging/test-on-lab ovn story --busy

bench: packages build ## Measure the agent beside keepalived; writes docs/benchmarks.md (RUNS=15)
	@$(CARGO) build --release --locked -p bench
	@STANDFASTD=$(BIN)/standfastd STANDFAST=$(BIN)/standfast target/release/bench --runs $(or $(RUNS),15) --into docs/benchmarks.md

SEEDS ?= 100000
FROM ?= 0
sim: ## Simulated histories of a LAN: SEEDS=100000 FROM=0
	@echo "==> $(SEEDS) simulated histories from seed $(FROM)"
	@$(CARGO) run -p vrrp-sim --release --locked -- --seeds $(SEEDS) --from $(FROM)

explore: ## Every history of two and three routers (some minutes)
	@echo "==> every history of small LANs"
	@$(CARGO) run -p vrrp-sim --release --locked -- --explore

fmt: ## Format the code
	@$(CARGO) fmt --all

clean: ## Remove what was built
	@$(CARGO) clean

.PHONY: lab lab-ovn lab-down lab-status lab-test
lab: ## Bring the OpenStack lab up, linuxbridge and iptables (lab/README.md)
	@lab/install
	@LAB_INSTANCE=lb lab/up

lab-ovn: ## The same on OVN, beside it
	@lab/install
	@LAB_INSTANCE=ovn lab/up

lab-down: ## Stop both; nothing stays behind but logs and templates in lab/.state
	@LAB_INSTANCE=lb lab/down
	@LAB_INSTANCE=ovn lab/down

lab-status: ## Which lab is up, and what of it is not ready
	@lab/status

lab-test: lab lab-ovn ## Prove both labs: enforcement, virtual ports, two hypervisors, volumes, load balancers
	@lab/test

.PHONY: story test-lab bench-cpi
# BACKEND=ovn takes the other lab.
BACKEND ?= lb
IN_LAB = LAB_INSTANCE=$(BACKEND) lab/exec env STANDFAST_LAB_CLOUDS=$(CURDIR)/lab/.state/$(BACKEND)/clouds.yaml \
  STANDFAST_LAB_CPI_CONFIG=$(CURDIR)/lab/.state/$(BACKEND)/cpi.json

story: packages $(if $(filter ovn,$(BACKEND)),lab-ovn,lab) ## The whole page on the lab: reserve, create, fail over, and what goes wrong (BACKEND=lb or ovn)
	@packaging/test-on-lab $(BACKEND) story

test-lab: packages ## All that has to pass on a real OpenStack, the sweep of faults included (BACKEND=lb or ovn)
	@packaging/test-on-lab $(BACKEND) client cpi sweep doctor story

bench-cpi: packages lab ## Measure the CPI on the lab; writes docs/benchmarks.md
	@$(CARGO) test --release --locked -q --no-run -p openstack-cpi --test lab_bench
	@$(IN_LAB) env RUNS=$(or $(RUNS),15) BENCH_INTO=$(CURDIR)/docs/benchmarks.md $(CARGO) test --release --locked -p openstack-cpi --test lab_bench -- --ignored --nocapture
