# make play | lab | run | test | test-notebooks | test-colab | lint | benchmark | strip (outputs, before a commit); each makes its own environment first.
# make play: DATA → MINUTES of training → a page that plays. OPEN=no: leave the browser alone. SHARE=yes: a page for others.
# Another Python: make test PYTHON=python3.13; it gets an environment of its own, .venv-python3.13.
# make lab LAB="--no-browser --allow-root": with more words for JupyterLab.
# make lock: choose versions anew for the requirements, keeping those in the constraints that still fit.
PYTHON ?= python3
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
PY := $(VENV)/bin/python
COLAB := $(VENV)-colab
DATA ?= kit
MINUTES ?= 5
PRESET ?= auto
RECIPE ?= modern
OPEN ?= yes
SHARE ?= no

.PHONY: play lab run test test-notebooks test-colab lint benchmark strip lock clean

play: $(VENV)/installed
	@$(PY) -m helpers.run.play --data "$(DATA)" --minutes $(MINUTES) --preset $(PRESET) --open $(OPEN) --share $(SHARE) $(if $(RUN),--run "$(RUN)")

lab: $(VENV)/installed
	$(PY) -m jupyterlab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks/01_data.ipynb $(LAB)

run: $(VENV)/installed
	$(PY) -m helpers.run.make_run --data "$(DATA)" --minutes $(MINUTES) --preset $(PRESET) --recipe $(RECIPE) $(if $(RUN),--run "$(RUN)")

test: lint
	$(PY) -m pytest tests

test-notebooks: $(VENV)/installed
	$(PY) -m pytest tests/run/test_notebooks.py -k "nbval or complete"

# The notebooks and their panels with Colab's kernel and widgets, over the same torch and the same rest.
# As a site folder, that rest has its own .pth files: the classic page needs setuptools' distutils.
# The page looks for anywidget's script beside the kernel's own widgets, so it is installed once more.
test-colab: $(COLAB)/installed
	$(COLAB)/bin/python -m pytest tests/show/test_panels.py tests/run/test_in_browser.py tests/run/test_cell_order.py
	$(COLAB)/bin/python -m pytest tests/run/test_notebooks.py -k "nbval or complete or stop_button"

lint: $(VENV)/installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check helpers tests benchmarks

benchmark: $(VENV)/installed
	$(PY) -m benchmarks.quality --data "$(DATA)" --minutes $(MINUTES)

strip: $(VENV)/installed
	$(PY) -m nbstripout --keep-id --extra-keys "metadata.papermill metadata.widgets cell.metadata.papermill cell.metadata.executionInfo cell.metadata.outputId" notebooks/*.ipynb

clean:
	rm -rf .venv .venv-* .pytest_cache .ruff_cache

$(VENV)/installed: requirements.txt constraints.txt
	$(PYTHON) -c "import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else 'Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is ' + sys.version.split()[0] + ': name another in each command, as in make run PYTHON=python3.13')"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --require-hashes --no-deps -r constraints.txt
	$(PY) -m pip check
	touch $@

$(COLAB)/installed: $(VENV)/installed constraints-colab.txt
	$(PYTHON) -m venv $(COLAB)
	base="$$(cd $(VENV)/lib/python3*/site-packages && pwd)" && echo "import site; site.addsitedir('$$base')" > "$$(echo $(COLAB)/lib/python3*/site-packages)/base.pth"
	$(COLAB)/bin/python -m pip install --require-hashes --no-deps -r constraints-colab.txt
	sed -n '/^anywidget==/,/[^\\]$$/p' constraints.txt > $(COLAB)/anywidget.txt
	$(COLAB)/bin/python -m pip install --require-hashes --no-deps --ignore-installed -r $(COLAB)/anywidget.txt
	$(COLAB)/bin/python -m pip check
	touch $@

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install "uv>=0.9"
	.venv-lock/bin/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements-local.txt -o constraints.txt
	cp constraints.txt constraints-colab.txt
	.venv-lock/bin/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements-colab.txt -o constraints-colab.txt
	rm -rf .venv-lock
