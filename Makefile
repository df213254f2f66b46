# Two commands set everything up in .venv: `make run` and `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: run test lint format acceptance clean

run: $(VENV)/.installed  ## the demo app behind the proxy, with an https URL to open
	$(BIN)/kssl demo $(ARGS)

# Whole modules go to the processes of pytest-xdist, in the order in which one process would take
# them: what a module or a package sets up is used again. How many processes: tests/conftest.py.
# One process, for a debugger or to see output: ARGS='-n0 -s'.
PARALLEL := -n auto --dist loadscope --no-loadscope-reorder
# Compiled tests are kept even if the environment says otherwise: compiling them takes each process
# six seconds, and every `kssl` that is started some more.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

test: $(VENV)/.installed-dev  ## the test suite
	$(PYTEST) $(PARALLEL) $(ARGS)

lint: $(VENV)/.installed-dev  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

acceptance: $(VENV)/.installed-dev  ## gigabytes, thousands of connections, every example
	HYPOTHESIS_PROFILE=thorough $(PYTEST) -m 'acceptance or hypothesis' $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@sh tools/make-venv.sh "$(PYTHON)" "$(VENV)"

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@rm -rf kssl.egg-info  # of former versions: Python would find it first in this folder
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@rm -rf kssl.egg-info  # of former versions: Python would find it first in this folder
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed
