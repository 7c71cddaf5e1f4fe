# Two commands to begin with: `make demo` and `make test`. Each makes what it needs and reuses it the next time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCKS := requirements/dev.txt requirements/node.txt

.PHONY: demo test lint format bench screenshots snapshots lock clean

demo: $(STAMP)
	@$(BIN)/muva demo

# Workers share one estate; `loadgroup` keeps the tests that break an estate on one worker.
test: $(STAMP)
	$(BIN)/python scripts/test $(TESTS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# toolong wants an older Textual, so it lives in an environment of its own; without it its row says so.
bench: $(STAMP) .bench-venv/.installed
	MUVA_BENCH_TOOLONG=$(CURDIR)/.bench-venv/bin/tl $(BIN)/python -m bench $(FIGURES)

.bench-venv/.installed: requirements/bench.txt
	@$(PYTHON) -m venv .bench-venv && .bench-venv/bin/python -m pip install --quiet \
	  --disable-pip-version-check --require-hashes -r $< || echo "toolong could not be installed"
	@mkdir -p .bench-venv && touch $@

screenshots: $(STAMP)
	$(BIN)/python docs/screenshots.py

# Accept the screens as they are now; look at every one of them first.
snapshots: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q --snapshot-update tests

# A second run finds the stamp and touches no network.
$(STAMP): pyproject.toml $(LOCKS) scripts/install
	@scripts/install "$(PYTHON)" "$(VENV)"
	@touch $(STAMP)

# Write the pinned versions with their hashes anew (needs uv).
lock:
	scripts/lock

clean:
	rm -rf $(VENV) .bench-venv .mypy_cache .ruff_cache .pytest_cache
