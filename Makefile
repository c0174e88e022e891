# Everything runs in a virtual environment of its own: PYTHON creates it, and VENV is its directory.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
PEERS ?= benchmark/peers

.DEFAULT_GOAL := help
.PHONY: help train test test-system test-faults lint types phrasebook model notebook settings peers clean

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
test-system: $(VENV)/.installed-dev ## run the tests that start whole programs (five to ten minutes)
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

model: $(VENV)/.installed ## train the built-in model again and pack it into data/phrasebook/model (two to four minutes)
	$(RUN) scripts/train.py experiment=phrasebook model.tie_embeddings=all runs_dir=build overwrite=true
	$(RUN) scripts/pack_model.py build/phrasebook data/phrasebook/model

notebook: $(VENV)/.installed-dev ## run docs/tutorial.py and write docs/tutorial.ipynb with what it shows (two minutes)
	$(RUN) scripts/run_notebook.py docs/tutorial.py docs/tutorial.ipynb

settings: $(VENV)/.installed ## write docs/settings.md again from the schema of the settings
	$(RUN) -m seq2seq.commands.help > docs/settings.md

# Each toolkit without its own requirements, since some pin another torch; what it needs of them is named here.
NEEDED_BY_ALL = sacrebleu==2.6.0 sentencepiece==0.2.3 tensorboard==2.21.0 PyYAML==6.0.4 six numpy==2.4.6
NEEDED_BY_ONMT = ConfigArgParse==1.9.0 ctranslate2==4.8.5 pyonmttok==1.38.1 RapidFuzz==3.14.6 pyahocorasick==2.3.1 \
	waitress==3.0.2 fasttext-wheel==0.9.2 spacy==3.8.18

peers: $(PEERS)/opennmt/.installed $(PEERS)/eole/.installed $(PEERS)/joeynmt/.installed ## install the toolkits that the benchmark compares with

$(PEERS)/opennmt/.installed: PEER = OpenNMT-py==3.5.1
$(PEERS)/opennmt/.installed: NEEDED = $(NEEDED_BY_ALL) $(NEEDED_BY_ONMT) Flask==3.1.3
$(PEERS)/eole/.installed: PEER = eole==0.6.4
$(PEERS)/eole/.installed: NEEDED = $(NEEDED_BY_ALL) $(NEEDED_BY_ONMT) pydantic==2.14.4 safetensors==0.8.0 tokenizers==0.23.3 \
	subword-nmt==0.3.8 pandas==3.1.1 datasets==5.2.0 huggingface_hub==2.4.0 rich==15.0.0 fastapi==0.165.0 \
	uvicorn==0.54.0 torch-optimi==0.3.3 aiohttp==3.14.5
$(PEERS)/joeynmt/.installed: PEER = joeynmt==2.3.0
$(PEERS)/joeynmt/.installed: NEEDED = $(NEEDED_BY_ALL) sacremoses==0.2.0 subword-nmt==0.3.8 datasets==5.2.0 matplotlib==3.11.2 packaging==26.3 \
	importlib-metadata==8.7.1

$(PEERS)/%/.installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet torch==2.13.0
	$(@D)/bin/python -m pip install --quiet --no-deps $(PEER)
	$(@D)/bin/python -m pip install --quiet $(NEEDED)
	touch $@

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
