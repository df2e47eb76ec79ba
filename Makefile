# Two commands do everything: `make demo` and `make test`. Both set up .venv first, from the lock.
# A wheel index of your own for torch (the CPU builds, say): make demo TORCH="torch==2.13.0 --index-url URL"

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
STUDY := studies/demo

.PHONY: setup demo bench test test-all test-slow lint corpus docs clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## six methods and the floor on the embedded sample: table, plots, one question to each
	$(BIN)/spantune compare --config configs/demo.yaml
	$(BIN)/spantune ask $(STUDY)/*-0 --question "$$(cat configs/demo-question.txt)" --context-file configs/demo-context.txt

bench: setup  ## how fast it is, as ratios: ten minutes on two cores (BENCH="--long" for more)
	$(BIN)/python -m benchmarks.run $(BENCH)

# By file in their own order: xdist's order, by the number of tests, begins what takes longest last.
SHARED := -n 2 --dist loadfile --no-loadscope-reorder

test: setup  ## all tests but the slow and the exhaustive ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not exhaustive" $(SHARED)

test-all: setup  ## all tests, every promise of every method on every encoder among them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SHARED)

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check src tests corpus zoo docs benchmarks results
	$(BIN)/ruff format --check src tests corpus zoo docs benchmarks results
	$(BIN)/mypy

corpus: setup  ## the SQuAD files of the sample, from the texts in corpus/
	$(BIN)/python corpus/build.py

docs: setup  ## the generated parts of the docs
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
