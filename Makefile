# Everything a fresh machine needs is Python >= 3.11 and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Files of tests that are run beside each other. Most wait for brokers and models, but each has a broker of its own.
JOBS ?= 2
INSTALL_SELF := $(PIP) install --no-deps --no-build-isolation --editable .

.PHONY: setup demo test lint types imports check bench copier bad pairs nulls kafka lock clean help
.DELETE_ON_ERROR:

help: ## say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

setup: $(VENV)/.dev ## create .venv with everything for development

demo: $(VENV)/.runtime ## see it work: no key, no broker
	$(BIN)/shadow-replay demo --out demo-out

test: setup ## run all tests
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

lint: setup ## ruff, rules and format of imports
	$(BIN)/ruff check .

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## who may import whom
	$(BIN)/lint-imports

check: test lint types imports ## all of the above

bench: setup ## measure against named references in the same run
	$(BIN)/python -m bench

copier: setup ## the copier matrix with 100,000 traces a cell (an hour)
	REPLAY_COPIER_TRACES=100000 $(BIN)/python -m pytest --timeout 0 -s tests/integration/kafka/test_copier.py

bad: setup ## 10,000 bad among 10,000 good, in a file and on a topic (two minutes)
	REPLAY_BAD_RECORDS=10000 $(BIN)/python -m pytest --timeout 0 tests/integration/test_bad_lines.py \
	  tests/integration/kafka/test_bad_records.py

pairs: setup ## all 272 ordered pairs of the recorded AgentDojo bundles (a minute)
	REPLAY_ALL_PAIRS=1 $(BIN)/python -m pytest tests/integration/test_all_pairs.py

nulls: setup ## false rollbacks of equal candidates, in memory and through Kafka: 200 runs, not 30 (half an hour)
	REPLAY_NULL_RUNS=200 $(BIN)/python -m pytest --timeout 0 -s tests/integration/test_nulls.py \
	  tests/integration/kafka/test_null_pipeline.py

kafka: $(BIN)/python ## a real broker on 127.0.0.1:9092 until Ctrl-C, for trying the service
	@$(BIN)/python tests/support/local_kafka.py

lock: $(BIN)/python ## choose new versions, with hashes, for every platform
	$(BIN)/python -m pip --quiet install uv
	$(BIN)/uv pip compile $(LOCK_FLAGS) pyproject.toml locks/build.in --output-file locks/runtime.txt
	$(BIN)/uv pip compile $(LOCK_FLAGS) pyproject.toml locks/build.in --extra litellm --extra dev --extra bench \
	  --output-file locks/dev.txt
	$(BIN)/uv pip compile $(LOCK_FLAGS) --constraint locks/dev.txt pyproject.toml locks/build.in --extra litellm \
	  --output-file locks/image.txt

LOCK_FLAGS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --constraint locks/constraints.txt

# The broker's jars and data stay in .kafka: they cost a download, and may hold topics someone wants.
clean: ## remove what was made here, but not .kafka
	rm -rf $(VENV) demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "shadow-replay needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 3; }
	$(PYTHON) -m venv $(VENV)

# The runtime alone is enough for the demo; setup puts the rest beside it later.
$(VENV)/.runtime: locks/runtime.txt pyproject.toml | $(BIN)/python
	@if test -f $(VENV)/.dev; then $(MAKE) --no-print-directory $(VENV)/.dev; \
	else echo "installing the locked runtime into $(VENV)"; \
	  $(PIP) install --require-hashes -r locks/runtime.txt && $(INSTALL_SELF); fi
	@touch $@

$(VENV)/.dev: locks/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing the locked development set into $(VENV) (some minutes at first)"
	$(PIP) install --require-hashes -r locks/dev.txt
	$(INSTALL_SELF)
	@touch $@ $(VENV)/.runtime
