PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
# Trainings at a time; by default one per GPU, or one per core (8 at most) without.
JOBS ?=

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# pip's own setting `user` cannot work inside a virtual environment.
export PIP_USER := 0

# Targets one after the other, also with `make -j`: dvc lets one command at a time into a clone, set-up is for all.
.NOTPARALLEL:
.PHONY: help repro report docs test lint format hooks kill-test setup smoke lock compare watch unfinished gpu-check parity faces publish pretrained cell submit gather cluster-test

# Networks that are kept in git, about 1 MB each, so that a clone draws images before any training.
PRETRAINED ?= digits/full digits/no_augment

A ?= HEAD
B ?= workspace

help: ## these lines
	@echo "make <target>, from the first line of a fresh clone on: it sets up .venv first"
	@sed -n 's/^\([a-z][a-z -]*\):.*## /  \1\t/p' Makefile | awk -F'\t' '{ printf "%-16s %s\n", $$1, $$2 }'

repro: $(READY) ## everything from nothing to the report; JOBS=n: trainings at a time
	@python -m pipeline.cli repro $(if $(JOBS),--jobs $(JOBS))

# What git holds is enough, in a fresh clone too: nothing else runs, whatever has changed since. The page is not in git:
# where DVC finds nothing to do, the report writes it.
report: $(READY) ## the report alone, from the results in git: runs nothing else
	@dvc repro --single-item report && { test -f reports/index.html || python -m stages.report; }
	@python -m pipeline.matrix.dvc
	@echo "report: $(CURDIR)/reports/README.md and $(CURDIR)/reports/index.html"

# Of DVC's columns those that differ, without hashes of dependencies, dates and lists of the matrix: 140 characters.
experiments: $(READY) ## what experiments changed, and their numbers
	@dvc exp show --only-changed --drop '.*/|matrix.*|Created|(conf|measured|published|results)$$'

# What a target cannot do without is asked for before anything is set up.
DATA_IS := a folder or zip of images, DATA=/path/to/faces.zip
NAME_IS := one of $(notdir $(patsubst %/settings.yaml,%,$(wildcard published/*/settings.yaml)))
CELL_IS := CELL=<dataset>/<variant>/seed<k>, as CELL=digits/full/seed1
ENGINE_IS := ENGINE=slurm or ENGINE=ray
given-%:
	@test -n "$($*)" || { echo "error: $(MAKECMDGOALS): $* is missing: $($*_IS)"; exit 1; }

# Two files of tests at a time.
test: $(READY) ## the test suite
	python -m pytest -n 2 --dist loadfile

lint: $(READY) ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

format: $(READY) ## ruff mends what it can
	ruff check --fix .
	ruff format .

hooks: $(READY) ## both before every commit
	pre-commit install

# Twenty and more real `dvc repro` runs killed at random moments, minutes.
kill-test: $(READY) ## dvc repro killed 24 times, minutes
	python -m pytest -m nightly tests/test_crash.py

# Curves and pictures of the trainings at work.
watch: $(READY) ## TensorBoard on the trainings at work; TEXT=1: lines on the terminal
	@python -m pipeline.cli watch $(if $(TEXT),--text)

# Trainings that were interrupted; make unfinished REMOVE=<key> or REMOVE=all removes their state.
unfinished: $(READY) ## interrupted trainings, which the same command goes on with; REMOVE=<key>|all
	@python -m pipeline.cli unfinished $(if $(REMOVE),--remove $(REMOVE))

RELEASED_IS := a clone of the released code, RELEASED=/path/to/TransGAN
parity: given-RELEASED $(READY) ## the released training loop and this one side by side; RELEASED=<its clone>
	@python -m pipeline.released.parity "$(RELEASED)"

# What only a GPU shows, in less than 20 minutes, into build/gpu_check/; the same command goes on after an interruption.
gpu-check: $(READY) ## what only a GPU shows, in a quarter of an hour
	@python -m benchmarks.gpu_check $(PIECES) $(if $(DATA),--data "$(DATA)") $(if $(SECONDS),--seconds $(SECONDS))

# The matrix on many machines (docs/how-to/cluster.md): make cell CELL=digits/full/seed1; make gather RESTORE=1;
# make submit ENGINE=slurm SBATCH="--partition=gpu --time=24:00:00", or ENGINE=ray ADDRESS=ray://head:10001; GPUS=0 without.
cell: given-CELL $(READY) ## one cell trained, measured and pushed: CELL=digits/full/seed1
	@python -m pipeline.cli worker --cell "$(CELL)"

submit: given-ENGINE $(READY) ## the matrix on many machines: ENGINE=slurm|ray SBATCH="..." GPUS=n
	@python -m pipeline.cli submit --engine "$(ENGINE)" $(if $(ADDRESS),--address "$(ADDRESS)") $(if $(GPUS),--gpus $(GPUS)) -- $(SBATCH)

gather: $(READY) ## which cells are trained there; RESTORE=1 brings them home
	@python -m pipeline.cli gather $(if $(RESTORE),--restore)

# A real SLURM (as root, Debian's packages slurm-wlm and munge) and a real Ray (pip install '.[ray]') on this machine.
cluster-test: $(READY) ## a real SLURM and Ray on this machine, as root
	python -m pytest -m cluster tests/matrix/cluster

PUBLISH = @python -m pipeline.cli publish "$(NAME)" $(if $(DATA),--data "$(DATA)")
publish: given-NAME $(READY) ## a run of published/ trained and kept there: NAME=faces32_rows DATA=/path/to/folder/or.zip
	$(PUBLISH)

faces: NAME := faces32_relativistic
faces: given-DATA $(READY) ## faces at 32 x 32, an evening: DATA=/path/to/folder/or.zip
	$(PUBLISH)

# Copies finished runs (the smallest seed of each) to pretrained/, with a model card each.
pretrained: $(READY) ## finished generators copied to pretrained/
	@python -m pipeline.generators.pretrained $(PRETRAINED)

compare: $(READY) ## two revisions side by side: A=<rev> B=<rev>
	@python -m pipeline.cli compare "$(A)" "$(B)"

docs: $(READY) ## pages from the code, and the site in build/site, without a warning
	python docs/generate.py
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

setup: $(READY) ## the environment alone
	@echo "ready: . $(VENV)/bin/activate"

# The whole pipeline on tiny budgets, in a clone of HEAD that is removed afterwards.
smoke: $(READY) ## the whole pipeline on tiny budgets, in a clone that is removed
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && git clone --quiet . "$$scratch/clone" && cd "$$scratch/clone" && \
	dvc exp run -S profile=smoke -S 'matrix.variants=[grid_attention,full]' -S 'matrix.seeds=[1]' && dvc metrics show && test -s reports/README.md

# uv installs in a quarter of pip's time; where it cannot (a proxy or mirror only pip knows), pip does the same pins.
# The index pip is configured for is uv's too.
# The project itself is installed last, editable and without its dependencies, so that `transgan` is a command.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11, 4) else "error: Python 3.11.4 or newer is needed, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > $(VENV)/uv.txt
	@echo "setup: installing the pinned requirements into $(VENV) (about 6 GB on Linux, half a minute to three minutes)"
	@index="$${PIP_INDEX_URL:-$$($(VENV)/bin/pip config get global.index-url 2>/dev/null)}"; \
	{ $(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt && \
	  env $${index:+UV_DEFAULT_INDEX="$$index"} $(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r requirements.txt; } || \
	{ echo "setup: uv could not; trying pip"; $(VENV)/bin/pip install --disable-pip-version-check --require-hashes -r requirements.txt; }
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: $(READY) ## requirements.txt from requirements.in
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate requirements.in -o requirements.txt
