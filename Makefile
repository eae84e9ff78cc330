# Each target sets up what it needs in .venv of this checkout; only Python 3.10 or later must be installed.
# To use another interpreter:  make test PYTHON=python3.12

PYTHON ?= python3
# Most tests wait for processes, so three at a time keep two cores busy. WORKERS=0 runs them one by one, as plain pytest does.
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# grafana-client's HTTP library replaces urllib3, on which clickhouse-connect depends, unless it is built with this variable set:
# https://github.com/jawah/urllib3.future. requirements/dev.txt makes pip build it here.
export URLLIB3_NO_OVERRIDE := 1
# Tests start hundreds of Pythons; each would compile the package again, which takes 0.1 s.
unexport PYTHONDONTWRITEBYTECODE
UV := 0.13.9

.PHONY: help demo test genesis check lint wheel audit beside docs collector dashboards page dashboards-look bench faults soak format lock clean limits fuzz versions frameworks matrix
.DELETE_ON_ERROR:

help:
	@echo 'make demo       run a real OpenEvolve search offline and show what it recorded; FRAMEWORK=shinka or gepa for another framework'
	@echo 'make test       run every test'
	@echo 'make genesis    record a run of Genesis itself and check it: SOURCE=<a checkout or git URL> (Python 3.12; about five minutes)'
	@echo 'make frameworks compare the record of the newest ShinkaEvolve with its own database (needs the package index)'
	@echo 'make check      lint, format, types, and the built wheel in a fresh environment (Python 3.11 or later)'
	@echo 'make beside     ask pip whether the package installs beside Genesis, ShinkaEvolve, GEPA and DSPy (needs the package index)'
	@echo 'make versions   run the tests of each framework with its oldest and newest version, and of the package with the oldest of all (needs the package index)'
	@echo 'make docs       write the documentation and the API reference as HTML to build/docs'
	@echo 'make audit      check the packages locked in requirements/ for known vulnerabilities (needs the network; part of make check)'
	@echo 'make collector  build the OpenTelemetry Collector for the tests, once, and print its path (needs Go)'
	@echo 'make dashboards regenerate the dashboards and alert rules from grafana/source/'
	@echo 'make dashboards-look  render every dashboard with Grafana'"'"'s packages and look for faults; pictures in build/look (needs Node and Chromium)'
	@echo 'make bench      measure what recording costs and compare it with the limits; BENCHMARKS="emit ingest" runs only these'
	@echo 'make page       build the live page from page/ into the package (needs Node)'
	@echo 'make faults     run every fault of tests/faults with many seeds: make faults SEEDS=20'
	@echo 'make matrix     test every LLM client with every instrumentation of tests/matrix (needs the package index)'
	@echo 'make soak       one fault after another, then compare the ledger with the store: make soak MINUTES=30 SEED=1'
	@echo 'make limits     a burst, a huge prompt, 100,000 individuals, and a thousand per minute for ten minutes: make limits MINUTES=10'
	@echo 'make fuzz       arbitrary input, with a new seed each round: make fuzz MINUTES=10 SEED=1'
	@echo 'make format     format the code and fix what ruff can fix'
	@echo 'make lock       lock requirements of pyproject.toml that are missing from requirements/; ARGS=--upgrade updates everything'
	@echo 'make clean      remove what the other targets created, including .venv'

# OpenEvolve is among the locked requirements; any other framework gets an environment of its own.
FRAMEWORK ?= openevolve
FRAMEWORKS := build/frameworks
demo: $(if $(filter openevolve,$(FRAMEWORK)),$(VENV)/.demo,$(FRAMEWORKS)/$(FRAMEWORK)/.installed)
	$(if $(filter openevolve,$(FRAMEWORK)),$(BIN),$(FRAMEWORKS)/$(FRAMEWORK)/bin)/genesis-otel demo --framework $(FRAMEWORK) $(ARGS)

# Not locked: users get the newest versions that pip finds. ShinkaEvolve pins httpx 0.27, which forces an old OpenAI client;
# one of its dependencies has no wheel.
$(FRAMEWORKS)/%/.installed: pyproject.toml
	'$(PYTHON)' -m venv $(FRAMEWORKS)/$*
	$(FRAMEWORKS)/$*/bin/pip install --quiet --editable '.[embedded,$*]'
	@touch $@

# Without Go the tests of the collector are skipped, with a message; in CI that is a failure. A worker that died would be replaced by one
# that waits for a second file forever (pytest-xdist 3.8), so instead its test fails, and the run ends once the other workers have done what they had begun.
test: $(VENV)/.dev $(if $(shell command -v go 2> /dev/null),collector)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --max-worker-restart 0 $(ARGS)

# What the tests need in an environment of its own (tests/conftest.py, tests/support).
TESTING := 'pytest>=9.2,<10' 'pytest-timeout>=2.4,<3' 'hypothesis>=6.140,<7'

# Genesis is on no package index, needs Python 3.12, and pins older versions of packages used here: it gets an environment of its own.
SOURCE ?= https://github.com/GeorgePearse/Genesis
COMMIT ?= ae9d306662aa4a1ceb82c3b4e727294fb7d6814a
GENESIS_PYTHON ?= python3.12
genesis:
	rm -rf build/genesis/source
	git clone --quiet '$(SOURCE)' build/genesis/source
	git -C build/genesis/source checkout --quiet $(COMMIT)
	'$(GENESIS_PYTHON)' -m venv build/genesis/venv
	build/genesis/venv/bin/pip install --quiet ./build/genesis/source beautifulsoup4 --editable '.[embedded]' $(TESTING)
	build/genesis/venv/bin/pip install --quiet --no-deps --upgrade --target build/genesis/others opentelemetry-instrumentation==0.66b2 \
	    opentelemetry-instrumentation-openai==0.62.4 opentelemetry-semantic-conventions-ai==0.5.1 wrapt==2.5.2
	build/genesis/venv/bin/pytest tests/genesis/source.py $(ARGS)

# If the package index cannot be reached, this prints a message and does not fail.
SHINKA := $(FRAMEWORKS)/shinka/bin
# Shinka closes none of its clients; what the last of them held is collected after all tests, when no warning filter is active.
frameworks:
	@if $(MAKE) --no-print-directory $(FRAMEWORKS)/shinka/.installed && $(SHINKA)/pip install --quiet $(TESTING) \
	opentelemetry-instrumentation-genai-openai openinference-instrumentation-openai; then \
	$(SHINKA)/pip list | grep -i shinka && $(SHINKA)/pytest -p no:unraisableexception tests/shinka/records.py tests/shinka/trouble.py tests/shinka/demo.py $(ARGS); \
	else echo 'NOT RUN: ShinkaEvolve cannot be installed here, so the record of it was not tested' >&2; fi

collector:
	@'$(PYTHON)' scripts/build_collector.py

check: lint wheel audit

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m grafana.source --check
	$(BIN)/python scripts/lock.py --check
	$(BIN)/python scripts/licences.py --check
	$(BIN)/python scripts/build_page.py --check

wheel: $(VENV)/.dev
	rm -rf build/wheel
	$(BIN)/python -m build --outdir build/wheel/dist
	$(BIN)/python -m venv build/wheel/venv
	build/wheel/venv/bin/pip install --quiet build/wheel/dist/*.whl
	build/wheel/venv/bin/genesis-otel --help > build/wheel/help.txt
	test -s build/wheel/help.txt

beside: $(VENV)/.dev
	$(BIN)/python scripts/beside.py $(ARGS)

versions: $(VENV)/.dev
	$(BIN)/python scripts/versions.py $(ARGS)

# From scratch: Sphinx warns only about pages that it reads anew.
docs: $(VENV)/.dev
	rm -rf build/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . build/docs
	@echo "Open $(CURDIR)/build/docs/docs/index.html"

# pip-audit gets an environment of its own, because its dependencies are not ours.
audit:
	'$(PYTHON)' -m venv build/audit
	if build/audit/bin/pip install --quiet 'pip-audit>=2.10,<3'; then build/audit/bin/python scripts/audit.py; \
	else echo 'NOT AUDITED: pip-audit cannot be installed here' >&2; fi

dashboards: $(VENV)/.dev
	$(BIN)/python -m grafana.source

page: $(VENV)/.dev
	$(BIN)/python scripts/build_page.py

# Needs Grafana's own packages (440 MB, from the npm registry) and a browser. Missing tools are reported before anything is installed.
LOOK := grafana/look
LOOK_NEEDS := node npm chromium chromedriver
dashboards-look: $(VENV)/.dev
	@for each in $(LOOK_NEEDS); do command -v $$each > /dev/null || { \
	echo "NO DASHBOARD RENDERED: $$each is not on the PATH (needed: Node 20 or later with npm, Debian's chromium and chromium-driver)" >&2; exit 1; }; done
	npm ci --prefix $(LOOK) --no-progress
	$(BIN)/pytest --numprocesses 0 $(LOOK) $(ARGS)

SEEDS ?= 10
faults: $(VENV)/.dev collector
	$(BIN)/pytest --numprocesses $(WORKERS) tests/faults --seeds $(SEEDS) $(ARGS)

# The clients and their instrumentations get an environment of their own: none of them is a dependency of ours.
MATRIX := build/matrix
matrix: $(VENV)/.dev $(MATRIX)/.installed
	$(MATRIX)/bin/python -m pip list --format freeze | grep --extended-regexp '^(anthropic|cohere|dspy|google-genai|groq|langchain-openai|litellm|mistralai|openai|openinference|opentelemetry-instrumentation|pydantic-ai)'
	MATRIX_PYTHON='$(CURDIR)/$(MATRIX)/bin/python' $(BIN)/pytest --numprocesses $(WORKERS) tests/matrix $(ARGS)

$(MATRIX)/.installed: tests/matrix/requirements.txt pyproject.toml
	'$(PYTHON)' -m venv $(MATRIX)
	$(MATRIX)/bin/pip install --quiet --requirement tests/matrix/requirements.txt --editable .
	@touch $@

SEED ?= 1
soak: MINUTES ?= 30
soak: $(VENV)/.dev collector
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED)

limits fuzz: MINUTES ?= 10
limits: $(VENV)/.dev
	$(BIN)/python -m tests.faults.limits --minutes $(MINUTES)

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

# Fails if a benchmark misses its limits. To run one with its options:  .venv/bin/python benchmarks/emit.py --help
BENCHMARKS ?= emit ingest live rows collector llm_view prices redact panels overhead
bench: $(VENV)/.dev collector
	@missed=; for each in $(BENCHMARKS); do echo "--- $$each"; $(BIN)/python benchmarks/$$each.py || missed="$$missed $$each"; done; \
	test -z "$$missed" || { echo "These missed their limits:$$missed" >&2; exit 1; }

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock:
	'$(PYTHON)' -m venv build/lock
	build/lock/bin/pip install --quiet uv==$(UV) "tomli>=2.2,<3; python_version < '3.11'"
	build/lock/bin/python scripts/lock.py $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# On disk, on Linux with Python 3.11. chdb-core requires pandas and pyarrow, which are a third of the demo's, whether they are used or not.
SIZE_demo := 1.0 GB
SIZE_dev := 1.8 GB

# The locked requirements with their hashes, then the checkout. pip does not check hashes of build requirements: they are installed
# first, and builds are not isolated, so that they use those.
$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: requirements/build.txt requirements/%.txt pyproject.toml
	@command -v '$(PYTHON)' > /dev/null || { echo '$(PYTHON) was not found. Name a Python 3.10 or later: make PYTHON=/path/to/python' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 10) else "$(PYTHON) is Python %d.%d; genesis-otel needs 3.10 or later. Name one: make PYTHON=python3.12" % v)'
	@echo 'Installing into $(VENV): $(SIZE_$*), half a gigabyte of it ClickHouse'"'"'s engine'
	'$(PYTHON)' -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements/build.txt
	$(BIN)/pip install --quiet --require-hashes --requirement requirements/$*.txt --no-build-isolation
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
