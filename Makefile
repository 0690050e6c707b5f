# One word per thing to do. `make run` and `make test` need nothing but Python 3.11 or newer.
PYTHON_BIN := .venv/bin/python
.DEFAULT_GOAL := help

.PHONY: help setup setup-dev run test

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## .venv with the locked packages
	@sh config/setup.sh run

setup-dev: ## and with those of tests and checks
	@sh config/setup.sh dev

run: setup ## the whole engine with a demo: web, worker, beat, PostgreSQL and Valkey
	@exec $(PYTHON_BIN) -m config.launcher

test: setup-dev ## the whole test suite against real PostgreSQL and Valkey of its own
	@$(PYTHON_BIN) -m pytest -n 2 -m "not serial"; first=$$?; \
	$(PYTHON_BIN) -m pytest -m serial; second=$$?; \
	[ $$first -eq 0 ] && { [ $$second -eq 0 ] || [ $$second -eq 5 ]; }
