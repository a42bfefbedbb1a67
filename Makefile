# Every target sets itself up: a machine needs only make and Python >= 3.11 with venv and pip.
# Another interpreter: make test PYTHON=/path/to/python3   Number of test processes: make test CORES=4
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
            $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
CORES ?= 2
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help setup test check tour lab contract bench docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## virtual environment, pinned packages, vocabularies, weights and texts

test: $(READY) ## the test suite
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n $(CORES) --dist worksteal

check: $(READY) ## lint, format, types, layers, documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet

tour: $(READY) ## one real model, end to end: a story here and a report to open
	@$(BIN)/isinglass tour

lab: $(READY) ## the web lab: look inside a model in the browser
	@$(BIN)/isinglass lab

contract: $(READY) ## every kernel with every position, mask and head layout (the full product)
	@ISINGLASS_CONTRACT=full OMP_NUM_THREADS=1 $(BIN)/pytest -n $(CORES) tests/contract -m "full or not full"

bench: $(READY) ## speed of generation
	@$(BIN)/isinglass bench generate

docs: $(READY) ## the documentation, into site/
	$(BIN)/mkdocs build --strict

clean: ## remove what the other targets made, but not .venv and the cache of assets
	rm -rf site out dist .hypothesis .ruff_cache .import_linter_cache

# Done again when one of these files changes; otherwise instant.
$(READY): pyproject.toml constraints.txt src/isinglass/assets/registry.toml
	@$(or $(PYTHON),false) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	  echo "error: $(or $(PYTHON),python3) is not Python 3.11 or newer; hint: install it, or make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) has no venv module; hint: apt install python3-venv, or make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@echo "setting up .venv: the packages come first, then 225 MB of vocabularies, weights and texts" >&2
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test,docs]" 2> .venv/pip.log || { \
	  echo "error: pip could not install the packages: $$(awk '/ERROR: /{sub(/.*ERROR: /, ""); e=$$0} NF{l=$$0} END{print e ? e : l}' \
	  .venv/pip.log); hint: check the network and pip's settings (log: .venv/pip.log)" >&2; exit 1; }
	@$(BIN)/python -m isinglass.assets get --default
	@touch $@
