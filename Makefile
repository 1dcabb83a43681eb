# Each target sets up what it needs in .venv, once, and again when a requirements file changes.
# Needed beforehand: make and Python 3.11 or later, nothing else. For another Python: make drill PYTHON=python3.12

PYTHON ?= python3
ARGS ?=

VENV := .venv
# Both pin versions that nothing else here can use.
CHECKOV := .venv-checkov
EMULATOR := .venv-emulator
PATRONI := .venv-patroni
RUN := $(VENV)/bin/python
# --no-compile: byte code is written for what is imported, when it is imported; compiling all of it doubles the wait.
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

# ... and is kept: otherwise every synthesis, and every handler of a drill, would compile all its imports again.
unexport PYTHONDONTWRITEBYTECODE

# CDKTF's command line reports its use to HashiCorp unless told otherwise.
export CHECKPOINT_DISABLE := 1

.DEFAULT_GOAL := help
.PHONY: help lab drill drills soak bench simulate test test-core mutants lint rights synth deploy safe-to-apply checkov terraform-check clean

help:
	@echo 'make drill   fail a region over on this machine and watch the writer move (no AWS account needed)'
	@echo '             ARGS="--speed 10 --outage hang" passes options on; ARGS=--help lists them'
	@echo 'make lab     keep such a lab, with a live page in the browser to strike and mend it: http://127.0.0.1:8765'
	@echo 'make drills  run a drill for every outage, trouble and mode (about two hours)'
	@echo 'make soak    strike a lab at random for an hour; ARGS="--minutes 180 --seed 7" for longer'
	@echo 'make bench   measure: run drills at production cadence, a dead and a hanging region in turn (about half an hour)'
	@echo '             ARGS="--runs 3 --outage isolate" passes options on; ARGS="--part cold-start" measures something else'
	@echo 'make simulate  play histories of the product in virtual time, and check what happened (200 by default)'
	@echo '             ARGS="--histories 2000 --seed 1 --minutes 5"; ARGS="--histories 1 --seed 7" tells one as a story'
	@echo 'make test    run the tests; ARGS="-k packaging" passes options on to pytest'
	@echo 'make test-core  run the pure tests only, in seconds: decisions, transitions, messages'
	@echo 'make mutants  break the product in many small ways, one at a time: a named test has to see each (minutes)'
	@echo 'make lint    check style (ruff), types (mypy), imports between floors and the form of the state machines'
	@echo 'make synth   write the Terraform configuration of every stack to cdktf.out/'
	@echo 'make rights  write docs/permissions.md and docs/independence.md: who may do what, and what each workflow asks'
	@echo 'make deploy  apply every stack to AWS in its order, each one planned and found safe first'
	@echo 'make safe-to-apply    say for each stack whether `terraform apply` is safe now, and why not'
	@echo '             ARGS="--stack us-east-1" asks for one stack only'
	@echo 'make checkov          check production against security rules (checkov)'
	@echo 'make terraform-check  deploy every stack to an emulator of AWS, plan around a failover, destroy (about an hour)'
	@echo 'make clean   remove everything that the other targets created'

drill: $(VENV)/.drill
	@$(RUN) -m drills $(ARGS)

lab: $(VENV)/.drill
	@$(RUN) -m drills.live $(ARGS)

drills: $(VENV)/.test
	$(RUN) -m pytest -m drill tests/faults $(ARGS)

soak: $(VENV)/.drill
	@$(RUN) -m drills.soak $(ARGS)

bench: $(VENV)/.test
	@$(RUN) -m drills.bench $(ARGS)

simulate: $(VENV)/.test
	@$(RUN) -m simulation $(ARGS)

# A file of tests stays on one core, and begins where tests/conftest.py puts it; more than four workers run more databases
# at once than a laptop can take.
test: $(VENV)/.test
	$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# What needs no AWS, no database and no Terraform: the loop of somebody who changes a decision.
test-core: $(VENV)/.test
	$(RUN) -m pytest tests/handlers/core $(ARGS)

# Small mistakes in a copy of the product, each of which a named test has to see; the rows are in tests/mutants.
mutants: $(VENV)/.test
	@$(RUN) -m tests.mutants $(ARGS)

lint: $(VENV)/.lint
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(RUN) -m orchestration.asl_format --check

synth: $(VENV)/.test
	$(RUN) app.py

rights: $(VENV)/.test
	@$(RUN) -m tests.rights.documents >/dev/null

deploy: synth
	@$(RUN) -m failoverctl deploy $(ARGS)

safe-to-apply: synth
	@$(RUN) -m orchestration.safe_to_apply $(ARGS)

checkov: $(VENV)/.test $(CHECKOV)/.done
	@$(RUN) -m tests.terraform.checkov --checkov $(CHECKOV)/bin/checkov

terraform-check: $(VENV)/.test $(EMULATOR)/.done
	@$(RUN) -m tests.terraform.check --emulator $(EMULATOR)/bin/python $(ARGS)
	@$(RUN) -m tests.terraform.adopted --emulator $(EMULATOR)/bin/python

# Beside the project, for `make bench ARGS="--part patroni"`.
$(PATRONI)/.done: drills/bench/requirements-patroni.txt
	@$(PYTHON) -m venv --clear $(PATRONI)
	@$(PATRONI)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clean:
	rm -rf $(VENV) $(CHECKOV) $(EMULATOR) $(PATRONI) build cdktf.out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each file below is empty and says by its date what .venv holds: .venv itself, then what a drill needs, then what
# the tests need as well, then what the linters need as well.
$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo 'There is no "$(PYTHON)" here. Install Python 3.11 or later, or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.drill: $(VENV)/.created drills/requirements.txt constraints.txt $(wildcard handlers/requirements-*.txt)
	@echo 'Installing what a drill needs into $(VENV) (once, about half a minute)'
	@$(INSTALL) --requirement drills/requirements.txt
	@$(RUN) -m orchestration.packaging >/dev/null  # fetches the Lambda packages' distributions; no network after this
	@touch $@

$(VENV)/.test: $(VENV)/.drill requirements.txt
	@echo 'Installing what synthesis and tests need into $(VENV) (once, about half a minute)'
	@$(INSTALL) --requirement requirements.txt
	@touch $@

$(VENV)/.lint: $(VENV)/.test requirements-dev.txt
	@echo 'Installing the linters into $(VENV) (once)'
	@$(INSTALL) --requirement requirements-dev.txt
	@touch $@

$(CHECKOV)/.done $(EMULATOR)/.done: .venv-%/.done: tests/terraform/requirements-%.txt $(VENV)/.created
	@echo 'Installing $* into .venv-$* (once)'
	@$(PYTHON) -m venv --clear .venv-$*
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement $<
	@touch $@
