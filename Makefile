# `make run` and `make test` do all the set-up on a fresh machine with Python 3.10+ and make.

# On Windows as well, with make from Chocolatey, MSYS2 or Git's shell.
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
else
PYTHON ?= python3
BIN := .venv/bin
endif
# `make run LANGUAGE=ko`; a variable of this name in the environment, which Linux uses, says nothing.
LANGUAGE := en
ifeq ($(filter en ko,$(LANGUAGE)),)
$(error LANGUAGE is "$(LANGUAGE)"; pass LANGUAGE=en or LANGUAGE=ko)
endif
EDITION := $(filter-out /en,/$(LANGUAGE))
RECIPE := notebooks$(EDITION)/dynamic_quantization.ipynb
# The longest first, so that what is left can be shared out evenly. What the Korean ones hold is
# shown, and compared, in the runs of these.
LONGEST := notebooks/trained_models.ipynb
NOTEBOOKS := $(LONGEST) $(filter-out $(LONGEST),$(wildcard notebooks/*.ipynb exercises/solutions/*.ipynb))
# What JupyterLab opens: a copy, since it saves by itself. A notebook that is newer is copied anew.
COPIES := $(patsubst %,build/lab/%,$(wildcard $(addprefix notebooks/,*.ipynb ko/*.ipynb class_ledgers/*)))
FORMS := $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
# Two workers; a test file, and so a notebook with its kernel, stays on one of them.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=300

.DEFAULT_GOAL := help
.PHONY: help run lab test lint unit notebooks execute exercises slides bundle site translations clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/ready ## execute the recipe, write build/dynamic_quantization.html, print the summary (LANGUAGE=ko)
	@$(BIN)/python tools/run_recipe.py $(RECIPE)

lab: .venv/ready $(COPIES) ## open a copy of the notebooks, build/lab, in JupyterLab
	$(BIN)/jupyter lab build/lab/$(RECIPE)

build/lab/%: %
	@mkdir -p $(@D)
	cp $< $@

test: lint ## lint, unit tests, and every notebook re-run by nbval
	$(PYTEST) $(NBVAL) $(NOTEBOOKS) tests int8_rnn/tests

lint: .venv/ready ## style, format, types, spelling, and the files that GitHub reads
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*.yml)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(FORMS)
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/python tools/actionlint.py

unit: .venv/ready ## the unit tests
	$(PYTEST) tests int8_rnn/tests

notebooks: .venv/ready ## re-run the notebooks and compare their outputs
	$(PYTEST) $(NBVAL) $(NOTEBOOKS)

execute: .venv/ready ## run the notebooks and store their outputs, for a commit
	$(BIN)/python tools/run_recipe.py --store $(NOTEBOOKS)
	$(BIN)/python tools/readme.py

exercises: .venv/ready ## make the students' version of the exercises from their solutions
	$(BIN)/python tools/exercises.py

slides: .venv/ready ## write build/dynamic_quantization.slides.html, for a lesson
	$(BIN)/python tools/slides.py $(RECIPE)

bundle: .venv/ready ## write build/dynamic-quantization.zip, all that a class needs
	$(BIN)/python tools/bundle.py

site: .venv/site ## write build/site: all pages in both languages, static
	$(BIN)/python tools/website.py

translations: .venv/ready ## collect the messages; list which of them, and which Korean cells, wait for their text
	@$(BIN)/python tools/korean.py all

# A stamp that is made last: an installation that broke off is taken up again.
.venv/ready: pyproject.toml int8_rnn/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python tools/install.py --quiet --constraint constraints.txt --editable int8_rnn --editable ".[notebooks,fast,test]"
	$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch()"

# What draws the site, and nothing else needs.
.venv/site: .venv/ready
	$(BIN)/python tools/install.py --quiet --constraint constraints.txt --editable int8_rnn --editable ".[site]"
	$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch()"

clean: ## remove what make made
	$(PYTHON) tools/clean.py
