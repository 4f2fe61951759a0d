# make run | test | test-newest | lint | benchmark | strip (outputs, before a commit); each makes its own environment first.
# make lock: choose versions anew for requirements.txt, keeping those in constraints.txt that still fit.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
NEWEST := .venv-newest
DATA ?= kit
MINUTES ?= 5
PRESET ?= cpu
RECIPE ?= modern

.PHONY: run test test-newest lint benchmark strip lock clean

run: $(VENV)/installed
	$(PY) -m helpers.run.make_run --data "$(DATA)" --minutes $(MINUTES) --preset $(PRESET) --recipe $(RECIPE) $(if $(RUN),--run "$(RUN)")

test: lint
	$(PY) -m pytest tests

# The notebooks and panels on the newest kernel and widgets, over the same torch and the same rest.
test-newest: $(NEWEST)/installed
	$(NEWEST)/bin/python -m pytest tests/show/test_panels.py tests/run/test_notebooks.py -k "widget or panel or nbval or complete or stop_button"

lint: $(VENV)/installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check helpers tests benchmarks

benchmark: $(VENV)/installed
	$(PY) -m benchmarks.quality --data "$(DATA)" --minutes $(MINUTES)

strip: $(VENV)/installed
	$(PY) -m nbstripout --keep-id --extra-keys "metadata.papermill metadata.widgets cell.metadata.papermill cell.metadata.executionInfo cell.metadata.outputId" notebooks/*.ipynb

clean:
	rm -rf $(VENV) $(NEWEST) .pytest_cache .ruff_cache

$(VENV)/installed: requirements.txt constraints.txt
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Python 3.11 or newer is needed; say which: make PYTHON=python3.11'"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --require-hashes --no-deps -r constraints.txt
	$(PY) -m pip check
	touch $@

$(NEWEST)/installed: $(VENV)/installed
	$(PYTHON) -m venv $(NEWEST)
	(cd $(VENV)/lib/python3*/site-packages && pwd) > "$$(echo $(NEWEST)/lib/python3*/site-packages)/base.pth"
	$(NEWEST)/bin/python -m pip install --upgrade ipywidgets ipython ipykernel
	touch $@

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install "uv>=0.9"
	.venv-lock/bin/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements.txt -o constraints.txt
	rm -rf .venv-lock
