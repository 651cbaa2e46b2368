# Everything a fresh machine needs is Python 3.11+ and make; the first command installs the rest.
PYTHON ?= python3
UV := .tools/uv/bin/uv
RUN := .venv/bin/python
export UV_PYTHON_DOWNLOADS = never

.PHONY: help demo test up down lint types imports unit long bench package lock clean
.DEFAULT_GOAL := help

help: ## list every command
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(UV): tools/uv.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; ok = (3, 11) <= v < (3, 14); sys.exit(0 if ok else "Factory Runtime needs Python 3.11, 3.12 or 3.13; this is %d.%d. Say which: make PYTHON=python3.12" % v)'
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/uv.txt
	@touch $@

# What the demo and a running system need: neither Azure SDKs nor test tools.
.venv/.local: $(UV) uv.lock pyproject.toml
	@$(UV) sync --quiet --locked --inexact --python $(PYTHON) --no-default-groups --group local
	@touch $@

.venv/.all: $(UV) uv.lock pyproject.toml
	@$(UV) sync --quiet --locked --inexact --python $(PYTHON)
	@touch $@ .venv/.local

demo: .venv/.local ## the main job, start to end: deploy, promote, break, roll back, survive a kill
	@$(RUN) -m cli.demo

up: .venv/.local ## start the system and leave it running
	@.venv/bin/runtimectl up

down: .venv/.local ## stop everything that was started here
	@.venv/bin/runtimectl down

test: .venv/.all lint types imports unit ## every check that every commit passes

lint: .venv/.all
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check .

types: .venv/.all
	@.venv/bin/mypy --no-error-summary

imports: .venv/.all
	@.venv/bin/lint-imports --no-cache > .venv/imports.txt || (cat .venv/imports.txt; exit 1)

unit: .venv/.all
	@.venv/bin/pytest -q -n 2 --dist loadgroup -m "not long" $(PYTEST)

long: .venv/.all ## the long tests, then line coverage of everything that was run with --cov
	@.venv/bin/pytest -q -n 2 --dist loadgroup -m long --cov --cov-append --cov-report= $(PYTEST)
	@.venv/bin/coverage report --fail-under=90

bench: .venv/.all ## every benchmark beside its peer; ratios, not times; 3 = a peer was not measured
	@$(RUN) -m benchmarks

package: .venv/.all ## make package APP=environments: the folder that Azure, Core Tools and the host take
	@$(RUN) -m tools.package $(APP)

lock: $(UV) ## resolve again and write uv.lock and requirements.txt
	@$(UV) lock --python $(PYTHON)
	@$(UV) export --quiet --locked --no-default-groups --group azure --no-emit-project --no-header --format requirements-txt -o requirements.txt

clean: ## remove what was installed and built here (not the state of a running system)
	@rm -rf .venv .tools build dist
