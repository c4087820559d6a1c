# SPDX-License-Identifier: Apache-2.0
.POSIX:
.PHONY: help setup scenarios test lint newcomer constraints

ARGS = --kernel 6.12 --arch amd64 --driver falco:kmod
TESTARGS =

help:
	@echo 'make scenarios            run the scenarios; ARGS="--kernel 5.10,6.12" replaces what pytest is given'
	@echo 'make test                 linters, types and the tests of the lab itself; TESTARGS="-m \"not machine\""'
	@echo 'make lint                 linters and types only'
	@echo 'make setup                install what is missing and nothing else (the others do it themselves)'
	@echo 'make newcomer             both commands on a fresh Debian 12 and 13 (root, the network and an hour)'
	@echo 'make constraints          take the newest Python packages and pin them in constraints.txt'

setup:
	@tools/setup

scenarios: setup
	.venv/bin/pytest scenarios/ $(ARGS)

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

test: lint
	.venv/bin/pytest tests/ $(TESTARGS)

newcomer:
	tests/newcomer bookworm
	tests/newcomer trixie

constraints: setup
	tools/constraints
