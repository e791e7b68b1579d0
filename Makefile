# Every verb sets up what it needs, from a fresh clone on. ARGS goes to pytest: make suite ARGS="-k cohort"
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
BIN := .venv/bin
CODE := gpuassay fixtures suites tests benchmarks $(wildcard conftest.py)
# most of a live test is waiting: three at a time on two cores
TEST_ARGS ?= -q -n 3 --dist worksteal
ARGS ?=
# a folder of suites/ in ARGS stands for all of them
SUITES = $(if $(filter suites/%,$(ARGS)),,suites)
.NOTPARALLEL:
.PHONY: help suite paper test demo doctor build lint types format unit programs setup lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

suite: setup ## prove queueing, routing and (as root) slicing on embedded clusters; missing programs are built meanwhile
	@$(PY) -m gpuassay build --check; code=$$?; \
	if [ $$code -eq 0 ]; then $(PY) -m pytest $(SUITES) --build slices $(ARGS); \
	elif [ $$code -eq 3 ]; then echo "gpuassay: no live run on this machine (see the line above); judging the committed recordings instead"; \
	$(PY) -m gpuassay demo; \
	else exit $$code; fi

paper: setup ## decide the paper's claims (31 minutes on two quiet cores, resumable) and write docs/paper
	@$(PY) -m gpuassay paper $(ARGS)

test: lint types unit ## lint, format, types, imports, spelling, then all tests

demo: setup ## judge the committed recordings: Python alone, no cluster
	@$(PY) -m gpuassay demo $(ARGS)

doctor: setup ## say what this machine has, what it lacks, and what to do
	@$(PY) -m gpuassay doctor $(ARGS)

build: setup ## build the upstream programs into the cache
	@$(PY) -m gpuassay build $(ARGS)

lint: setup ## ruff, import rules, spelling
	@$(BIN)/ruff check --quiet --output-format concise $(CODE)
	@$(BIN)/ruff format --quiet --check --output-format concise $(CODE) || { echo "make format puts this right"; exit 1; }
	@out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out"; exit 1; }
	@$(BIN)/codespell
	@echo "lint: clean"

types: setup ## strict types
	@$(BIN)/basedpyright

unit: setup programs ## the tests of the suite itself; live ones need the programs
	@$(PY) -m pytest tests $(TEST_ARGS) $(ARGS)

programs: setup
	@$(PY) -m gpuassay build || { code=$$?; [ $$code -eq 3 ] && echo "gpuassay: live tests will be skipped (see the line above)"; } || exit $$code

format: setup ## put layout and imports right
	@$(BIN)/ruff check --quiet --fix $(CODE); $(BIN)/ruff format --quiet $(CODE)

setup:
	@scripts/bootstrap

lock: setup ## renew requirements.txt from pyproject.toml (asks the package index)
	@$(BIN)/python -m venv .venv/lock && .venv/lock/bin/pip install --quiet --disable-pip-version-check pip-tools
	@env -u PIP_FIND_LINKS .venv/lock/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --extra dev \
		--no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.txt pyproject.toml

clean: ## remove the virtual environment and caches of tools (not the built programs)
	@rm -rf .venv .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
