# Every command that people and CI run. All of them build with the one release profile, so nothing is built twice.
#
#   make demo    a live stream through relays that cannot read it   (ARGS="--seconds 60 --input film.y4m")
#   make test    everything that must hold before a change lands
#   make check   formatting, lints, documentation, layers, licences
#   make build   the edge command, in $(TARGET)/release/edge
#   make bench   tables of figures, and bench/results/*.json
#   make fuzz    every decoder against mutated input                (FUZZ_SECONDS=60 for each target)
#   make lab     the mesh on twenty hosts in network namespaces     (as root; EDGE_NETLAB_LOGS=folder keeps what they said)
#   make setup   only install what the machine lacks
#   make clean   remove what was built

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: setup setup-check build demo check fmt clippy doc tidy layers deny test nextest doctest fuzz-smoke bench fuzz lab clean

TARGET := $(or $(CARGO_TARGET_DIR),target)
CARGO_FLAGS := --release --locked
FUZZ_SECONDS ?= 60
ARGS ?=

setup:
	@xtask/setup.sh build

setup-check:
	@xtask/setup.sh check

build: setup
	cargo build $(CARGO_FLAGS) --package edge --bin edge

demo: build
	$(TARGET)/release/edge demo $(ARGS)

check: setup-check fmt clippy doc tidy layers deny

fmt: setup-check
	cargo fmt --all --check

clippy: setup-check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

doc: setup-check
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --workspace --no-deps

tidy: setup-check
	cargo xtask tidy

layers: setup-check
	cargo xtask layers

# Licences, sources and bans need no network. Advisories need the database: without it this line says so.
deny: setup-check
	cargo deny --locked --log-level error check --hide-inclusion-graph licenses bans sources
	@if cargo deny --locked fetch db >/dev/null 2>&1; then \
	  cargo deny --locked check --disable-fetch advisories; \
	else \
	  echo "advisories: not checked (no network: the advisory database cannot be fetched)"; \
	fi

# The test run comes last, so that its summary is the end of the output.
test: check doctest fuzz-smoke nextest

doctest: setup-check
	cargo test $(CARGO_FLAGS) --workspace --doc --quiet

fuzz-smoke: setup-check
	cargo run $(CARGO_FLAGS) --package edge-fuzz

nextest: setup-check
	cargo nextest run $(CARGO_FLAGS) --workspace

bench: setup
	cargo run $(CARGO_FLAGS) --package edge-bench -- $(ARGS)

fuzz: setup
	cargo run $(CARGO_FLAGS) --package edge-fuzz -- --seconds $(FUZZ_SECONDS) $(ARGS)

lab: build
	EDGE_NETLAB=1 cargo test $(CARGO_FLAGS) --package edge-netlab

clean:
	cargo clean
	rm -rf report fuzz/artifacts
