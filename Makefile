# xgrl: every target sets up what it needs; a second call does not reinstall.
STUDY ?= laptop
PYTHON ?= python3.11
PROFILE ?= local
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Cores available to this process, fewer than the machine has in a container or under a batch system.
CORES := $(shell $(firstword $(wildcard $(BIN)/python) $(PYTHON)) -I lib/xgrl/placement.py 2>/dev/null || nproc 2>/dev/null || echo 1)
JOBS ?= $(if $(filter 1,$(CORES)),1,2)
# Jobs x threads as --cores, or the reason why not; on a cluster the profile says how many jobs it may hold.
PLACEMENT = $(if $(filter local,$(PROFILE)),$(BIN)/python -I lib/xgrl/placement.py "$(JOBS)" params/base.yaml params/$(STUDY).yaml,true)
SNAKEMAKE = $(BIN)/snakemake --configfile params/base.yaml params/$(STUDY).yaml --workflow-profile profiles/$(PROFILE) $$($(PLACEMENT))
GRID = --logger rich
# A lock that the operating system releases when flock and Snakemake have ended, killed or not; without flock, Snakemake's own (then: make unlock).
FLOCK := $(shell command -v flock 2>/dev/null)
LOCKED = $(if $(FLOCK),$(FLOCK) --nonblock --conflict-exit-code 75 $(VENV)/.lock)
BUSY = { [ $$? -ne 75 ] || echo "another make study is running in this folder; wait for it or stop it first"; exit 1; }
# Where a study file is newer than a finished preparation: that is brought up to date first, and then only jobs run whose data changed.
PREPARED = outputs/$(STUDY)/prepared/run.json
REPORT = outputs/$(STUDY)/analysis/report.html
STUDY_FILES = params/base.yaml params/$(STUDY).yaml notebooks/01_prepare.ipynb
OVERTAKEN = $(if $(wildcard $(PREPARED)),[ -n "$$(find $(STUDY_FILES) -newer $(PREPARED) $(if $(wildcard $(REPORT)),-newer $(REPORT)))" ],false)
export PYTHONHASHSEED ?= 0
export TOKENIZERS_PARALLELISM ?= false

.DEFAULT_GOAL := help
.PHONY: help setup check-jobs check-hub study smoke dry-run unlock test lint lab bench verify publish lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables: STUDY=$(STUDY) (a file in params/), JOBS=$(JOBS) (jobs at once; $(CORES) cores are available), PROFILE=$(PROFILE) (a folder in profiles/), PYTHON=$(PYTHON)"

$(READY): requirements.txt requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or say make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c requirements.lock -e .
	@touch $@

setup: $(READY)  ## virtual environment in .venv with the tested versions

check-jobs:
	@[ -f params/$(STUDY).yaml ] || { echo "STUDY=$(STUDY): no params/$(STUDY).yaml; allowed: $$(ls params/*.yaml | grep -v base | xargs -n1 basename -s .yaml | tr '\n' ' ')"; exit 2; }
	@[ -d profiles/$(PROFILE) ] || { echo "PROFILE=$(PROFILE): no folder profiles/$(PROFILE); allowed: $$(ls profiles | tr '\n' ' ')"; exit 2; }
	@$(PLACEMENT) >/dev/null

study: $(READY) check-jobs  ## the whole study and its report [STUDY=laptop] [JOBS=2]; call again to resume
	@! $(OVERTAKEN) || $(LOCKED) $(SNAKEMAKE) $(GRID) $(if $(FLOCK),--nolock) --until prepare || $(BUSY)
	@$(LOCKED) $(SNAKEMAKE) $(GRID) $(if $(FLOCK),--nolock) || $(BUSY)
	@$(BIN)/python -m xgrl.report summary outputs/$(STUDY)

smoke:  ## the whole grid on a tiny random encoder and synthetic data, in two minutes, no download
	@$(MAKE) --no-print-directory study STUDY=smoke

dry-run: $(READY) check-jobs  ## list the jobs of STUDY that would run
	$(SNAKEMAKE) -n --quiet rules

unlock: $(READY)  ## after a crash, where flock is missing: release Snakemake's lock
	$(SNAKEMAKE) --unlock

lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: $(READY) lint smoke  ## ruff, unit tests, smoke grid, notebooks (nbval), analysis of a miniature study
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 tests notebooks

lab: $(READY) smoke  ## JupyterLab, opened at notebooks/00_start_here.ipynb, with the smoke study at hand
	PYTHONWARNINGS="ignore:IProgress not found" $(BIN)/jupyter lab --notebook-dir=. notebooks/00_start_here.ipynb

bench: $(READY)  ## speed side by side with a plain Trainer configuration
	$(BIN)/python -m benchmarks

verify: $(READY)  ## compare outputs/STUDY with the published outputs/reference/STUDY
	$(BIN)/python -m xgrl.report verify outputs/$(STUDY) outputs/reference/$(STUDY)

publish: $(READY)  ## make outputs/STUDY the published results, and the README's table from it
	$(BIN)/python -m xgrl.report publish outputs/$(STUDY) outputs/reference/$(STUDY)
	$(BIN)/python -m xgrl.report readme outputs/reference/$(STUDY)/analysis/summary.json README.md

check-hub: $(READY)  ## two rows of every benchmark data set on the hub (needs a network, or XGRL_HUB_MIRROR)
	$(BIN)/python -m xgrl.tasks.check_hub

lock: $(READY)  ## write requirements.lock anew from what is installed
	@{ sed -n '/^#/p' requirements.lock; $(BIN)/python -m pip freeze --exclude-editable | grep -v '^torch=='; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:  ## remove outputs of STUDY (never outputs/reference)
	rm -rf outputs/$(STUDY)
