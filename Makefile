# Everything a newcomer needs: make demo, make test.  See CONTRIBUTING.md.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(wildcard src/sumwise/kernels/*.cpp src/sumwise/kernels/*.hpp) CMakeLists.txt pyproject.toml

.PHONY: setup demo test check format bench clean

setup: .venv/ready

# The package is installed in editable mode; a change in the kernels or in the build files installs it again.
.venv/ready: $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sumwise needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: setup  ## the main job on real data
	$(BIN)/sumwise demo

test: setup  ## all tests
	$(BIN)/python -m pytest --numprocesses auto

check: setup  ## format, lint, types, tests, import walls (the walls are a test)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## ratios against other software and against the machine's limit
	$(BIN)/python -m bench.run --quick
	$(BIN)/python -m bench.least_squares --quick
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt || true  # what is missing is named
	$(BIN)/python -m bench.glm --rows 100000
	$(BIN)/python -m bench.models --quick
	$(BIN)/python -m bench.validation
	$(BIN)/python -m bench.coverage
	$(BIN)/python -m bench.rounds
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris || true  # bench.fuzz says if it is not there
	$(BIN)/python -m bench.fuzz

clean:
	rm -rf .venv build dist sumwise-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
