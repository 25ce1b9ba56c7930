# Everything happens in .venv; each step leaves a stamp there, so that a second call is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WEIGHTS := $(VENV)/.weights

.PHONY: demo test lint clean

demo: $(WEIGHTS)
	$(BIN)/python run_pipeline.py demo

# Two workers share two cores: nets that took both each would wait for one another.
test: $(WEIGHTS) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(WEIGHTS): $(INSTALLED)
	$(BIN)/python run_pipeline.py setup
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache demo-output
