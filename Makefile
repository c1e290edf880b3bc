# Everything a developer does, each from nothing: Python 3.11+ with venv, and make, are enough.
# The first run makes .venv and installs what that target needs; the stamps make the next one quick.

PYTHON ?= python3
# Two workers or more: the suite is many small tests and some that wait for a socket. Who has done his share takes some
# of another's, because the slow ones stand together.
PYTEST_ARGS ?= -n auto --dist worksteal
BIN := .venv/bin

# Names and versions only; where pip finds them is the machine's own configuration.
# pip reads the second name for the build's own requirements from 25.3 on, and the first one before that.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint format coverage bench fuzz mutants package clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/base.stamp ## Run a shop's day against the simulated acquirer
	$(BIN)/pos-engine demo

test: .venv/dev.stamp ## Run every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/dev.stamp ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev.stamp ## Put the code into the format that lint checks
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: .venv/dev.stamp ## Measure branch coverage of the pure rows; less than 100 % is a failure
	$(BIN)/python -m tests.quality.coverage_rows build/coverage $(PYTEST_ARGS)

bench: .venv/dev.stamp ## Measure, and print a table
	$(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' -q -s

FUZZ_SECONDS ?= 3600
fuzz: .venv/fuzz.stamp ## Search for bytes that a reader takes wrongly, for FUZZ_SECONDS each (an hour, as at night)
	$(BIN)/python -m tests.fuzz.fuzz_decode build/fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=10 \
		-artifact_prefix=build/fuzz/
	$(BIN)/python -m tests.fuzz.fuzz_line build/fuzz-line -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 \
		-artifact_prefix=build/fuzz-line/

mutants: .venv/mutants.stamp ## Change the decisions about money in small ways, and see that a test notices; goes on where it was
	$(BIN)/python -m tests.mutants.mutants build/mutants

package: .venv/dev.stamp ## Build the wheel, install it alone elsewhere, and start it there
	rm -rf build/package
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/package .
	$(PYTHON) -m venv build/package/venv
	build/package/venv/bin/python -m pip install --quiet build/package/*.whl
	cd build/package && venv/bin/pos-engine --version && venv/bin/python -c 'import pos_engine, simulators'

clean: ## Remove what these targets made
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* build dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/base.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/dev.stamp: .venv/base.stamp requirements/dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements/dev.txt
	@touch $@

.venv/fuzz.stamp: .venv/dev.stamp requirements/fuzz.txt
	$(BIN)/python -m pip install --quiet --requirement requirements/fuzz.txt
	@touch $@

.venv/mutants.stamp: .venv/dev.stamp requirements/mutants.txt
	$(BIN)/python -m pip install --quiet --requirement requirements/mutants.txt
	@touch $@
