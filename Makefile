# The commands of a user's day; `make help` lists them.

PYTHON ?= python3
DATASET ?= LSVQ
PIPELINE ?= lmm-vqa
RUN ?= runs/$(PIPELINE)
DECODER ?= runs/embedded-decoder
ARGS ?=
FEATURES ?= data/VIDEVAL
LABELS ?= data
PROTOCOL ?= opinions-combined
SOURCES ?= data/pristine

BIN := .venv/bin
# uv installs in a fraction of pip's time and is used where it is on the PATH. It reads no pip.conf: where an index
# stands in one, make setup UV= takes pip.
UV := $(shell command -v uv)
INSTALL := $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet)
STAMP := .venv/.set-up
BENCH_STAMP := .venv/.set-up-bench

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what each command does
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  DATASET=$(DATASET) PIPELINE=$(PIPELINE) RUN=$(RUN) are the defaults; ARGS passes further options,"
	@echo "  as in: make extract DATASET=KoNViD-1k ARGS='--limit 4 --set encoders.clip-vit-l14.weights=random:0'"

.PHONY: setup
setup: $(STAMP) ## Prepare .venv with the pinned versions (the others do it by themselves)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: $(STAMP) ## Run the whole pipeline on generated videos: no data, weights or GPU needed
	$(BIN)/python -m demo run $(ARGS)

.PHONY: extract
extract: $(STAMP) ## Stage 1: videos of DATASET → features of PIPELINE's encoders, once
	$(BIN)/python -m extract $(DATASET) --pipeline $(PIPELINE) $(ARGS)

.PHONY: train
train: $(STAMP) ## Stage 2: train PIPELINE on cached features
	$(BIN)/python -m train $(PIPELINE) --run $(RUN) $(ARGS)

.PHONY: eval
eval: $(STAMP) ## Score a run's test videos, compare with published numbers, write the report
	$(BIN)/python -m evaluate run $(RUN) $(ARGS)

.PHONY: ablate
ablate: $(STAMP) ## Train and test variants on the same features: ABLATION=temporal-tokens; without one, list them
	$(BIN)/python -m evaluate ablate $(ABLATION) $(ARGS)

.PHONY: predict
predict: $(STAMP) ## Score videos: make predict VIDEOS='a.mp4 b.mp4'; with a run of yours, RUN=runs/demo
	$(BIN)/python -m evaluate predict $(VIDEOS) $(if $(filter file,$(origin RUN)),,--run $(RUN)) $(ARGS)

.PHONY: embedded
embedded: $(STAMP) ## Train the embedded model anew, on VIDEVAL's features: FEATURES=folder LABELS=folder
	$(BIN)/python -m demo model $(FEATURES) --labels $(LABELS) $(ARGS)

.PHONY: decoder
decoder: $(STAMP) ## Train a new embedded tiny language decoder, into the folder DECODER (two minutes)
	$(BIN)/python -m demo decoder $(DECODER) $(ARGS)

.PHONY: opinions
opinions: $(STAMP) ## Train and test on people's opinions of published features, beside an SVR (PROTOCOL=…)
	$(BIN)/python -m demo opinions $(FEATURES) --labels $(LABELS) --protocol $(PROTOCOL) $(ARGS)

.PHONY: science
science: $(STAMP) ## Every ablation of the embedded decoder, on people's opinions: FEATURES=folder LABELS=folder
	$(BIN)/python -m demo science $(FEATURES) --labels $(LABELS) $(ARGS)

.PHONY: distort
distort: $(STAMP) ## Make distorted copies of the pristine videos in SOURCES, with labels and conversations
	$(BIN)/python -m distort $(SOURCES) $(ARGS)

.PHONY: test
test: $(STAMP) ## Run the tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-slow
test-slow: $(STAMP) ## Run the tests that take seconds each
	@$(MAKE) --no-print-directory test ARGS="-m 'slow and not soak' $(ARGS)"

.PHONY: soak
soak: $(STAMP) ## Run the long trials
	$(BIN)/python -m pytest -m soak $(ARGS)

.PHONY: bench
bench: $(BENCH_STAMP) ## Measure store, extraction and training step against the limit and the peers' ways
	$(BIN)/python benchmarks/store_write.py
	$(BIN)/python benchmarks/store_read.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/extraction.py $(ARGS)
	$(BIN)/python benchmarks/videval.py
	$(BIN)/python benchmarks/training_step.py

.PHONY: bench-memory
bench-memory: $(BENCH_STAMP) ## Measure the memory that 20 minutes of 1080p take to extract
	$(BIN)/python benchmarks/long_video.py $(ARGS)

.PHONY: bench-gpu
bench-gpu: $(BENCH_STAMP) ## Compare a GPU with the CPU; measure training, prediction and encoders on it
	PYTHON=$(BIN)/python benchmarks/gpu.sh runs/bench-gpu $(ARGS)

$(BENCH_STAMP): $(STAMP)
	$(INSTALL) --constraint constraints.txt --editable '.[bench]'
	@touch $@

.PHONY: lint
lint: $(STAMP) ## Check format, style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: clean
clean: ## Remove caches; keeps .venv, features, weights and runs
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
