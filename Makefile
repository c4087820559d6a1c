# SPDX-License-Identifier: Apache-2.0
.POSIX:
.PHONY: help setup scenarios test test-slow lint endurance newcomer compatibility bench debug-kernels constraints

ARGS = --kernel 6.12 --arch amd64 --driver falco:kmod --profile smoke -n 2
TESTARGS =
ENDURANCE =
DEBUG_KERNELS = 6.12+kgdb 6.12+fault+kasan+kmemleak+lockdep
DEBUG_ARCHES = amd64 arm64
COMPATIBILITY = --kernel all --arch all --profile smoke
DRIVERS = falco:kmod falco:bpf tap:kmod tap:bpf tap:modern-bpf auditd:audit bpftrace:script

help:
	@echo 'make scenarios            run the scenarios; ARGS="--kernel 5.10,6.12" replaces what pytest is given'
	@echo 'make test                 linters, types and the tests of the lab itself; TESTARGS="-m \"not machine\""'
	@echo 'make test-slow            what of the tests takes minutes: the same on other architectures, machines that hang'
	@echo 'make lint                 linters and types only'
	@echo 'make endurance            forks by the hundred, and runs killed at fifty random moments (half an hour)'
	@echo 'make setup                install what is missing and nothing else (the others do it themselves)'
	@echo 'make newcomer             both commands on a fresh Debian 12 and 13 (root, the network and an hour)'
	@echo 'make compatibility        every driver on every kernel and architecture, into docs/compatibility.md (hours);'
	@echo '                          DRIVERS="tap:kmod", COMPATIBILITY="--kernel 6.12 --resume" for a part or what is left'
	@echo 'make bench                how quick forks are here, on three architectures and beside virtme-ng (a quarter of an hour)'
	@echo 'make debug-kernels        compile four kernels for debugging and run what needs them (hours)'
	@echo 'make constraints          take the newest Python packages and pin them in constraints.txt'

setup:
	@tools/setup

scenarios: setup
	.venv/bin/pytest scenarios/ $(ARGS)

lint: setup
	for script in .ci/run tools/constraints tools/setup tests/newcomer; do bash -n $$script || exit; done
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

# File by file in their order: the long ones, which boot machines, then stand before many short ones, and no worker is
# alone with the last of them.
test: lint
	.venv/bin/pytest tests/ -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow' --durations 50 --durations-min 8 $(TESTARGS)

# What make test has seen on one architecture, on the others; what waits for a guest that hangs or for a kernel to notice;
# recordings.
test-slow: lint
	.venv/bin/pytest tests/ -n 2 --dist loadfile -m slow $(TESTARGS)

endurance: setup
	.venv/bin/pytest tests/endurance/ $(ENDURANCE)

newcomer:
	tests/newcomer bookworm
	tests/newcomer trixie

# Red cells are what it is for: the table is made whatever pytest's status is. Driver by driver, and without each one's
# templates then: one of every cell would be more than many disks have.
compatibility: setup
	-for driver in $(DRIVERS); do \
		.venv/bin/pytest scenarios/ -q $(COMPATIBILITY) --driver $$driver --allow-unsupported \
			--bundle-dir lab-bundles/compatibility; \
		.venv/bin/lab gc --kind template; \
	done
	.venv/bin/lab matrix report lab-bundles/compatibility/run-* --output docs/compatibility.md

# riscv64 by the suite's other name: a mirror may be half updated under one of them.
bench:
	@tools/setup bench
	@mkdir -p lab-bundles/bench
	.venv/bin/lab bench --kernel 6.12 --arch amd64 --json lab-bundles/bench/amd64.json
	.venv/bin/lab bench --kernel 6.12-full --arch amd64 --virtme --json lab-bundles/bench/amd64-full.json
	.venv/bin/lab bench --kernel 6.12 --arch arm64 --json lab-bundles/bench/arm64.json
	.venv/bin/lab bench --kernel debian:stable/6.12 --arch riscv64 --json lab-bundles/bench/riscv64.json

# Too long for CI, whose tests say "not run here" of what needs them.
debug-kernels: setup
	for arch in $(DEBUG_ARCHES); do for kernel in $(DEBUG_KERNELS); do \
		.venv/bin/lab kernel build $$kernel --arch $$arch || exit; \
	done; done
	.venv/bin/lab kernel fetch --debug 6.12
	.venv/bin/pytest tests/debugkernels/ tests/machine/test_debug_runs.py -rs

constraints: setup
	tools/constraints
