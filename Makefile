# Every target makes its own environment first; `make` alone lists them.
PYTHON ?= python3
# another interpreter has an environment of its own: `make check PYTHON=python3.12` makes .venv-3.12
ifeq ($(PYTHON),python3)
VENV := .venv
else
VENV := .venv-$(or $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'),$(error PYTHON=$(PYTHON) does not run))
endif
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

MODE ?= btc_basis
DATA ?= data/sample
OUT ?=
ARGS ?=
WORKERS ?= 2
SEED ?= 1
COUNT ?= 200
MODULE ?=
MINUTES ?= 5

.DEFAULT_GOAL := help
.PHONY: help setup backtest check test golden mutants fuzz audit browser gates bench results picture notebooks lab docs stubs lint types format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make backtest MODE=btc_basis DATA=data/sample [OUT=DIR] [ARGS='--set a.b=v']"

setup: $(STAMP) ## make .venv (.venv-3.12 with PYTHON=python3.12) with the package and the tools, at the pinned versions

# uv is used where it is on PATH; pip where it is not, or where uv reaches no index.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@{ command -v uv >/dev/null && uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; } \
	  || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

backtest: $(STAMP) ## run one backtest: MODE, DATA, OUT, ARGS
	$(BIN)/basis backtest $(MODE) --data $(DATA) $(if $(OUT),--out $(OUT)) $(ARGS)

# few books, no browser, no real data but what the files themselves ask for
CHECKED := tests/config tests/market tests/strategies tests/engine tests/kernel/test_kernel_parity.py tests/test_readme.py \
  tests/test_structure.py tests/docs

check: $(STAMP) ## run the quick tests while working
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not slow' $(CHECKED) $(ARGS)

test: $(STAMP) browser ## run every test
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

golden: $(STAMP) ## compare the tables of 300 runs with tests/golden/golden.txt; ARGS='--accept TEXT' accepts a change
	$(BIN)/python tests/golden/golden.py $(ARGS)

mutants: $(STAMP) ## change the kernel in COUNT places, drawn by SEED; a check has to fail; MODULE=FILE for one file of it
	$(BIN)/python tests/mutants/mutants.py --seed $(SEED) --count $(COUNT) $(if $(MODULE),--module $(MODULE)) $(ARGS)

fuzz: $(STAMP) ## try hostile input of every kind for MINUTES, drawn by SEED; ARGS='--kind settings' for one kind
	$(BIN)/python tests/fuzz/fuzz.py --seed $(SEED) --minutes $(MINUTES) $(ARGS)

audit: $(STAMP) ## ask where the network allows it whether a pinned package has a known fault (pip-audit)
	@$(BIN)/python tests/fuzz/known_faults.py

browser: $(STAMP) ## install Debian's Chromium for the tests in a browser, where there is none and one may
	@$(BIN)/python tests/support/browser.py

gates: $(STAMP) ## accept each mode as its user would: a gate a mode, both drivers
	$(BIN)/python -m pytest tests/gates $(ARGS)

bench: $(STAMP) ## measure the speed of the kernel and of a run
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

notebooks: $(STAMP) ## bring scripts and notebooks in step, strip outputs, run them all
	$(BIN)/jupytext --quiet --sync notebooks/*.py
	$(BIN)/nbstripout --keep-id notebooks/*.ipynb
	$(BIN)/python -m pytest tests/notebooks $(ARGS)

lab: $(STAMP) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir notebooks

stubs: $(STAMP) ## write what editors know of the modes' constructors, from configs/modes
	$(BIN)/python tests/api/mode_stub.py

docs: $(STAMP) ## write docs/layout.md from the layouts of the kernel
	$(BIN)/python tests/docs/layout_page.py

results: $(STAMP) ## run every mode on a real data set (BASIS_TEST_DATA) and write docs/results.md
	$(BIN)/python tests/benchmarks/results.py

picture: $(STAMP) ## draw the picture of the README from a real data set (BASIS_TEST_DATA)
	$(BIN)/python tests/benchmarks/picture.py

lint: $(STAMP) ## check style, format, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory types
	$(BIN)/lint-imports --no-cache

types: $(STAMP) ## check types
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMP) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment, caches and runs
	rm -rf .venv .venv-* runs build dist htmlcov .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
