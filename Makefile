# The course's commands. `make book` and `make test` are the two that a reader needs.

PYTHON ?= python3
# Frameworks for this machine: cpu, or gpu (Linux with an NVIDIA card).
FRAMEWORKS ?= cpu
PIP_FLAGS ?=
# CI installs what this file names, by its hashes; without it, pip takes the newest within the bounds.
LOCK ?=
# PyTorch's own index has a build without 2 GB of CUDA. It is taken on Linux where no NVIDIA card is
# seen and the index answers within five seconds; else pip takes what it finds.
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
ASK := import glob, signal, sys, urllib.request as web; \
  sys.platform == "linux" and not glob.glob("/dev/nvidia[0-9]*") or sys.exit(); \
  signal.alarm(5); web.urlopen("$(CPU_INDEX)/torch/"); print("--extra-index-url $(CPU_INDEX)")
CPU_BUILD = $(if $(filter cpu,$(FRAMEWORKS)),$(shell $(PYTHON) -c '$(ASK)' 2>/dev/null))
BIN := .venv/bin
# Hundreds of Pythons import labkit in the tests: compiled once, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
# Two modules of tests or strict runs at a time, in the order of their collection.
SIDE_BY_SIDE ?= -n 2 --dist loadfile --no-loadscope-reorder
PIP = $(BIN)/python -m pip install --disable-pip-version-check -q $(CPU_BUILD) $(PIP_FLAGS)
LOCKED = $(PIP) --no-compile --require-hashes -r $(LOCK) && $(PIP) --no-deps --no-build-isolation
# pip compiles on one core. A few files that packages bring are no Python of today.
COMPILE = $(if $(LOCK),$(BIN)/python -m compileall -qq -j 0 .venv/lib || true)
INSTALL = $(if $(LOCK),$(LOCKED),$(PIP))

.PHONY: book serve lab test test-all static unit notebooks browser third numbers format clean
.DELETE_ON_ERROR:

book: .venv/book  ## weave, run what is stale, build the book
	@$(BIN)/labkit run
	@$(BIN)/labkit book

serve: book  ## show the book on 127.0.0.1
	@echo "the book is at http://127.0.0.1:8000 (Ctrl-C ends it)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

lab: .venv/book  ## copy the notebooks to work/ and open them in JupyterLab
	@$(BIN)/labkit copies work
	@$(BIN)/jupyter lab --ip 127.0.0.1 --notebook-dir work

test: static  ## all that runs on a push; passes are remembered
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not slow"

test-all: .venv/test  ## forget all passes, then also: other threads and processors, Colab, repeats
	rm -rf _build/verified
	@$(MAKE) test
	$(BIN)/pytest -m slow

# The parts of `test`, which CI runs side by side.
static: .venv/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/labkit check
	$(BIN)/labkit prove

unit: .venv/test
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not slow and not notebook" --ignore tests/test_book.py --ignore tests/test_third_twin.py

notebooks: .venv/test  ## those of one chapter: make notebooks CHAPTER=graphs
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "notebook and not slow" -k "$(CHAPTER)"

browser: .venv/test
	$(BIN)/pytest tests/test_book.py tests/test_third_twin.py

third: .venv/test  ## train the third twin in a browser, and keep its record
	$(BIN)/python tests/take_third.py

numbers: .venv/test  ## measure the numbers that stand in CONTRIBUTING.md
	$(BIN)/python tests/take_numbers.py

format: .venv/test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf _build

.venv/book: pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d: make book PYTHON=python3.12" % v)'
	@echo "installing into .venv, about two minutes"
	@$(PYTHON) -m venv .venv
	@$(INSTALL) -e '.[$(FRAMEWORKS),tools,book]'
	@$(COMPILE)
	@touch $@

.venv/test: .venv/book
	@$(INSTALL) -e '.[$(FRAMEWORKS),tools,book,dev]'
	@touch $@
