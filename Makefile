# `make` lists the targets. Options are variables: make train RUN=mine TIMESTEPS=500000
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# PyTorch's index of CPU builds, used for torch alone; where it cannot be reached, pip's configured indexes are used.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := torch==2.13.0
CYCLONEDX := cyclonedx-bom==7.5.0
SCRIPT_mermaid := mermaid@11.17.2 dist/mermaid.min.js
SCRIPT_iframe-worker := iframe-worker@1.0.4 shim/index.js

RUN ?= first
DIR ?= experiments/$(RUN)
TIMESTEPS ?= 150000
ACTORS ?= 2
TERMS ?=
JOBS ?= 2
MODEL ?=
TRAIN_OPTIONS ?=
TEST_WORKERS ?= 2
TEST_OPTIONS ?=
DRILL ?=
MODELS ?=
TABLE ?=
TASK ?= known
EVALUATED := experiments/evaluation/$(TASK)
ifeq ($(TASK),untold) # the name of version 0.1; its policies stay where they are
override TASK := hidden
endif
TASKS := known robust guaranteed hidden noise library genome-1 genome-2 genome-3 genome-4
TRAINED_FOR_known = --sampling box
ASKED_known = --longest 0.5
TRAINED_FOR_robust = --sampling box --parameter-samples 64
ASKED_robust = --longest 1
TRAINED_FOR_guaranteed = --sampling box --reward guaranteed
ASKED_guaranteed = --longest 0.5
TRAINED_FOR_hidden = --sampling box --hidden-condition --entropy-cost 0.05 --entropy-cost-end 0.002
STEPS = 50000
STEPS_guaranteed = 150000
STEPS_hidden = 600000
STEPS_noise = 400000
TRAINED_FOR_noise = $(TRAINED_FOR_hidden) --parameter-samples 64 --measurement-noise 0.02 --measurement-cost 0.002
# A fifth of the enzyme library is withheld in training and offered in the comparison.
TRAINED_FOR_library = $(TRAINED_FOR_guaranteed) --without-enzymes LBNOX,NDI1,NDE1,UDHA,LDHA,MDH1,AOX,SLC25A11,GLUD1
ASKED_library = --without-enzymes '' --on states --longest 0.2
# Of the cell lines on the core of Recon3D (MODEL=, see docs/recon3d.md) two are withheld in each of four folds.
FOLD_genome-1 := HT29 HOP-62
FOLD_genome-2 := 786-O MALME-3M
FOLD_genome-3 := HS-578T NCI-H226
FOLD_genome-4 := MDA-MB-231 RPMI-8226
LINES := $(foreach fold,1 2 3 4,$(FOLD_genome-$(fold)))
comma := ,
listed = $(subst $() ,$(comma),$(strip $(1)))
GENOME = --model $(or $(MODEL),$(error give the core: MODEL=core.json.gz)) --medium culture --placements 2
$(foreach fold,1 2 3 4,\
	$(eval STEPS_genome-$(fold) = 25000)\
	$(eval TRAINED_FOR_genome-$(fold) = $$(GENOME) --sampling named --cell $$(call listed,$$(filter-out $$(FOLD_$$(TASK)),$$(LINES))))\
	$(eval ASKED_genome-$(fold) = --cell $$(call listed,$$(FOLD_$$(TASK))) --on training --seconds 1))
INPUT ?=
CDK := node_modules/.bin/cdk
AMI ?=
INSTANCE ?=
CDK_OPTIONS ?=
NO_SNAPSHOT ?=
UNSAVED = $(if $(NO_SNAPSHOT),--no-snapshot)
FOLLOW ?=
WATCH ?=
DRY_RUN ?=
JSON ?=
STEP ?=
JOB ?=
OPS_OPTIONS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/installed ## create .venv and install everything

$(VENV)/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than Python 3.11; choose another: make setup PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "error: $(PYTHON) cannot create a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --retries 1 --timeout 20 --extra-index-url "$(TORCH_INDEX)" -c requirements.lock "$(TORCH)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[train,explore,dev,docs,image,infra,ops]'
	@touch $@

.PHONY: lock
lock: setup ## resolve all dependencies again; those of the container go into docker/requirements.lock
	$(BIN)/pip-compile --quiet --all-extras --strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --allow-unsafe --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --extra train --extra profile --extra s3 --constraint requirements.lock --strip-extras --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --output-file docker/requirements.lock pyproject.toml
	sed -i -E 's/^(torch==[0-9.]+)\+cpu$$/\1/' requirements.lock docker/requirements.lock

.PHONY: generate
generate: setup ## rewrite the lines of Dockerfile and docker/limits.conf that follow from deploy.toml
	$(BIN)/python -m infra.generated

.PHONY: train
train: setup ## train a policy (RUN= TIMESTEPS= ACTORS= MODEL= TRAIN_OPTIONS=) and write its report
	$(BIN)/redox train --checkpoint-dir $(DIR) --timesteps $(TIMESTEPS) --num-actors $(ACTORS) --resume auto $(if $(MODEL),--model $(MODEL)) $(TRAIN_OPTIONS)
	$(BIN)/redox report $(DIR)

.PHONY: report
report: setup ## write the report of a run (RUN=)
	$(BIN)/redox report $(DIR)

# Each policy is trained in one process, on one core: the same policies again on the same machine.
.PHONY: evaluation
evaluation: setup ## train five policies for a task and compare them with every method into docs/evaluation (TASK=known, robust, guaranteed, hidden, noise, library, genome-1 to genome-4; TIMESTEPS= JOBS= MODEL=)
	@[ -n "$(filter $(TASK),$(TASKS))" ] || { echo "error: unknown task '$(TASK)'; choose one of: $(TASKS)" >&2; exit 2; }
	printf '%s\n' {1..5} | xargs --max-procs $(JOBS) --replace={} \
		$(BIN)/redox train --checkpoint-dir $(EVALUATED)/seed{} --seed {} --resume auto --num-actors 0 \
			--timesteps $(or $(call given,TIMESTEPS),$(STEPS_$(TASK)),$(STEPS)) --placements 3 $(TRAINED_FOR_$(TASK))
	$(BIN)/redox evaluate $(EVALUATED)/seed{1..5} $(ASKED_$(TASK)) --jobs $(JOBS) --output docs/evaluation/$(TASK)

.PHONY: tensorboard
tensorboard: setup ## show the learning curves of all runs in a browser
	$(BIN)/tensorboard --logdir experiments

.PHONY: check
check: setup ## lint and unit tests side by side, under 3 minutes on 2 cores (TEST_WORKERS= TEST_OPTIONS=)
	@$(MAKE) --no-print-directory --jobs 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) lint unit-tests

.PHONY: unit-tests
unit-tests: setup
	@$(BIN)/pytest --quiet --numprocesses $(TEST_WORKERS) $(TEST_OPTIONS) tests/unit

.PHONY: test
test: setup ## run all tests (TEST_WORKERS= processes, TEST_OPTIONS= for pytest)
	$(BIN)/pytest --numprocesses $(TEST_WORKERS) --durations 25 --durations-min 5 $(TEST_OPTIONS)

.PHONY: drills
drills: setup ## stress tests of minutes to hours that print what was lost (DRILL=kill or host for one, JSON=1, MODELS= a folder of model files)
	REDOX_DRILLS=1 REDOX_JSON="$(JSON)" REDOX_MODELS="$(MODELS)" REDOX_MODELS_TABLE="$(TABLE)" $(BIN)/pytest -s --timeout 3600 $(TEST_OPTIONS) tests/drills$(if $(DRILL),/test_$(DRILL)_drill.py)

$(CDK): package.json package-lock.json
	@command -v npm >/dev/null || { echo "error: the CDK needs node and npm; on Debian and Ubuntu: apt-get install nodejs npm" >&2; exit 2; }
	npm ci --silent
	@touch $@

.PHONY: synth
synth: setup $(CDK) ## write the CloudFormation templates to cdk.out; needs no account
	$(CDK) synth --quiet

.PHONY: diff
diff: setup $(CDK) ## show the changes a deployment would make (AMI=)
	$(CDK) diff $(if $(AMI),-c ami_id=$(AMI)) $(CDK_OPTIONS)

.PHONY: deploy
deploy: setup $(CDK) ## deploy storage and the host's group, or update them (AMI= makes hosts from an image, NO_SNAPSHOT=1 CDK_OPTIONS=)
	$(BIN)/python -m infra.deploy $(if $(AMI),--image $(AMI)) $(UNSAVED) $(CDK_OPTIONS)

.PHONY: apply
apply: setup ## apply the edited setup to hosts, also to a running one without stopping it (NO_SNAPSHOT=1)
	$(BIN)/python -m infra.apply $(UNSAVED)

.PHONY: destroy
destroy: setup $(CDK) ## end the host and remove its stack; the bucket is retained (INSTANCE= confirms its id, NO_SNAPSHOT=1)
	$(BIN)/python -m infra.destroy $(if $(INSTANCE),--instance $(INSTANCE)) $(UNSAVED)

.PHONY: diagram
diagram: setup ## draw the deployment into docs/deployment.md
	$(BIN)/python -m infra.diagram --write

# Operating a deployment: `python -m ops COMMAND`, with its options as variables. A variable with a default above is passed on only where it was given.
given = $(if $(filter command environment,$(firstword $(origin $1))),$2 $($1))
REMOTE_RUN := $(call given,RUN,--run)
SHARED = $(if $(DRY_RUN),--dry-run) $(if $(JSON),--json) $(OPS_OPTIONS)
OPS = $(BIN)/python -m ops

.PHONY: train-remote
train-remote: setup ## queue a run for the host, started or resumed once it is free, and attach to it (RUN= TIMESTEPS= ACTORS= TERMS= TRAIN_OPTIONS= DRY_RUN=1)
	$(OPS) train-remote $(REMOTE_RUN) $(call given,TIMESTEPS,--timesteps) $(call given,ACTORS,--num-actors) $(call given,TERMS,--terms) $(SHARED) $(if $(TRAIN_OPTIONS),-- $(TRAIN_OPTIONS))

.PHONY: queue
queue: setup ## the active run, waiting jobs, and those set aside with their reason (JSON=1)
	$(OPS) queue $(SHARED)

.PHONY: cancel
cancel: setup ## take a waiting job out of the queue (JOB=)
	$(OPS) cancel $(if $(JOB),--job $(JOB)) $(SHARED)

.PHONY: status
status: setup ## state of host and run: step, speed, ages, cost (RUN= WATCH=1 JSON=1)
	$(OPS) status $(REMOTE_RUN) $(if $(WATCH),--watch) $(SHARED)

.PHONY: health
health: setup ## list problems of host and run, with exit code 1 if there are any (RUN= JSON=1)
	$(OPS) health $(REMOTE_RUN) $(SHARED)

.PHONY: logs
logs: setup ## log of the training or of the host (FOLLOW=1)
	$(OPS) logs $(if $(FOLLOW),--follow) $(SHARED)

.PHONY: shell
shell: setup ## open a shell on the host
	$(OPS) shell $(SHARED)

.PHONY: dash
dash: setup ## TensorBoard and Ray's dashboard of the host in a local browser
	$(OPS) dash $(SHARED)

.PHONY: profile
profile: setup ## flame graph of an actor's memory or time on the host
	$(OPS) profile $(SHARED)

.PHONY: stop
stop: setup ## save, end the training and the host (INSTANCE= confirms it)
	$(OPS) stop $(if $(INSTANCE),--instance $(INSTANCE)) $(SHARED)

.PHONY: snapshot
snapshot: setup ## create an image of the host now
	$(OPS) snapshot $(SHARED)

.PHONY: restore
restore: setup $(CDK) ## make hosts from an image, the newest by default, and replace the present one (AMI= INSTANCE= NO_SNAPSHOT=1)
	$(OPS) restore $(if $(AMI),--image $(AMI)) $(if $(INSTANCE),--instance $(INSTANCE)) $(UNSAVED) $(SHARED)

.PHONY: restore-drill
restore-drill: setup ## restore a run into an empty local folder and report how long it took (RUN=)
	$(OPS) restore-drill $(REMOTE_RUN) $(SHARED)

.PHONY: checkpoints
checkpoints: setup ## list a run's checkpoints in the bucket (RUN= JSON=1)
	$(OPS) checkpoints $(REMOTE_RUN) $(SHARED)

.PHONY: pull-checkpoints
pull-checkpoints: setup ## fetch and verify a run's newest checkpoint (RUN= STEP=)
	$(OPS) pull-checkpoints $(REMOTE_RUN) $(if $(STEP),--step $(STEP)) $(SHARED)

.PHONY: cost
cost: setup ## cost of this month and of a run so far, and of retained resources (RUN= JSON=1)
	$(OPS) cost $(REMOTE_RUN) $(SHARED)

.PHONY: preflight
preflight: setup ## list what a deployment needs and what is missing, before anything is made (JSON=1)
	$(OPS) preflight $(SHARED)

.PHONY: quota
quota: setup ## whether the account's quota allows a host of this size
	$(OPS) quota $(SHARED)

.PHONY: orphans
orphans: setup ## resources that cost money and belong to no deployment (JSON=1)
	$(OPS) orphans $(SHARED)

.PHONY: demo
demo: setup $(CDK) ## the whole workflow on this machine, without an account: deploy, train, crash, replacement, pull
	$(OPS) demo $(OPS_OPTIONS)

.PHONY: acceptance
acceptance: setup $(CDK) ## the same on your AWS account, an hour and less than a dollar, with everything removed at the end (DRY_RUN=1)
	$(OPS) acceptance $(SHARED)

.PHONY: bench
bench: setup ## measure speed and memory into docs/benchmarks.md, 20 minutes (INPUT= adds the core of a large model)
	$(BIN)/redox bench --full --output docs/benchmarks.md $(if $(INPUT),--input $(INPUT))

# Scripts that the site would load from elsewhere: diagrams, and the search of pages that are opened as files.
docs/scripts/%.js: Makefile
	mkdir -p $(@D) build
	cd build && tar -xzOf "$$(npm pack --silent $(firstword $(SCRIPT_$*)))" package/$(lastword $(SCRIPT_$*)) > ../$@

.PHONY: explore-picture
explore-picture: setup ## draw docs/explore.png, the page that redox explore serves, in Chromium
	PYTHONPATH=tests/support $(BIN)/python tests/support/explore_picture.py

.PHONY: report-picture
report-picture: setup ## draw docs/report.png, the report of a run, in Chromium (RUN=experiments/first)
	PYTHONPATH=tests/support $(BIN)/python tests/support/report_picture.py $(or $(RUN),experiments/first)

.PHONY: docs
docs: setup docs/scripts/mermaid.js docs/scripts/iframe-worker.js ## build the documentation as a site that needs no network, build/site
	mkdir -p docs/generated
	$(BIN)/typer redox_balancer.cli utils docs --name redox --title "The command line" --output docs/generated/command-line.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

.PHONY: lint
lint: setup ## check style and types of Python, shell and Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck docker/*.sh docker/redox .ci/run .ci/engine ops/simulator/guest/*.sh ops/simulator/guest/journalctl

# The container: Docker with BuildKit, x86-64.
DOCKER ?= docker
setting = $(shell sed -n 's/^$1 = "\{0,1\}\([^" ]*\).*/\1/p' $(or $(REDOX_SETTINGS),deploy.toml))
IMAGE := $(call setting,image)
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
# A tree with changes, also in files that git does not know yet, is named by its content, as a commit is.
BUILT := app docker Dockerfile
SOURCE := $(BUILT) .dockerignore Makefile deploy.toml infra pyproject.toml requirements.lock
DIRTY := $(shell exec 2>/dev/null; export GIT_INDEX_FILE=$$(mktemp) && cp "$$(env -u GIT_INDEX_FILE git rev-parse --git-path index)" "$$GIT_INDEX_FILE" \
	&& git add $(BUILT) && { git diff --cached --quiet HEAD -- $(BUILT) || git ls-files --stage $(BUILT) | git hash-object --stdin \
	| sed -E 's/^(.{12}).*/-dirty-\1/'; }; rm -f "$$GIT_INDEX_FILE")
COMMIT := $(shell echo $(REVISION) | cut -c -12)$(DIRTY)
COMMIT_TIME = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
BUILD_OPTIONS ?=
RUN_OPTIONS ?=
WHEELHOUSE := build/wheelhouse
PLATFORMS := manylinux_2_28_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64 manylinux_2_5_x86_64

# The wheels are those of Linux and Python 3.11 on every client. The lock is complete, so --no-deps: nothing is resolved
# again by the rules of another system.
$(WHEELHOUSE)/.lock: docker/requirements.lock | setup
	rm -rf $(WHEELHOUSE) && mkdir -p $(WHEELHOUSE)
	$(BIN)/pip download --quiet --disable-pip-version-check --retries 1 --timeout 20 --extra-index-url "$(TORCH_INDEX)" \
		--no-deps --only-binary=:all: --implementation cp --python-version 3.11 $(PLATFORMS:%=--platform %) \
		--dest $(WHEELHOUSE) -r docker/requirements.lock
	@ls $(WHEELHOUSE)/torch-*+cpu-*.whl >/dev/null 2>&1 || { echo "error: only the CUDA build of torch was found, which takes gigabytes; name an index with its CPU build: make image TORCH_INDEX=..." >&2; exit 2; }
	@cp docker/requirements.lock $@

.PHONY: image
image: $(WHEELHOUSE)/.lock ## build the training container (BUILD_OPTIONS= for docker build)
	DOCKER_BUILDKIT=1 $(DOCKER) build --platform linux/amd64 $(BUILD_OPTIONS) --build-arg COMMIT=$(REVISION)$(DIRTY) \
		--build-arg COMMIT_TIME=$(COMMIT_TIME) --tag $(IMAGE):$(COMMIT) --tag $(IMAGE):latest .
	@$(DOCKER) image inspect --format '$(IMAGE):$(COMMIT) {{.Size}}' $(IMAGE):$(COMMIT) | awk '{printf "%s, %.0f MB\n", $$1, $$2 / 1e6}'

.PHONY: image-name
image-name: ## print the name of the image that this clone builds
	@echo $(IMAGE):$(COMMIT)

# What a build in the cloud needs, of the tree as it is; the answer is what the build cannot ask git for.
.PHONY: image-source
image-source:
	@mkdir -p build; export GIT_INDEX_FILE=$$(mktemp) && cp "$$(env -u GIT_INDEX_FILE git rev-parse --git-path index)" "$$GIT_INDEX_FILE" \
		&& git add $(SOURCE) && git archive --output build/image-source.zip "$$(git write-tree)" $(SOURCE); rm -f "$$GIT_INDEX_FILE"
	@printf '%s=%s\n' REVISION $(REVISION) DIRTY '$(DIRTY)' COMMIT_TIME $(COMMIT_TIME)

.PHONY: image-test
image-test: image ## run the tests of the container
	REDOX_ENGINE=required $(BIN)/pytest $(TEST_OPTIONS) tests/image

# In an environment of its own: beside rfc3987-syntax, which it needs, every process of Ray takes a second longer to start.
build/cyclonedx/installed: Makefile | setup
	@$(BIN)/python -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check -c requirements.lock $(CYCLONEDX)
	@touch $@

.PHONY: sbom
sbom: build/cyclonedx/installed ## write the container's software bill of materials to build/sbom.json (CycloneDX)
	@PYTHONWARNINGS=ignore::UserWarning build/cyclonedx/bin/cyclonedx-py requirements docker/requirements.lock --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-file build/sbom.json
	@echo build/sbom.json

.PHONY: audit
audit: setup ## write known vulnerabilities of the container's packages to build/vulnerabilities.json
	@mkdir -p build
	@rm -f build/vulnerabilities.json
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement docker/requirements.lock \
		--format json --output build/vulnerabilities.json \
		|| { if [ -s build/vulnerabilities.json ]; then echo "error: known vulnerabilities, see build/vulnerabilities.json" >&2; exit 1; fi; \
		echo "error: the list of vulnerabilities gave no answer for the package above, so the report would have gaps; is PyPI in reach?" >&2; exit 3; }

.PHONY: image-run
image-run: image ## train in the container, into ./experiments (RUN= TIMESTEPS= ACTORS= TRAIN_OPTIONS=)
	@mkdir -p experiments && if [ "$$(id -u)" = 0 ]; then chown $(call setting,uid):$(call setting,uid) experiments; fi
	flags=$$($(BIN)/python -m infra.container --runs experiments); if [ -t 0 ]; then flags="--interactive --tty $$flags"; fi; \
		$(DOCKER) run --rm $(RUN_OPTIONS) $$flags $(IMAGE):$(COMMIT) train --checkpoint-dir $(call setting,data)/experiments/$(RUN) --timesteps $(TIMESTEPS) --num-actors $(ACTORS) $(TRAIN_OPTIONS)

.PHONY: clean
clean: ## remove .venv and caches; runs are kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build
