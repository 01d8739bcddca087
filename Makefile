# What people type. "make deb" works on a Debian 12 with nothing but git, make, Rust (rustup) and root.

BUILD_DEPENDENCIES := build-essential debhelper dpkg-dev fakeroot libsqlite3-dev lintian pkg-config
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
DEB := target/debian/kuma-replicator_$(VERSION)_$(shell dpkg --print-architecture).deb

# A name of a test, or a part of one, as in: make system-test TEST=reboot
TEST ?=

# The time of day at which Uptime Kuma starts on the hosts of the system tests, as in: make system-test CLOCK=03:13:30
CLOCK ?=

# How long each of the tests with random rounds goes on, in minutes.
SOAK_MINUTES ?= 30

.PHONY: advisories bench build check clean deb demo deps help quick ready soak system-test test test-build testbed

help:
	@echo 'make demo         two real hosts with real Uptime Kuma replicate; shows their journals'
	@echo 'make test         everything that lands a change: check, deb and all tests'
	@echo 'make quick        format, lints and all tests that need neither root nor a network'
	@echo 'make check        format and lints'
	@echo 'make system-test  the tests on real hosts; TEST=name for some, CLOCK=03:13:30 for that time of day'
	@echo 'make soak         broken documents, kills and power cuts at random, each for SOAK_MINUTES=30'
	@echo 'make bench        CPU and wall time beside shell scripts that do the same'
	@echo 'make build        the release binary'
	@echo 'make deb          the Debian package, checked by lintian'
	@echo 'make clean        removes what was built'

# tests/advisories.tsv from a checkout of the RustSec advisory database (docs/decisions/0016-dependency-policy.md).
advisories:
	KUMA_REPLICATOR_ADVISORIES=$(realpath $(DATABASE)) cargo test --locked --test it -- no_crate_has_a_known_advisory

build: deps
	cargo build --release --locked

check: deps
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings

# The package, checked by lintian. It is made aside: a test must never find half of one.
deb: deps
	rm -rf target/debian.new
	mkdir -p target/debian.new
	MAKEFLAGS= DESTINATION=target/debian.new debian/rules binary
	MAKEFLAGS= debian/rules clean
	lintian --allow-root --fail-on error,warning target/debian.new/*.deb
	rm -rf target/debian
	mv target/debian.new target/debian
	@echo $(DEB)


# Hosts, Uptime Kuma and repository servers for the tests; takes minutes the first time, nothing after that.
testbed: deps
	tests/testbed/provision

test: deps
	$(MAKE) --jobs=4 --output-sync=target ready
	cargo test --locked --no-fail-fast --lib --tests

# What the tests need, made at the same time. The testbed comes first: it takes longest, and mostly waits for downloads.
ready: testbed deb check test-build

test-build: deps
	cargo test --locked --no-run --lib --tests

quick: check
	cargo test --locked --no-fail-fast --lib --test it --test hostile

system-test: deb testbed
	$(if $(CLOCK),KUMA_REPLICATOR_CLOCK=$(CLOCK)) cargo test --locked --test system -- $(TEST)

soak: deb testbed
	KUMA_REPLICATOR_SOAK_MINUTES=$(SOAK_MINUTES) cargo test --locked --test hostile
	KUMA_REPLICATOR_SOAK_MINUTES=$(SOAK_MINUTES) cargo test --locked --test system -- random

demo: deb testbed
	cargo run --locked --quiet --example demo

bench: deb testbed
	cargo bench --locked --bench cycles

# Everything that was built. The testbed's base systems stay: they take minutes to make.
clean:
	! command -v dh_clean >/dev/null || debian/rules clean
	! test -d target || find target -mindepth 1 -maxdepth 1 ! -name testbed -exec rm -rf {} +

# What the build needs from Debian, installed only if something is missing.
deps:
	@missing=; for package in $(BUILD_DEPENDENCIES); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || \
			missing="$$missing $$package"; \
	done; \
	test -z "$$missing" || { \
		echo "installing$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; \
	}
