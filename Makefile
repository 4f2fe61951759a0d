# make run | test | lint | benchmark | strip (outputs, before a commit); each makes its own environment first.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DATA ?= kit
MINUTES ?= 5
PRESET ?= cpu
RECIPE ?= modern

.PHONY: run test lint benchmark strip clean

run: $(VENV)/installed
	$(PY) -m helpers.pipeline --data "$(DATA)" --minutes $(MINUTES) --preset $(PRESET) --recipe $(RECIPE) $(if $(RUN),--run "$(RUN)")

test: lint
	$(PY) -m pytest tests

lint: $(VENV)/installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check helpers tests benchmarks

benchmark: $(VENV)/installed
	$(PY) -m benchmarks.quality --data "$(DATA)" --minutes $(MINUTES)

strip: $(VENV)/installed
	$(PY) -m nbstripout --keep-id --extra-keys "metadata.papermill metadata.widgets cell.metadata.papermill cell.metadata.executionInfo cell.metadata.outputId" notebooks/*.ipynb

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(VENV)/installed: requirements.txt constraints.txt
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Python 3.11 or newer is needed; say which: make PYTHON=python3.11'"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -r requirements.txt -c constraints.txt
	touch $@
