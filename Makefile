# Few words: setup, demo, test, proof, lint, bench, lock. `make demo` and `make test` need nothing before them.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
PART ?=
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# Real data for tests, proofs and examples, where they are present; their tests skip with a reason elsewhere.
export FOREMEND_DATA ?= $(realpath ../shared/data)
# Compiled modules start twice as fast; some machines switch that off.
unexport PYTHONDONTWRITEBYTECODE
# Small matrices on few cores: one pool of threads is faster than many.
export OMP_NUM_THREADS ?= 2

.PHONY: setup demo test proof lint bench lock clean

setup: $(READY)

$(READY): requirements/uv.lock requirements/dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: found no Python of at least 3.11. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "making .venv …"
	$(PYTHON) -m venv .venv
	@echo "installing packages from requirements/dev.lock: about a minute …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	$(BIN)/foremend demo
	@echo "To type foremend as above: source $(BIN)/activate"

test: $(READY)
	$(BIN)/python -m pytest -m "not proof" -n 2 --dist loadfile --no-loadscope-reorder

proof: $(READY)
	$(BIN)/python scripts/proof.py $(PART)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/licences.py
	$(BIN)/python scripts/data_dictionary.py --check
	$(BIN)/python scripts/commands_page.py --check

bench: $(READY)
	$(BIN)/foremend bench features

lock:
	$(LOCK) pyproject.toml -o requirements/run.lock
	$(LOCK) --group dev pyproject.toml -o requirements/dev.lock

clean:
	rm -rf .venv demo build dist .pytest_cache .mypy_cache .ruff_cache
