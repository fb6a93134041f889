# The one place that says how things are run; .ci/run and the README call these targets.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-browser mutation check bench format diagrams clean

help:            ## what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed  ## a .venv with everything for development

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("orderflow needs Python >= 3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e '.[cli,simulate,postgres,worker,diagrams]'
	@touch $@

demo: install    ## three orders against simulated providers, explained step by step
	$(BIN)/orderflow demo

/usr/sbin/pgbouncer:  # what a managed PostgreSQL is usually reached through
	apt-get update -qq && apt-get install -y -qq --no-install-recommends pgbouncer

test: install /usr/sbin/pgbouncer  ## the suite
	$(BIN)/python -m pytest -n auto -m "not slow and not browser"

test-slow: install /usr/sbin/pgbouncer  ## what takes minutes: a thousand simulated runs, every crash point, bigger explorations
	$(BIN)/python -m pytest -n auto -m slow

test-browser: install  ## the simulators' pages in a real Chromium (from apt; Playwright from PyPI, axe-core from npm)
	test -x /usr/bin/chromium || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group browser
	test -f build/axe/node_modules/axe-core/axe.min.js || npm install --silent --no-audit --no-fund --prefix build/axe axe-core@4.14.1
	$(BIN)/python -m pytest tests/browser

mutation: install  ## faults put into the source on purpose: the ledger's, then mutmut over decide, observe and check (20 minutes)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group mutation
	$(BIN)/python -m pytest -n auto tests/verification/mutation -m "slow or not slow"
	$(BIN)/python tests/verification/mutation/run_mutmut.py

check: install   ## lint, format, types, import contracts, lifecycles, diagrams fresh
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/basedpyright
	$(BIN)/lint-imports --config pyproject.toml
	$(BIN)/orderflow check
	$(BIN)/orderflow diagram --check

bench: install   ## benchmarks: ratios to floors and peers, into build/bench.json
	$(BIN)/python -m tests.benchmarks

format: install  ## rewrite to the house format
	$(BIN)/ruff check --fix src tests
	$(BIN)/ruff format src tests

diagrams: install ## draw diagrams/ anew
	$(BIN)/orderflow diagram

clean:           ## remove what the targets made
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
