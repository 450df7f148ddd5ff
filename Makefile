# One word per chore. The only requirement is Python 3.11 or 3.12; everything else is installed into .venv.

PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
JOBS ?= 4
PORT ?= 5000

# Telemetry is off, and Prefect's database is inside the clone.
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export RAY_USAGE_STATS_ENABLED := 0
export PREFECT_HOME ?= $(CURDIR)/.prefect
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run schedule prefect test drills check services docs ui serve clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile | expand -t 18

run: .venv/.run ## install what is needed and run the whole pipeline: corpus, tokenizer, model, scores, registry
	@$(BIN)/python -m pipelines train

schedule: .venv/.run ## retrain every night if there is new data, and serve every flow at http://127.0.0.1:4200 (docs/RETRAINING.md)
	@$(BIN)/python -m pipelines schedule

prefect: .venv/.run ## Prefect's own commands, on the server of make schedule: make prefect ARGS='deployment ls' (docs/SCHEDULE.md)
	@$(BIN)/python -m pipelines prefect $(ARGS)

# More workers than cores: many tests wait for processes that they started.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: .venv/.test ## run every test except the drills
	@$(PYTEST) -m 'not drill'

drills: export PROPERTIES = all
drills: .venv/.test ## run the drills: whole flows in a fresh clone, recovery after kills, and all examples of the property tests
	@$(PYTEST) -m 'drill or hypothesis' \
		$$(grep -rlE --include='test_*.py' 'mark\.drill|^from hypothesis import' tests) # imports no other files

check: .venv/.test ## ruff, mypy --strict and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: .venv/.run ## regenerate docs/SETTINGS.md and docs/COMMANDS.md from the code
	@$(BIN)/python -m seqloom.cli.reference

ui: .venv/.run ## serve MLflow's page on this machine and print the links that compare runs (PORT=... changes the port)
	@$(BIN)/seqloom ui --port $(PORT)

serve: PORT = 8080
serve: .venv/.run ## translate over HTTP with the champion at http://127.0.0.1:8080, for Weblate and others (PORT=... changes the port)
	@$(BIN)/seqloom serve --port $(PORT)

clean: ## remove .venv and the caches of tools; results, runs and data stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src pipelines tests -name __pycache__ -prune -exec rm -rf {} +

# The installation is repeated only if pyproject.toml or constraints.txt has changed. make compares times, which `cp -r`
# changes, so the recipes compare contents too. relocatable.py makes .venv work after `mv` and `cp -r`.
# pip does not compile byte code: most modules are never imported, and compiling them would take most of the time. The
# first import writes it, so PYTHONDONTWRITEBYTECODE, which some container images set, is removed.
unexport PYTHONDONTWRITEBYTECODE
INSTALL = $(BIN)/python -m pip install --no-compile --constraint constraints.txt --build-constraint constraints.txt
MOVABLE = $(BIN)/python deploy/relocatable.py .venv

.venv/.made:
	@test -n '$(PYTHON)' || { echo 'error: seqloom needs Python 3.11 or 3.12 with its venv module; install one, or name one with make PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: pyproject.toml constraints.txt | .venv/.made
	@cat $^ | cmp --silent - $@ || { \
		echo 'Installing the pinned dependencies into .venv: 1 to 3 minutes, most of it the download of torch' && \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt pip && \
		$(INSTALL) $(QUIETLY) --editable '.[pipeline,serve]' && $(MOVABLE) && rm -f .venv/.test; }
	@cat $^ > $@

.venv/.test: .venv/.run
	@cmp --silent $< $@ || { \
		echo 'Installing what the tests and checks need into .venv' && \
		$(INSTALL) --quiet --editable '.[pipeline,serve,hf,ray,slurm,dev]' && $(MOVABLE); }
	@cp $< $@

services: .venv/.test ## install what the tests of PostgreSQL, S3 and the page need, which are skipped without it (Debian's PostgreSQL and Chromium, as root)
	@$(INSTALL) --quiet --editable '.[pipeline,serve,hf,ray,slurm,dev,postgres,s3,services]' && $(MOVABLE)
	@{ test -d /usr/lib/postgresql && command -v chromium >/dev/null; } || { apt-get $(HASTY) --quiet=2 update && \
		DEBIAN_FRONTEND=noninteractive apt-get $(HASTY) --quiet=2 --yes --no-install-recommends install chromium postgresql >/dev/null; }

# Weblate's own classes for tests/services/test_weblate.py. It is GPL, so it has an environment of its own.
.weblate: tests/services/weblate.txt
	@$(PYTHON) -m venv $@
	@$@/bin/python -m pip install --quiet --no-deps weblate==5.14.3
	@$@/bin/python -m pip install --quiet --prefer-binary --requirement $<
	@touch $@

# Fail soon if no Debian mirror answers.
HASTY := -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20

# On a terminal pip shows progress bars; elsewhere its hundreds of lines add nothing to the message above.
QUIETLY := $(shell test -t 2 || echo --quiet)
