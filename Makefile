.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
# uv ignores pip's settings, so pass on the folder of wheels that pip would look in.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
WORKERS ?= 2
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))

.PHONY: help setup demo test test-slow check docs bench-gpu clean

help:  ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## Make .venv and install mtlbench with its development tools (does nothing the second time)

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mtlbench needs Python 3.11 or newer; say which: make setup PYTHON=python3.12" >&2; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
	  echo "Installing into .venv with uv ..."; \
	  uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
	  echo "Installing into .venv with pip (some minutes) ..."; \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $@

demo: setup  ## The main job offline: simulate a shop, train four methods, print the verdicts
	$(BIN)/mtlbench prepare shop
	$(BIN)/mtlbench run benchmarks/demo.toml

test: setup  ## Fast tests: no network, no GPU, no samples
	$(BIN)/python -m pytest -n $(WORKERS)

test-slow: setup  ## The slow tests: the demo's planted truths, real samples ($$MTLBENCH_SAMPLES), the wheel
	$(BIN)/python -m pytest -n $(WORKERS) -m 'slow or gpu'

check: setup  ## Lint, formatting and types, all quiet
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary

docs: setup  ## Write docs/methods, docs/balancers and docs/files.md anew from the code
	$(BIN)/python -m mtlbench.catalogue.pages

# Where nothing can be installed, any Python with torch, pydantic and typer will do; it does not need Polars.
bench-gpu:  ## On a CUDA machine: the tests that need one, then how fast it is (results/speed/cuda.md)
	PYTHONPATH=. $(GPU_PYTHON) -m pytest -m gpu -p no:cacheprovider
	PYTHONPATH=. $(GPU_PYTHON) -m mtlbench bench cuda

clean:  ## Remove .venv, caches, prepared data and unpublished runs
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dist build
	rm -rf datasets/*/prepared datasets/*/raw results/runs results/mlflow.db results/mlartifacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
