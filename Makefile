# xgrl: every target sets up what it needs; a second call does not reinstall.
STUDY ?= laptop
# The first Python that works and is what it says: 3.11 before the others, for bits are published with it; some installations put a
# command there that only says which versions they have. ensurepip: what `python -m venv` needs, which Debian packs apart.
IS_PYTHON = -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name $(IS_PYTHON) >/dev/null 2>&1 && { echo $$name; exit; }; done; echo python3.11)
PROFILE ?= local
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Cores available to this process, fewer than the machine has in a container or under a batch system.
CORES := $(shell $(firstword $(wildcard $(BIN)/python) $(PYTHON)) -I lib/xgrl/execution/placement.py 2>/dev/null || nproc 2>/dev/null || echo 1)
JOBS ?= $(if $(filter 1,$(CORES)),1,2)
# Jobs x threads as --cores, or the reason why not; on a cluster the profile says how many jobs it may hold.
PLACEMENT = $(if $(filter local,$(PROFILE)),$(BIN)/python -m xgrl.execution.placement "$(JOBS)" params/base.yaml params/$(STUDY).yaml,true)
# Some of the study's checkpoints, each with its targets and probes, and no report; the Snakefile reads and checks it.
PART :=
export XGRL_PART = $(PART)
SNAKEMAKE = $(BIN)/snakemake $(if $(PART),part) --configfile params/base.yaml params/$(STUDY).yaml --workflow-profile profiles/$(PROFILE) $$($(PLACEMENT))
GRID = --logger rich
# Where the study's outputs are, asked once: `outputs` of its file, or else of base.yaml; "?" where the shell would take it for something else.
# Before the installation no study has any.
OUTPUTS_OF = import re, sys; from xgrl.runs.study_files import find_study; path = find_study(sys.argv[1]).get('outputs', ''); \
	print(path if re.fullmatch('[\w./+@,:=-]*', path) else '?')
OUTPUTS = $(eval OUTPUTS := $$(shell $(BIN)/python -c "$(OUTPUTS_OF)" "$(STUDY)" 2>/dev/null))$(OUTPUTS)
FOLDER = $(or $(OUTPUTS),outputs)/$(STUDY)
# A lock that the operating system releases when flock and Snakemake have ended, killed or not; without flock, Snakemake's own (then: make unlock).
FLOCK := $(shell command -v flock 2>/dev/null)
LOCKED = $(if $(FLOCK),$(FLOCK) --nonblock --conflict-exit-code 75 $(VENV)/.lock)
BUSY = { [ $$? -ne 75 ] || echo "another make study is running in this folder; wait for it or stop it first"; exit 1; }
# Where a study file is newer than a finished preparation: that is brought up to date first, and then only jobs run whose data changed.
PREPARED = $(FOLDER)/prepared/run.json
REPORT = $(FOLDER)/analysis/report.html
STUDY_FILES = params/base.yaml params/$(STUDY).yaml notebooks/01_prepare.ipynb
OVERTAKEN = $(if $(wildcard $(PREPARED)),[ -n "$$(find $(STUDY_FILES) -newer $(PREPARED) $(if $(wildcard $(REPORT)),-newer $(REPORT)))" ],false)
# Are all files of the user's there that a study reads? What is prepared needs none.
CHECK_DATA = $(BIN)/python -m xgrl.execution.check_data params/base.yaml params/$(STUDY).yaml
# GB that a study's outputs and the cache take, measured (from arms on: estimated); the installation: SPACE_setup. make DISK=0 ... goes on without a check.
SPACE_setup = 3
SPACE_smoke = 1
SPACE_laptop = 10
SPACE_arms = 37
SPACE_xtreme-r = 17
SPACE_xtreme-r-tuning = 14
SPACE_desktop = 370
SPACE_xtreme-r-hub = 60
SPACE_paper = 340
DISK ?= $(or $(SPACE_$(STUDY)),3)
# $(call enough,GB,for what,a folder whose content is there already)
enough = needed=$$(( $(1) - $$(du -sk $(3) 2>/dev/null | awk '{kb = $$1} END {print int(kb * 1024 / 1e9)}') )); \
	found=$$(df -Pk . 2>/dev/null | awk 'NR == 2 && $$4 ~ /^[0-9]+$$/ {print int($$4 * 1024 / 1e9)}'); \
	[ -z "$$found" ] || [ "$$found" -ge "$$needed" ] || { echo "too little disk: $(2) needs about $$needed GB here, $$found GB are free;" \
	"make room, or say make DISK=0 ... to go on without this check (the cache may be elsewhere: XGRL_CACHE)"; exit 2; }
# --no-compile: of 420 MB of compiled files most are never used, and those that are Python writes itself.
INSTALL = $(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check -r requirements.txt -c requirements.lock -e .
# A file's tests stay on one of the two workers, those that share outputs/smoke on the same (tests/conftest.py).
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadscope
LONG = embedded or slow or simulation or faults or kernels or slurm or browser or gpu
export PYTHONHASHSEED ?= 0
export TOKENIZERS_PARALLELISM ?= false
export PYTHONUTF8 ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup check-names check-jobs check-disk check-data check-hub study tune report pack unpack smoke dry-run unlock test test-rest test-all lint lab watch bench verify publish lock clean

help:  ## this list
	@echo "xgrl: does adversarial training on English change zero-shot transfer to other languages?"
	@echo "  first time: make smoke (minutes, no data to download), then make lab to look around, then make study (under an hour)"
	@echo "  each command installs what it needs into .venv, says at its end what comes next, and can be called again after an interruption"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables: STUDY=$(STUDY) (a file in params/), JOBS=$(JOBS) (jobs at once; $(CORES) cores are available), PROFILE=$(PROFILE) (a folder in profiles/), PYTHON=$(PYTHON)"

$(READY): requirements.txt requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 (3.12 and 3.13 should do), or say make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) $(IS_PYTHON) || { echo "$(PYTHON) does not start, is none of Python 3.11 to 3.13, or lacks ensurepip (Debian: apt-get install python3.11-venv);" \
	"say make PYTHON=/path/to/python3.11"; exit 2; }
	@$(call enough,$(if $(filter 0,$(DISK)),0,$(SPACE_setup)),the installation in $(VENV),$(VENV))
	@echo "installing into $(VENV), once: about 4 minutes, 1.6 GB"
	$(PYTHON) -m venv $(VENV)
	@$(INSTALL) || { echo "the installation failed; pip says why above. Without a network or behind a proxy: PIP_INDEX_URL names a mirror," \
	"HTTPS_PROXY a proxy. Then say the same command again: what was downloaded is kept"; exit 1; }
	@rm -rf $(VENV)/lib/python3*/site-packages/torch/test # torch's own C++ tests, 80 MB
	@touch $@

setup: $(READY)  ## virtual environment in .venv with the tested versions
	@echo "next: make smoke (a whole study in minutes, no data to download), or make study (the real one)"

check-disk:
	@$(call enough,$(DISK),study $(STUDY),$(FOLDER))

# Names that end up in paths, also where something is removed.
check-names:
	@wrong=0; [ "$(notdir $(STUDY))" = "$(STUDY)" ] && [ "$(STUDY)" != base ] && [ -f "params/$(STUDY).yaml" ] || { wrong=2; echo "STUDY=$(STUDY): no params/$(STUDY).yaml; allowed:" \
	"$$(ls params/*.yaml | grep -v base | xargs -n1 basename -s .yaml | tr '\n' ' ')"; }; \
	[ "$(notdir $(PROFILE))" = "$(PROFILE)" ] && [ -n "$(PROFILE)" ] && [ -d "profiles/$(PROFILE)" ] || { wrong=2; echo "PROFILE=$(PROFILE): no folder profiles/$(PROFILE); allowed: $$(ls profiles | tr '\n' ' ')"; }; \
	[ "$(OUTPUTS)" != "?" ] || { wrong=2; echo "outputs of params/$(STUDY).yaml: make takes letters, digits and . / _ + @ , : = - only; snakemake by itself takes others"; }; \
	case "$(DISK)" in ''|*[!0-9]*) wrong=2; echo "DISK=$(DISK): how many GB must be free, 0 for no check";; esac; exit $$wrong

check-jobs: check-names
	@$(PLACEMENT) >/dev/null

check-data: $(READY) check-jobs  ## is all there that STUDY reads from files of yours, and where can the rest be had?
	@$(CHECK_DATA)

study: $(READY) check-jobs check-disk  ## the whole study and its report, or some checkpoints [STUDY=laptop] [JOBS=2] [PART="intent.dann:0 none:0"]; call again to resume
	@{ [ -f $(PREPARED) ] && ! $(OVERTAKEN); } || $(CHECK_DATA) >/dev/null
	@! $(OVERTAKEN) || $(LOCKED) $(SNAKEMAKE) $(GRID) $(if $(FLOCK),--nolock) --until prepare || $(BUSY)
	@$(LOCKED) $(SNAKEMAKE) $(GRID) $(if $(FLOCK),--nolock) || $(BUSY)
	@$(if $(PART),true,$(BIN)/python -m xgrl.report.cli summary $(FOLDER))
	@echo "next:" $(if $(PART),"make pack STUDY=$(STUDY) packs what is finished; make report STUDY=$(STUDY) shows what is there",\
	"open $(REPORT) in a browser;" $(if $(wildcard outputs/reference/$(STUDY)),"make verify STUDY=$(STUDY) compares it with the published one",\
	"make study runs the real one; make lab opens the notebooks"))

tune: $(READY) check-jobs  ## trials of STUDY's block tuning, in parts as a study; then what was selected goes into its file
	@set -e; for stage in 1 2; do parts="$$($(BIN)/python -m xgrl.report.cli tune $(STUDY) --stage $$stage --part "$(PART)")"; \
	[ -z "$$parts" ] || $(MAKE) --no-print-directory study STUDY=$(STUDY)-tuning PART="$$parts"; done
	@$(BIN)/python -m xgrl.report.cli tune $(STUDY)
	@echo "next: git diff params; make pack STUDY=$(STUDY)-tuning packs the trials; make study STUDY=$(STUDY)"

report: $(READY) check-jobs  ## tables, figures and page of what is there of STUDY, complete or not, published packs included; in 2 minutes
	@$(LOCKED) $(BIN)/python -m xgrl.report.cli report $(FOLDER) outputs/reference/$(STUDY) || $(BUSY)

pack: $(READY) check-jobs  ## what is finished of STUDY, a file a checkpoint without weights and texts, in outputs/STUDY/packs
	@$(BIN)/python -m xgrl.report.cli pack $(FOLDER)

unpack: $(READY) check-jobs  ## verify packs of STUDY and take them in, FILE="a.tar.gz b.tar.gz": make study runs what is missing then
	@[ -n "$(FILE)" ] || { echo "name the packs: make unpack STUDY=$(STUDY) FILE=\"a.tar.gz b.tar.gz\""; exit 2; }
	@$(LOCKED) $(BIN)/python -m xgrl.report.cli unpack $(FOLDER) $(FILE) || $(BUSY)

smoke:  ## the whole grid on a tiny random encoder and synthetic data, in two minutes, no download
	@$(MAKE) --no-print-directory study STUDY=smoke

dry-run: $(READY) check-jobs  ## list the jobs of STUDY, or of PART of it, that would run
	$(SNAKEMAKE) -n --quiet rules

unlock: $(READY)  ## after a crash, where flock is missing: release Snakemake's lock
	$(SNAKEMAKE) --unlock

lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: $(READY) lint smoke  ## ruff, smoke study, unit tests, notebooks (nbval), short fuzzing; downloads nothing
	$(PYTEST) -m "not ($(LONG))" --nbval-lax --nbval-current-env --nbval-cell-timeout=300 tests notebooks
	@echo "all tests passed; next: make study, make lab for the notebooks, or make test-all (more tests, longer)"

test-rest: $(READY)  ## what test leaves out: real data and weights (a download), simulations, long fuzzing, faults, kernels, clusters, browser
	HYPOTHESIS_PROFILE=long $(PYTEST) -m "$(LONG) or fuzz" tests

test-all: test  ## all tests
	@$(MAKE) --no-print-directory test-rest

lab: $(READY) smoke  ## JupyterLab, opened at notebooks/00_start_here.ipynb, with the smoke study at hand
	PYTHONWARNINGS="ignore:IProgress not found" $(BIN)/jupyter lab --notebook-dir=. notebooks/00_start_here.ipynb

watch: $(READY) check-jobs  ## TensorBoard on STUDY's curves while it runs, where its file says report_to: [tensorboard]; installs it
	@$(BIN)/python -c "import tensorboard" 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-watch.txt -c requirements.lock
	@mkdir -p $(FOLDER)/tensorboard
	$(BIN)/tensorboard --logdir $(FOLDER)/tensorboard

bench: $(READY)  ## speed side by side with a plain Trainer configuration
	$(BIN)/python -m benchmarks

verify: $(READY) check-names  ## compare outputs/STUDY with the published outputs/reference/STUDY
	@[ -d outputs/reference/$(STUDY) ] || { echo "STUDY=$(STUDY): no published results to compare with; there are some of: $$(ls -d outputs/reference/*/ | xargs -n1 basename | tr '\n' ' ')"; exit 2; }
	@$(BIN)/python -m xgrl.report.cli verify $(FOLDER) outputs/reference/$(STUDY) && echo "next: the same result; README.md says what it means" \
	|| { code=$$?; [ $$code -ne 1 ] || echo "next: another kind of processor differs in the last bits (REPRODUCE.md: what differences mean); the report has this study's own numbers"; exit $$code; }

publish: $(READY) check-names  ## make outputs/STUDY the published results, and the table in README.md or docs/ from it
	$(BIN)/python -m xgrl.report.cli publish $(FOLDER) outputs/reference/$(STUDY)
	! grep -q "<!-- $(STUDY) " README.md docs/*.md || $(BIN)/python -m xgrl.report.cli readme outputs/reference/$(STUDY)/analysis/summary.json README.md docs/*.md
	@echo "next: git diff README.md docs outputs/reference, read it, commit it"

check-hub: $(READY)  ## two rows of every benchmark data set on the hub (needs a network, or XGRL_HUB_MIRROR)
	$(BIN)/python -m xgrl.tasks.check_hub

lock: $(READY)  ## write requirements.lock anew from what is installed
	@{ sed -n '/^#/p' requirements.lock; $(BIN)/python -m pip freeze --exclude-editable | grep -v '^torch=='; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean: check-names  ## remove outputs of STUDY (never outputs/reference)
	rm -rf "$(FOLDER)"
