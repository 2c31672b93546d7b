# Every target sets up what it needs by itself: .venv from the pinned requirements, again when those change.
# PYTHON=/path/to/python3 names the interpreter to make it with (3.11 or newer).

MINUTES ?= 5
SEEDS ?= 10000
FROM ?= 0
ARGS ?=
# A file's tests stay together: they share the processes they start. JOBS=0 runs in one process, for a debugger.
JOBS ?= 2

PY := .venv/bin/python
RUNS := .venv/.installed
TESTS := .venv/.installed-dev
PEERS := $(if $(wildcard requirements-peers.txt),.venv-peers/.installed)

.PHONY: help run demo test bench chaos simulate teeth lint format pins screenshots
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: $(RUNS) ## start everything on this machine and supervise it until Ctrl-C (PORT=8000)
	@$(PY) -m local run --stop-with-parent

demo: $(RUNS) ## 200 orders while the venue misbehaves; compares both ledgers
	@$(PY) -m proofs.demo $(ARGS)

test: $(TESTS) $(PEERS) ## all tests, on real PostgreSQL and Redis (ARGS="-k cancel")
	@sh local/node_clients.sh
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

bench: $(RUNS) ## performance; writes var/bench.json
	@$(PY) -m proofs.bench $(ARGS)

chaos: $(RUNS) ## faults from outside; writes var/chaos.json (MINUTES=5)
	@$(PY) -m proofs.chaos --minutes $(MINUTES) $(ARGS)

simulate: $(RUNS) ## deterministic simulation; writes var/simulate.json (SEEDS=10000 FROM=0)
	@$(PY) -m proofs.simulate --seeds $(SEEDS) --from $(FROM) $(ARGS)

screenshots: $(TESTS) ## a picture of every state of the pages, in var/screenshots
	@$(PY) -m tests.browser.screenshots $(ARGS)

teeth: $(TESTS) ## takes each safeguard out and tells what notices; writes var/teeth.json
	@$(PY) -m proofs.teeth $(ARGS)

lint: $(TESTS) ## style, format, types, and who may import whom
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo

format: $(TESTS) ## put the code into its format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

pins: ## newest versions that requirements.in allows, pinned again
	@rm -rf var/pins && mkdir -p var
	@sh local/set_up.sh var/pins requirements.in requirements-dev.in
	@var/pins/bin/python .ci/pin.py

$(RUNS): requirements.txt
	@sh local/set_up.sh .venv requirements.txt
	@touch $@

$(TESTS): requirements.txt requirements-dev.txt
	@sh local/set_up.sh .venv requirements-dev.txt
	@touch $@ $(RUNS)

# The tests' independent venue clients pin what the rest cannot live with.
.venv-peers/.installed: requirements-peers.txt
	@sh local/set_up.sh .venv-peers requirements-peers.txt
	@touch $@
