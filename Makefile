# `make demo` and `make test` do all their own set-up; they need Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
TYPESCRIPT := $(shell sed -n 's/.*"typescript": "\(.*\)".*/\1/p' package.json)
COMPILER := build/typescript-$(TYPESCRIPT)
FETCH = npm install --no-save --no-package-lock --no-audit --no-fund \
    --fetch-retries 1 --fetch-timeout 20000 --prefix $(COMPILER) typescript@$(TYPESCRIPT)
SOURCES := src tests examples benchmarks

.PHONY: help demo test check lint types viewer-types gallery bench clean

help:
	@echo "make demo     environment in .venv, install, then look at a cat through a trained network"
	@echo "make test     the whole test suite"
	@echo "make check    format, lint, types and the test suite"
	@echo "make gallery  the pictures of the articles, into out/"
	@echo "make bench    every benchmark, each a ratio of two things timed in turn"
	@echo "make clean    remove the environment and what was made"

$(VENV)/ready:
	$(PYTHON) -c 'import sys; sys.exit("convscope needs Python 3.11 or newer, this is %d.%d; try make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

# Installed in place, so that what runs is what is in the folder.
$(VENV)/demo: $(VENV)/ready pyproject.toml constraints.txt
	@echo "installing convscope and PyTorch into $(VENV) (several GB, some minutes) ..."
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/test: $(VENV)/demo
	$(PIP) --editable '.[check]'
	touch $@

demo: $(VENV)/demo
	$(BIN)/convscope look

# Two files at a time, each with one thread: quicker than one file with two.
test: $(VENV)/test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/test
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/lint-imports

types: $(VENV)/test viewer-types
	$(BIN)/mypy

# The viewer's modules, by TypeScript through their JSDoc. Where there is no node, or the compiler cannot be
# fetched, that is said and the rest goes on.
viewer-types:
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
	    echo "viewer-types: there is no node with npm here, so the viewer's types are not checked"; \
	elif [ ! -x $(COMPILER)/node_modules/.bin/tsc ] && ! { mkdir -p $(COMPILER) && $(FETCH) >$(COMPILER)/log 2>&1; }; then \
	    echo "viewer-types: npm could not fetch TypeScript ($$(grep -m 1 'npm error' $(COMPILER)/log)), so the viewer's types are not checked"; \
	else \
	    $(COMPILER)/node_modules/.bin/tsc --project tsconfig.json && echo "viewer-types: no errors"; \
	fi

check: lint types test

gallery: $(VENV)/test
	for script in examples/plot_*.py; do $(BIN)/python $$script --output out || exit 1; done

bench: $(VENV)/test
	for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) out build dist src/*.egg-info
