# Everything a newcomer needs: each target makes the environment it wants, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

ROUNDS ?= 5
unexport PYTHONDONTWRITEBYTECODE  # every process that a test starts would compile what nobody kept

.PHONY: help run test explore check format bench clean

help:
	@echo "make run      a whole campaign on the built-in simulated market, with offline agents"
	@echo "make test     the tests"
	@echo "make explore  the property tests with new random examples, ROUNDS times"
	@echo "make check    lint, types, layers"
	@echo "make bench    speed, against named peers"
	@echo "make clean    throw the environments away"

$(VENV)/.runs: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@$(BIN)/python -m compileall -q app agents engine prompts protocol  # what pip does for all that is not editable
	@touch $@

$(VENV)/.develops: $(VENV)/.runs
	$(PIP) --editable '.[dev]'
	@touch $@

run: $(VENV)/.runs
	$(BIN)/maestro campaign run

# In the order of names: ordered by their number of tests, the files of few long ones would come last, and one process
# would be alone with them.
test: $(VENV)/.develops
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

explore: $(VENV)/.develops
	for round in $$(seq $(ROUNDS)); do \
		$(BIN)/python -m pytest -n 2 -m hypothesis --hypothesis-profile explore || exit 1; \
	done

check: $(VENV)/.develops
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.develops
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.develops
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) .bench-venv .pytest_cache .ruff_cache .hypothesis
