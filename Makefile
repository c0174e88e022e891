# Everything runs in a virtual environment of its own: PYTHON creates it, and VENV is its directory.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help train test test-system test-faults lint types phrasebook settings clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

train: $(VENV)/.installed ## train on the corpus in data/ and evaluate (about two minutes on two cores)
	$(RUN) scripts/train.py experiment=phrasebook
	$(RUN) scripts/evaluate.py run=runs/phrasebook split=test

# One process for each core, with one thread each: more threads would only slow each other down.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/.installed-dev ## run the tests
	$(RUN) -m pytest -q -n auto --dist worksteal

test-system: export OMP_NUM_THREADS = 1
test-system: $(VENV)/.installed-dev ## run the tests that start whole programs (three minutes)
	$(RUN) -m pytest -q -n auto --dist worksteal -m "system and not faults"

test-faults: export OMP_NUM_THREADS = 1
test-faults: $(VENV)/.installed-dev ## run the long tests of faults and damaged input, and print what they counted
	$(RUN) -m pytest -q -rP -n auto --dist worksteal -m "faults or fuzz or hostile" --hypothesis-profile long --timeout 3600

lint: $(VENV)/.installed-dev ## check the style, and that each layer imports only from those below
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: $(VENV)/.installed-dev ## check the types (mypy --strict)
	$(RUN) -m mypy

phrasebook: $(VENV)/.installed ## generate data/phrasebook/ again from its grammar
	$(RUN) scripts/generate_phrasebook.py data/phrasebook

settings: $(VENV)/.installed ## write docs/settings.md again from the schema of the settings
	$(RUN) -m seq2seq.commands.help > docs/settings.md

clean: ## remove the environment and caches; runs/ and downloads stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed
