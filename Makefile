# One word per thing to do. `make run` and `make test` need nothing but Python 3.11 or newer.
BIN := .venv/bin
# What only reads the code needs no servers and no secrets.
OFFLINE := LOYALTY_OFFLINE=1
# A folder or file for `make test`, and options of pytest: make test ARGS="tests/unit -k expiry"
ARGS :=
# A test run starts some hundred processes: none should compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help

.PHONY: help setup setup-dev run test check fmt lint types imports migrations bench migrate audit \
	pictures docs-free lock

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{split($$1, t, ":"); printf "  make %-11s %s\n", t[1], $$2}'

setup: ## .venv with the locked packages
	@sh config/setup.sh run

setup-dev:
	@sh config/setup.sh dev

run: setup ## the engine with a demo: web, worker, beat, PostgreSQL and Valkey
	@exec $(BIN)/python -m config.launcher

# Three workers for two cores: one waits most of the time, for processes that it starts and kills.
test: setup-dev ## all tests, against a PostgreSQL and a Valkey of their own
	@$(BIN)/python -m pytest -n 3 -m "not serial" $(ARGS); first=$$?; \
	$(BIN)/python -m pytest -m serial $(ARGS); second=$$?; \
	for code in $$first $$second; do [ $$code -eq 0 ] || [ $$code -eq 5 ] || exit 1; done

check: lint types imports migrations docs-free test ## all that must hold before a commit is pushed

fmt: setup-dev ## format the code, and repair what can be repaired
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

lint: setup-dev
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check

types: setup-dev
	@$(OFFLINE) $(BIN)/mypy

imports: setup-dev
	@$(BIN)/lint-imports

migrations: setup-dev
	@$(OFFLINE) $(BIN)/python -W ignore manage.py makemigrations --check --dry-run

docs-free: ## nothing in the files names a folder of one person's machine
	@! git grep -nIE '(^|[^A-Za-z0-9_.])/(home/[a-z]+|root)/' -- . ':!Makefile'

bench: setup-dev ## the benchmarks, side by side, with a table at the end
	@$(BIN)/python -m benchmarks

migrate: setup ## bring the database up to date
	@$(BIN)/python manage.py migrate

audit: setup ## prove every invariant of the ledger
	@$(BIN)/python manage.py audit_ledger

pictures: setup-dev ## the pictures of docs/ anew, from the demo that `make run` runs in this folder
	@$(BIN)/python -m tests.e2e.pictures

lock: ## requirements/*.txt anew from requirements/*.in; needs uv
	@cd requirements && for name in base embedded dev; do \
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --default-index https://pypi.org/simple $$name.in -o $$name.txt || exit 1; done
