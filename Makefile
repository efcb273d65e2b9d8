# The two commands: `make demo` and `make test`. Each sets up all it needs in .venv.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DATA ?= demo-data
HOST ?= 127.0.0.1
PORT ?= 8080
RATE ?= 20
SEED ?= 1
TESTS ?=
# Files of tests go to as many processes as there are cores; JOBS=0 runs them in one, in order.
JOBS ?= auto

.PHONY: help demo test soak check docs format bench fuzz fuzz-api requirements clean

help:
	@echo "make demo    run an invented book and the server on it  (DATA= HOST= PORT= RATE= SEED=)"
	@echo "make test    run the tests                              (TESTS='tests/unit/log'  JOBS=0)"
	@echo "make soak    run those with more seeds and longer histories (TESTS= JOBS=)"
	@echo "make check   lint, types, documents, dangerous calls, secrets"
	@echo "make audit-libraries   known faults of the pinned libraries (needs a network)"
	@echo "make sbom    what the server is made of, as CycloneDX   (build/sbom.json)"
	@echo "make docs    build the documents                        (build/docs/site/index.html)"
	@echo "make bench   measure, beside peers                      (see bench/README.md)"
	@echo "make mutants break central conditions, and say which no test notices  (ONLY='hub desk')"
	@echo "make fuzz    broken input for every decoder             (SECONDS=600)"
	@echo "make test-keycloak   sign in with Keycloak, which is fetched"
	@echo "make fuzz-api   requests made from the description of the interface  (CASES=10000)"
	@echo "make conformance   the Autobahn WebSocket suite         (CASES='9.* 12.* 13.*' leaves some out)"

demo: .venv/server.stamp
	@$(BIN)/fire22 demo --data "$(DATA)" --host "$(HOST)" --port "$(PORT)" --rate "$(RATE)" --seed "$(SEED)"

test: .venv/dev.stamp
	@if command -v npm >/dev/null 2>&1; then $(MAKE) --no-print-directory tests/oidc/node_modules/.package-lock.json; fi
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --durations 10 $(TESTS)

soak: .venv/dev.stamp
	@$(BIN)/python -m pytest -m soak --timeout 900 --numprocesses $(JOBS) --dist load --durations 10 $(TESTS)

# The documents, as a site that needs no network; fails on a dead link, a dead anchor or an undocumented setting.
docs: .venv/docs.stamp
	@$(BIN)/python -m docs

check: .venv/dev.stamp docs check-security
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v npm >/dev/null 2>&1; then $(MAKE) --no-print-directory check-js; \
	else echo "JavaScript types are not checked: npm is missing (apt-get install -y npm)"; fi

# Dangerous calls, secrets that are about to be committed, and requirements without a hash. Needs no network.
# Bandit warns of each part of a text that a `nosec` stands behind; its warnings are shown where it fails.
# Only files with a word that a detector of secrets looks for are given to it, which takes a tenth of the time.
WORDS := passw|secret|pwd|key_?pass|(api|auth|service|account|db|database|priv|private|client)_?key
SHAPES := PRIVATE|eyJ|AKIA|gh[pousr]_|://[^/ ]+:[^/ ]+@
SEARCHED := src tests docs bench clients examples .ci Makefile pyproject.toml $(wildcard *.md)
INVENTED := --exclude-dir=node_modules --exclude-dir=vendor --exclude-dir=vectors --exclude=package-lock.json

.PHONY: check-security audit-libraries sbom
check-security: .venv/dev.stamp
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src 2>/dev/null \
		|| $(BIN)/bandit --quiet --recursive --configfile pyproject.toml src
	@grep -rlZIiE '$(WORDS)|$(SHAPES)' $(INVENTED) $(SEARCHED) \
		| xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	@$(BIN)/python -m pytest --quiet tests/test_requirements.py

# Looks up every pinned library in the advisories of PyPI: needs a network. It fails where one cannot be looked up.
audit-libraries: .venv/security.stamp
	@echo "Looking up the pinned libraries in the advisories of PyPI (needs a network) ..."
	@for file in requirements/*.txt; do \
		echo "$$file"; $(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $$file || exit 1; done

# What the server is made of, as CycloneDX: build/sbom.json.
sbom: .venv/security.stamp
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-format JSON --output-file build/sbom.json requirements/server.txt
	@echo build/sbom.json

.PHONY: check-js
check-js: clients/js/node_modules/.package-lock.json
	cd clients/js && npx --no-install tsc -p . && npx --no-install tsc -p ../../src/fire22/dashboard && npx --no-install tsc -p ../../tests/js

clients/js/node_modules/.package-lock.json: clients/js/package-lock.json
	cd clients/js && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The OpenID provider that the tests sign in with.
tests/oidc/node_modules/.package-lock.json: tests/oidc/package-lock.json
	cd tests/oidc && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Signing in with Keycloak; the first time it is fetched from Maven Central (177 MB), which needs Java and Maven.
KEYCLOAK ?= 26.7.3
KEYCLOAK_HOME := build/keycloak/keycloak-$(KEYCLOAK)

.PHONY: test-keycloak
test-keycloak: .venv/dev.stamp $(KEYCLOAK_HOME)/bin/kc.sh
	@FIRE22_KEYCLOAK="$(CURDIR)/$(KEYCLOAK_HOME)" $(BIN)/python -m pytest -m keycloak tests/security/test_keycloak.py

$(KEYCLOAK_HOME)/bin/kc.sh:
	@command -v mvn >/dev/null || { echo "Maven is missing. This helps:  apt-get install -y maven"; exit 1; }
	mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$(CURDIR)/build/keycloak" \
		-Dartifact=org.keycloak:keycloak-quarkus-dist:$(KEYCLOAK):zip
	$(BIN)/python -m zipfile -e build/keycloak/keycloak-quarkus-dist-$(KEYCLOAK).zip build/keycloak
	@chmod +x $(KEYCLOAK_HOME)/bin/*.sh && touch $@

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev.stamp
	@$(BIN)/python -m bench

SECONDS ?= 600
CASES ?= 10000
SEEDED := $(if $(SEED),--seed $(SEED))

fuzz: .venv/dev.stamp
	@$(BIN)/python -m tests.security.fuzz --seconds $(SECONDS) $(SEEDED)

fuzz-api: .venv/security.stamp
	@$(BIN)/python -m tests.security.api_cases --cases $(CASES) $(SEEDED)

# Pins every requirement anew; needs uv. Addresses of registries stay out: uv.lock is not kept.
requirements:
	uv lock --quiet --upgrade
	uv export --quiet --format requirements-txt --no-emit-project --extra server --no-dev --group build --no-header --no-annotate -o requirements/server.txt
	uv export --quiet --format requirements-txt --no-emit-project --extra server --group dev --no-header --no-annotate -o requirements/dev.txt
	uv export --quiet --format requirements-txt --no-emit-project --only-group docs --no-header --no-annotate -o requirements/docs.txt
	uv export --quiet --format requirements-txt --no-emit-project --only-group security --no-header --no-annotate -o requirements/security.txt

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is missing. This helps:  apt-get install -y python3 python3-venv"; exit 1; fi
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. This helps:  apt-get install -y python3-venv"; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/server.stamp: requirements/server.txt pyproject.toml | .venv/bin/python
	@echo "Installing what the server needs ..."
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/server.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/server.stamp
	@echo "Installing what the tests need ..."
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

.venv/docs.stamp: requirements/docs.txt .venv/server.stamp
	@echo "Installing what builds the documents ..."
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/docs.txt
	@touch $@

.venv/security.stamp: requirements/security.txt .venv/dev.stamp
	@echo "Installing what looks for faults ..."
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/security.txt
	@touch $@

# Takes minutes: every mutant runs the tests that should notice it.
ONLY ?=

.PHONY: mutants
mutants: .venv/dev.stamp
	@$(BIN)/python -m tests.mutants $(ONLY)

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis clients/js/node_modules tests/oidc/node_modules

# The Autobahn WebSocket suite (517 cases, about 15 minutes) against the echo endpoint; AUTOBAHN names its runner.
AUTOBAHN ?= ../shared/tools/autobahn
CASES ?=

.PHONY: conformance
conformance: .venv/server.stamp
	@if [ ! -x "$(AUTOBAHN)" ]; then echo "The suite's runner is not at $(AUTOBAHN); name it with AUTOBAHN=path"; exit 1; fi
	@bash tests/conformance.sh "$(AUTOBAHN)" $(CASES)
