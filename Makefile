# The short names of what people do here. `make up` and `make test` need git, make and CA
# certificates only; what else is missing they install (Debian) or name (elsewhere).

BOOTSTRAP := sh ops_platform/local/bootstrap.sh
BIN := .venv/bin
# Three processes on two cores: the tests wait for servers as long as they compute. Their order is in turns.py.
WORKERS ?= 3
# What codespell reads; its exceptions are in pyproject.toml.
PROSE := ops_platform ops_platform_tests docs sql dashboards *.md Makefile setup.py pyproject.toml
# The long tests start whole stacks: of four at a time, on two cores, some do not start in time.
FULL_WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --dist loadgroup --no-loadscope-reorder

COMPILE := PYTHONPATH=build/uv $(BIN)/python -m uv pip compile --universal --python-version 3.11 --no-strip-extras \
	--generate-hashes --no-annotate --no-header
SBOM := --pyproject pyproject.toml --spec-version 1.6 --output-reproducible --validate

# Images set it; every start and every test would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up down status load test test-fast test-full bench dashboards lint format lock sbom

up: ## everything: packages, .venv, the embedded stack, the first backups
	@$(BOOTSTRAP) run
	@$(BIN)/ops-platform up

down: ## stop all that `up` started; the state stays
	@$(BOOTSTRAP) python
	@$(BIN)/ops-platform down

status: ## what runs, and where
	@$(BOOTSTRAP) python
	@$(BIN)/ops-platform status

load: ## drives the demo product of the running stack to saturation: where does each objective break?
	@$(BOOTSTRAP) python
	@$(BIN)/ops-platform load

test: ## against real services on ports and state of its own
	@$(BOOTSTRAP) run
	$(PYTEST) -n $(WORKERS) -m "not full"

test-fast: ## the pure part, in some seconds: fewer examples of properties, no programs started
	@$(BOOTSTRAP) python
	$(BIN)/python -m ops_platform_tests.halves

test-full: ## the long matrices on top of `make test`
	@$(BOOTSTRAP) full
	$(PYTEST) -n $(FULL_WORKERS) -m full

bench: ## ratios side by side, and bench.json
	@$(BOOTSTRAP) run
	$(BIN)/python -m ops_platform_tests.benchmarks

dashboards: ## makes Grafana's dashboards anew (dashboards/grafana/dashboards)
	@$(BOOTSTRAP) python
	$(BIN)/python -m ops_platform.grafana

lint: ## style, docstrings, spelling and types; the rules of the house are tests (test_house.py, test_architecture.py)
	@$(BOOTSTRAP) python
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $(PROSE)
	$(BIN)/mypy

format:
	@$(BOOTSTRAP) python
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## resolve the lock files anew, for all supported Pythons
	@$(BOOTSTRAP) python
	$(BIN)/python -m pip install --quiet --target build/uv uv
	$(COMPILE) --upgrade --extra build --extra celery --extra kubernetes --extra local --extra test --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra build --constraint requirements.lock \
		--output-file requirements-production.lock pyproject.toml
	$(COMPILE) --extra build --extra celery --constraint requirements.lock \
		--output-file requirements-celery.lock pyproject.toml
	$(COMPILE) --extra build --extra kubernetes --constraint requirements.lock \
		--output-file requirements-kubernetes.lock pyproject.toml
	$(COMPILE) --upgrade --group tools --output-file requirements-tools.lock

# Apart from .venv: some of their packages are other versions of what runs.
build/tools/.complete: requirements-tools.lock
	@$(BOOTSTRAP) python
	rm -rf build/tools
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes --target build/tools --requirement $<
	touch $@

sbom: build/tools/.complete ## what an installation holds, as CycloneDX 1.6: build/sbom-production.json and build/sbom.json
	PYTHONPATH=build/tools $(BIN)/python -m cyclonedx_py requirements $(SBOM) \
		--output-file build/sbom-production.json requirements-production.lock
	PYTHONPATH=build/tools $(BIN)/python -m cyclonedx_py requirements $(SBOM) --output-file build/sbom.json requirements.lock
