# Two commands do everything: `make demo` and `make test`. Both set up .venv first, from the lock.
# A wheel index of your own for torch (the CPU builds, say): make demo TORCH="torch==2.13.0 --index-url URL"

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
STUDY := studies/demo

.PHONY: setup demo bench test check-docs test-bf16 test-all test-slow lint corpus docs clean

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

# One thread a worker; compiled tests are kept, also where the environment says otherwise.
PYTEST := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SHARED := -n 2 --dist worksteal
DOCUMENTS := tests/docs tests/notebooks tests/results
NUMERICAL := tests/answering tests/training tests/zoo tests/old_work

test: setup  ## the tests: all but the slow, the exhaustive and those of the documents
	$(PYTEST) -m "not slow and not exhaustive" $(SHARED) $(DOCUMENTS:%=--ignore=%)

check-docs: setup  ## README, docs, notebooks and published results against the program
	$(PYTEST) -m "not slow and not exhaustive" $(SHARED) $(DOCUMENTS)

test-bf16: setup  ## what trains and answers once more with bfloat16 as `precision: auto`: on any processor, slowly
	SPANTUNE_TEST_PRECISION=bf16 $(PYTEST) -m "not slow and not exhaustive" $(SHARED) $(NUMERICAL)

test-all: setup  ## all tests, every promise of every method on every encoder among them
	$(PYTEST) $(SHARED)

test-slow: setup
	$(PYTEST) -m slow

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
