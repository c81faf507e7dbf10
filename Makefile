# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help install run test sure prove conformance lint format types contracts docs migration lock bench clean

##@ Use
help: ## List all targets.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.run ## Make the environment from the lock, and nothing else.

run: $(VENV)/.run ## Set everything up and serve on 127.0.0.1:8080.
	@$(BIN)/python tools/run.py $(BIN)/accounts-service

##@ Develop
test: $(VENV)/.dev ## Set everything up and run all tests on SQLite and PostgreSQL, or some: make test TESTS=tests/web.
	@$(BIN)/python tools/test.py $(TESTS)

sure: test lint types contracts ## All that must hold before a change is done; with -k, one verdict with all failures.

prove: $(VENV)/.dev ## What takes too long for every change: drawn examples, proofs in full: make prove EXAMPLES=5000.
	@ACCOUNTS_TEST_SCALE=100 $(BIN)/pytest -q --timeout=0 -m proof
	@ACCOUNTS_TEST_EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/pytest -q -n 2 --timeout=0 -m hypothesis
	@ACCOUNTS_TEST_EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/pytest -q -n 2 --timeout=0 tests/web/test_schemathesis.py

conformance: $(VENV)/.dev ## Run recorded cases: make conformance CASES=DIR.
	@$(BIN)/pytest -q tests/conformance $(if $(CASES),--cases $(CASES))

lint: $(VENV)/.dev ## Lint, and check the format.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Format, and mend what the linter can mend.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.dev ## Check types.
	@$(BIN)/mypy

contracts: $(VENV)/.dev ## Check what may import what.
	@$(BIN)/lint-imports

docs: $(VENV)/.dev ## Write the generated documents anew.
	@$(BIN)/python tools/generated_docs.py

migration: $(VENV)/.dev ## Draft a migration from the tables: make migration NAME=what_it_does.
	@$(BIN)/python tools/draft_migration.py $(NAME)

bench: $(VENV)/.dev ## Measure; prints the figures that documents quote.
	@PYTHONPATH=. $(BIN)/python benchmarks/writes.py
	@PYTHONPATH=. $(BIN)/python benchmarks/callers.py
	@PYTHONPATH=. $(BIN)/python benchmarks/searches.py
	@PYTHONPATH=. $(BIN)/python benchmarks/wavefront.py
	@PYTHONPATH=. $(BIN)/python benchmarks/trust.py
	@PYTHONPATH=. $(BIN)/python benchmarks/json_reader.py

##@ Maintain
lock: ## Pin all dependencies anew (needs uv).
	@tools/lock.sh

clean: ## Remove what make has made, but not var/.
	rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# -- environments --------------------------------------------------------------
# A lock is whole, so pip need not look for what is needed; and where something needs a package with an extra it would
# look past the lock (https://github.com/pypa/pip/issues/9644).

$(BIN)/python:
	@$(PYTHON) tools/check_python.py
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt setup.cfg setup.py | $(BIN)/python
	@test -e $(VENV)/.dev || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt setup.cfg setup.py | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run
