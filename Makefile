# What a person or CI runs. Everything is built with the one profile `release`, so that nothing is compiled twice.

SHELL := /bin/bash
# The Python environment of `scripts/setup.sh test`, where it exists, and the tools in it.
export PATH := $(CURDIR)/target/venv/bin:$(PATH)
TIMED := scripts/timed.sh

.PHONY: help demo test setup-test check format lint docs units bench torture deny clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, then run generated events into a local lake and a stand-in workspace
	@scripts/setup.sh build
	cargo build --release --locked
	target/release/weir demo

test: ## Prepare the machine, check format, lints and docs, and run every test
	@rm -f target/timings.txt
	@$(MAKE) --no-print-directory setup-test check units

setup-test:
	@$(TIMED) setup scripts/setup.sh test

check: format lint docs ## Check format, lints and docs

format:
	@$(TIMED) format cargo fmt --all --check

lint:
	@$(TIMED) clippy cargo clippy --release --workspace --all-targets --locked -- -D warnings

docs:
	@RUSTDOCFLAGS="-D warnings" $(TIMED) docs cargo doc --release --workspace --no-deps --locked

# Where `setup.sh test` has put the KQL implementations that ours is held against.
units: export WEIR_KUSTO_LANGUAGE = $(shell scripts/kusto_language.sh)
units: export WEIR_DUCKDB_KQL = $(shell scripts/duckdb_kql.sh)
units:
	@$(TIMED) build cargo test --release --workspace --locked --no-run
	@$(TIMED) tests cargo test --release --workspace --locked

bench: ## Time JSON file to ASIM to Delta beside DuckDB
	@scripts/setup.sh test
	cargo build --release --locked
	benches/run.sh

torture: ## Kill workers a hundred times over a million events, on a disk and on an object store (about an hour)
	@scripts/setup.sh test
	WEIR_TORTURE_EVENTS=$${WEIR_TORTURE_EVENTS:-1000000} WEIR_TORTURE_KILLS=$${WEIR_TORTURE_KILLS:-100} \
		cargo test --release --workspace --locked --test main -- torture:: --nocapture --test-threads=1

# Not part of `test`: cargo-deny itself takes minutes to build.
deny: ## Check licences, versions and sources of all dependencies (installs cargo-deny if absent)
	@cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --version 0.20.2 --locked
	cargo deny --locked check bans licenses sources

clean: ## Remove what was built and what the demo wrote
	cargo clean
	rm -rf weir-demo
