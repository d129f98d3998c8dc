# Two commands do everything on a fresh Debian machine with a Rust toolchain, a C compiler and make:
#   make quickstart    builds release binaries and runs the main job on real input
#   make test          runs all tests
# Packages, in $(TARGET)/package: `make deb` (needs dpkg-dev and binutils) and `make tarball` (binutils); PROFILE=debug makes them
# of the binaries of `make test`.
# CARGO_TARGET_DIR is honoured; binaries and results are under $(TARGET).
#
# Tests with random input start from one seed, so that every run tests the same; PROPTEST_RNG_SEED= picks another.

export PROPTEST_RNG_SEED ?= 20261122
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: quickstart quickstart-clean test lint bench build binaries deb tarball

PROFILE ?= release
FEATURES := agentd/failpoints,agentd-schemas/schema

build:
	cargo build --release --locked -p agentd -p agentctl

quickstart: build
	examples/quickstart/run.sh --bin "$(abspath $(TARGET))/release" $(QUICKSTART_ARGS)

quickstart-clean:
	examples/quickstart/run.sh --clean

test: lint
	cargo build --locked --workspace --features $(FEATURES)
	cargo test --locked --workspace --no-fail-fast --features $(FEATURES)

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features $(FEATURES) -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo fetch --locked && cargo deny --offline check --hide-inclusion-graph bans licenses sources; else echo "cargo-deny is not installed: bans, licences and sources are not checked"; fi

bench:
	cargo build --release --locked -p agentd -p agentctl -p agentd-tests
	"$(TARGET)/release/bench" $(BENCH_ARGS)

binaries:
ifeq ($(PROFILE),release)
	$(MAKE) build
else
	cargo build --locked --workspace --features $(FEATURES)
endif

deb: binaries
	packaging/make-deb "$(TARGET)/$(PROFILE)" "$(TARGET)/package"

tarball: binaries
	packaging/make-tarball "$(TARGET)/$(PROFILE)" "$(TARGET)/package"
