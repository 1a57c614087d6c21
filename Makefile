# make demo: the main job on real data, then the rules of recorded trials of a larger preset; make test: the
# tests. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
PROCESSES ?= 2

.PHONY: demo evidence test lint docs picture pictures api gpu gpu-report gpu-bundle clean

demo: .venv/installed
	$(BIN)/hpsearch run imdb-clas --preset quick --trials 12
	$(BIN)/hpsearch explain imdb-clas-quick
	$(BIN)/hpsearch explain imdb-clas-quick --recorded

# In as many processes as PROCESSES says, each test file in one of them, the slow files first.
test: .venv/installed-test
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What only a GPU can show, in at most ten minutes: make gpu ONLY=speed,full. See tests/gpu/README.md.
GPU_PYTHON = $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
gpu:
	$(GPU_PYTHON) tests/gpu/run.py --only "$(ONLY)"

# tests/benchmarks/GPU.md anew, anywhere: what was measured, and what changed since.
gpu-report:
	$(GPU_PYTHON) tests/gpu/report.py

# What a machine with a GPU and no network needs beside this checkout, into .gpu/.
gpu-bundle: .venv/installed
	$(BIN)/python tests/gpu/bundle.py

# Every figure, table and sentence of docs/evidence from the recorded trials: fails where one differs.
# WRITE=1 writes them anew.
evidence: .venv/installed
	$(BIN)/python docs/evidence.py $(if $(WRITE),--write)

# The picture in the README, made from what make demo prints.
picture: .venv/installed
	COLUMNS=100 $(MAKE) --no-print-directory demo | $(BIN)/python docs/picture.py > docs/demo.svg

# docs/api.md, made from the docstrings of the Python API.
api: .venv/installed
	$(BIN)/python docs/api.py

# The documentation as a site, into site/: open site/index.html.
docs: .venv/installed-test
	$(BIN)/mkdocs build --strict
	$(BIN)/python docs/evidence.py --reports site/evidence

# docs/pictures/, made from simulated studies; those of the gallery take minutes, and Chromium.
pictures: .venv/installed-test
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/gallery.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpsearch needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dashboard]'
	touch $@

.venv/installed-test: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch .venv/installed $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
