# make try          the first minute: a packaged encoder, served and searched with, without torch
# make quickstart   the whole path once, on real input
# make test         the tests
# make docs         the documentation as a site in build/docs; warnings are errors
# make golden       write what the golden tests compare with
# make matrix       the built wheel in clean environments of every Python that is here, lowest and newest versions
# make release      checks of a release, then sdist, wheel, SBOM and digests in dist/
# make check        what has to pass before a commit: format, lint, types, imports, stubs, tests
#
# Each sets up what it needs: a virtual environment in .venv with the versions of constraints.txt.

# The first that really runs and can make a virtual environment; 3.11 is what constraints.txt was frozen with.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do \
	$$each -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: try model-wheel wheel matrix release quickstart test docs golden check lint types imports stubs format constraints clean

TRY := .venv-try

# Its own environment, of at most 350 MB: --no-compile leaves out what Python writes by itself when it is needed.
try:
	@test -n "$(PYTHON)" || { echo "samespace needs Python 3.11 or newer with its venv module"; exit 1; }
	@ls dist/samespace_minilm-*.whl >/dev/null 2>&1 || { echo "dist/ has no samespace_minilm wheel: take it from a release, or build it once with 'make model-wheel' (downloads 3 GB)"; exit 1; }
	test -x $(TRY)/bin/python || $(PYTHON) -m venv $(TRY)
	$(TRY)/bin/python -m pip install --quiet --no-compile -c constraints.txt --find-links dist '.[try]'
	$(TRY)/bin/samespace try $(ARGS)

# The packaged encoder of `samespace try`, as a wheel in dist/; exported into build/minilm where it is not there yet.
model-wheel: $(STAMP)
	$(BIN)/python tools/model_wheel.py build/minilm --out dist

# sdist and wheel, in environments of their own.
wheel: $(STAMP)
	rm -f dist/samespace-*
	$(BIN)/uv build --quiet --out-dir dist

matrix: wheel
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/matrix.py dist/samespace-*.whl

# A release: VERSION=0.2.0 writes the version and the changelog's section first. Tags and uploads nothing.
release: $(STAMP)
	$(BIN)/python tools/release.py prepare $(VERSION)
	$(MAKE) wheel
	$(BIN)/python tools/release.py finish

quickstart: $(STAMP)
	$(BIN)/samespace quickstart $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# Markdown pages and the reference of the code. `test` builds them too.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	$(BIN)/python tools/words.py --check

# Writes the traces of tests/golden anew. Read the diff, and explain it in the commit.
golden: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m golden.batching_scenarios
	PYTHONPATH=tests $(BIN)/python -m golden.texts
	PYTHONPATH=tests $(BIN)/python -m golden.clients
	PYTHONPATH=tests $(BIN)/python -m golden.client_kinds

check: lint types imports stubs test

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

stubs: $(STAMP)
	$(BIN)/python tools/gen_stubs.py --check

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins what the extras and the dev group resolve to today. Run it on purpose, read the diff, run `make check`.
constraints: $(STAMP)
	$(BIN)/python tools/freeze.py > constraints.txt.new
	mv constraints.txt.new constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "samespace needs Python 3.11 or newer with its venv module"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,docs]' --group dev
	touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
