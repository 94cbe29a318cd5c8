# make demo   train, export, score and filter on the embedded sample, in a virtual environment of its own
# make test   ruff, mypy and all tests
# make soak   200 kills of `scar score`, at most ten minutes: nothing lost, or exit 1
# PIP_ARGS passes options to pip, such as an --index-url with CPU builds of PyTorch.

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
DEMO ?= demo
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test soak install clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e ".[train,cpu,openvino,demo,hub,select,report,tiers,ray,dev]"
	touch $@

demo: $(READY)
	$(BIN)/python data/demo.py --out $(DEMO)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
# one thread a worker: the threads of two wait for one another's cores, and double the time
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --max-worker-restart 0

soak: $(READY)
	$(BIN)/python -m tests.soak

clean:
	rm -rf $(DEMO) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
