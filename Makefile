# `make` alone says what there is. Everything runs from .venv, which tools/bootstrap.sh makes and keeps current.
.DEFAULT_GOAL := help
.PHONY: help demo stop test check fix lint types firmware-types imports bootstrap-dev
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
TYPED := tariff edge controller hardware simulators/einlass_sim cli firmware/lib/einlass_core tests
PYTEST_WORKERS ?= 3
# A test that hangs outside Python is not stopped by its own time limit; this stops the whole run.
PYTEST_SECONDS_MAX ?= 2400

help:
	@echo 'Einlass'
	@echo
	@echo '  make demo            a pool and its car park, all of it simulated; needs no root, asks nothing'
	@echo '                       ARGS="--for 90 --headless --json" passes options on; Ctrl-C ends it'
	@echo '  make stop            ends a demo that runs somewhere else'
	@echo '  make test            everything: lint, types, import rules, all tests (ARGS="-k gate" for some)'
	@echo '  make check           lint, types and import rules only'
	@echo '  make fix             repairs what a machine can repair: format, import order, simple lint'
	@echo
	@echo '  .venv/bin/einlass --help   the product itself'

demo:
	@tools/bootstrap.sh demo && exec $(BIN)/einlass demo $(ARGS)

stop:
	@if [ -x $(BIN)/einlass ]; then exec $(BIN)/einlass stop; else echo 'nothing is installed here, so nothing runs'; fi

# pytest comes last: its summary is the last thing printed.
test: bootstrap-dev
	@tools/install_system.sh
	@$(MAKE) check
	@timeout --foreground --kill-after=10 $(PYTEST_SECONDS_MAX) $(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadgroup $(ARGS)

check: bootstrap-dev
	@$(MAKE) -j2 -k --output-sync=target lint types firmware-types imports

fix: bootstrap-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bootstrap-dev:
	@tools/bootstrap.sh dev

lint:
	@echo '== ruff'
	@$(BIN)/ruff check . || { echo 'Repair what can be repaired: make fix'; exit 1; }
	@$(BIN)/ruff format --check . || { echo 'Repair: make fix'; exit 1; }

types:
	@echo '== mypy --strict (CPython)'
	@$(BIN)/mypy --strict $(TYPED)

firmware-types:
	@echo '== pyright (MicroPython)'
	@$(BIN)/pyright --project firmware/pyrightconfig.json

imports:
	@echo '== import rules'
	@$(BIN)/lint-imports --no-logo --no-cache
