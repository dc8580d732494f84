# Two commands do everything: `make nightly` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
RECIPE ?= infra/recipes/demo.toml
# The last full day but one of the demo world's calendar: the next night, DATE=2026-03-31, has one day of new events.
DATE ?= 2026-03-30
ARTREC := .venv/bin/artrec
READY := .venv/.ready
# In a folder of its own: where DeepSpeed finds Triton it imports it, which a night on a CPU has no use for.
KERNELS := .venv/kernels
export GX_ANALYTICS_ENABLED := false
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help setup models nightly show airflow mlflow test test-slow lint types format lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY)  ## make .venv from the lock and fetch the base models, once

ifndef ALONE
# One at a time writes into .venv. Of two that are started at once, the second waits, looks again and finds it done.
$(READY): pyproject.toml infra/constraints.txt infra/models.txt
	$(ALONE_IN_VENV)

$(KERNELS)/.ready: $(READY) infra/constraints.txt
	$(ALONE_IN_VENV)

define ALONE_IN_VENV
	@mkdir -p .artrec; exec 9>>.artrec/setup.lock; \
	flock --nonblock 9 || { echo "another make is setting up .venv; waiting for it"; flock 9; }; \
	$(MAKE) --no-print-directory ALONE=1 $@
endef
else
$(READY): pyproject.toml infra/constraints.txt infra/models.txt
	@command -v $(PYTHON) >/dev/null || { echo "artrec needs Python 3.11; say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c infra/constraints.txt -e '.[airflow,jobs,postgres,dev]'
	.venv/bin/python -m artrec_core.model.base_models fetch
	touch $@

$(KERNELS)/.ready: $(READY) infra/constraints.txt
	rm -rf $(KERNELS)
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target $(KERNELS) -c infra/constraints.txt triton
	touch $@
endif

models: $(READY)  ## fetch the base models into the model cache (part of the set-up)
	.venv/bin/python -m artrec_core.model.base_models fetch

nightly: $(READY)  ## run the real nightly DAG (RECIPE=, DATE=) and show recommendations
	infra/airflow.sh test nightly $(DATE) $(RECIPE)
	$(ARTREC) show --config $(RECIPE) --date $(DATE) --examples 3

airflow: $(READY)  ## start a standalone Airflow with the DAGs loaded, on http://localhost:8080
	infra/airflow.sh standalone

mlflow: $(READY)  ## open the MLflow page of RECIPE's runs, on http://localhost:5000
	$(ARTREC) mlflow --config $(RECIPE)

test: $(READY) $(KERNELS)/.ready lint types  ## lint, types, import rules, then the tests (under ten minutes on two cores)
	.venv/bin/python -m pytest -m 'not slow' -n 2

test-slow: $(READY)  ## the tests that take longer: kills in the middle of each step, real training runs
	.venv/bin/python -m pytest -m slow

lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

types: $(READY)
	.venv/bin/mypy

format: $(READY)  ## let ruff format and mend what it can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lock:  ## regenerate infra/constraints.txt from pyproject.toml, in a fresh environment
	infra/lock.sh $(PYTHON)

clean:  ## remove what runs wrote (.artrec); the environment stays
	rm -rf .artrec
