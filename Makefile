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
SAYS := $(if $(EDITION),\2,\1)
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

help: ## list the commands (LANGUAGE=ko: in Korean) ## 명령 목록
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## (.*) ## (.*)/\t$(SAYS)/' | expand -t 14

run: .venv/ready ## execute the recipe, write build/dynamic_quantization.html, print the summary (LANGUAGE=ko) ## 레시피를 실행하고 build/ko/dynamic_quantization.html을 쓰고 요약을 출력합니다 (LANGUAGE=ko)
	@$(BIN)/python tools/run_recipe.py $(RECIPE)

lab: .venv/ready $(COPIES) ## open a copy of the notebooks, build/lab, in JupyterLab ## 노트북의 사본 build/lab을 JupyterLab에서 엽니다
	$(BIN)/jupyter lab build/lab/$(RECIPE)

build/lab/%: %
	@mkdir -p $(@D)
	cp $< $@

test: lint ## lint, unit tests, and every notebook re-run by nbval ## 린트와 단위 테스트, 그리고 모든 노트북을 nbval로 다시 실행합니다
	$(PYTEST) $(NBVAL) $(NOTEBOOKS) tests int8_rnn/tests

lint: .venv/ready ## style, format, types, spelling, and the files that GitHub reads ## 스타일, 형식, 타입, 철자, GitHub이 읽는 파일을 검사합니다
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*.yml)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(FORMS)
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/python tools/actionlint.py

unit: .venv/ready ## the unit tests ## 단위 테스트
	$(PYTEST) tests int8_rnn/tests

notebooks: .venv/ready ## re-run the notebooks and compare their outputs ## 노트북을 다시 실행하고 출력을 비교합니다
	$(PYTEST) $(NBVAL) $(NOTEBOOKS)

execute: .venv/ready ## run the notebooks and store their outputs, for a commit ## 노트북을 실행하고 출력을 저장합니다 (커밋하기 전에)
	$(BIN)/python tools/run_recipe.py --store $(NOTEBOOKS)
	$(BIN)/python tools/readme.py

exercises: .venv/ready ## make the students' version of the exercises from their solutions ## 풀이에서 학생용 연습 문제를 만듭니다
	$(BIN)/python tools/exercises.py

slides: .venv/ready ## write build/dynamic_quantization.slides.html, for a lesson ## 수업용 슬라이드 build/ko/dynamic_quantization.slides.html을 씁니다
	$(BIN)/python tools/slides.py $(RECIPE)

bundle: .venv/ready ## write build/dynamic-quantization.zip, all that a class needs ## 수업에 필요한 것을 모두 담은 build/dynamic-quantization.zip을 씁니다
	$(BIN)/python tools/bundle.py

site: .venv/site ## write build/site: all pages in both languages, static ## build/site에 두 언어의 모든 페이지를 정적 사이트로 씁니다
	$(BIN)/python tools/website.py

translations: .venv/ready ## collect the messages; list which of them, and which Korean cells, wait for their text ## 메시지를 모으고, 번역을 기다리는 메시지와 한국어 셀을 보여 줍니다
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

clean: ## remove what make made ## make가 만든 것을 지웁니다
	$(PYTHON) tools/clean.py
