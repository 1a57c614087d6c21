# make demo: the main job on real data; make test: the tests. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint picture clean

demo: .venv/installed
	$(BIN)/hpsearch run imdb-clas --preset quick --trials 12
	$(BIN)/hpsearch explain imdb-clas

test: .venv/installed-test
	$(BIN)/python -m pytest

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The picture in the README, made from what make demo prints.
picture: .venv/installed
	COLUMNS=100 $(MAKE) --no-print-directory demo | $(BIN)/python docs/picture.py > docs/demo.svg

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpsearch needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch .venv/installed $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
