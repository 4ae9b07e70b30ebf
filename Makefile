# The two main commands are `make demo` and `make test`. Both first set up .venv if it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := plugins/gan plugins/vae plugins/ae plugins/sequence
SOURCES := pyproject.toml constraints.txt $(PLUGINS:=/pyproject.toml)
DEMO := reports/demo
COMPARED := reports/compared
SITE := build/site
BASELINE := benchmarks/baselines/digits.json
# Quality only: times and memory from a different machine than the baseline's are refused. Few numbers, because each takes
# power from the others; docs/ci.md shows what such a gate detects.
FAIL_ON := fd>10%,reconstruction_mse>5%,bits_per_dim>1%
# Plugins that wrap third-party libraries: examples, in a separate environment, so that no test depends on these libraries.
ADAPTERS := plugins/pythae plugins/diffusers plugins/observers
# Not trackio: version 0.43 requires a Pillow older than the pinned one.
TRACKERS := [tensorboard,mlflow,wandb]
ADAPTED := .venv-adapters
BUILDING := .venv-dist
# Otherwise the tests' workers, and every process that they start, compile genbench and the tests anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint types site bench cuda gpu counters compare baseline checks mutants slurm adapters map dist clean help

help:  ## Show the available targets.
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## Train gan, dcgan, vae and ae on the digits and write a report (about 5 minutes).
	$(BIN)/genbench run benchmarks/digits.toml --out $(DEMO)
	@echo
	@echo "Open $(DEMO)/report.html, or report.md"

# Most tests keep only one core busy, with one thread, and some wait for others' processes: one more file at a time than
# there are cores leaves none idle. The default order runs the files with the fewest tests last; it is turned off because
# those take longest.
test: $(VENV)/.installed  ## Run all tests (about 9 minutes on 2 cores).
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $$($(BIN)/python -c 'import os; print(min(8, os.cpu_count() + 1))') \
	  --dist loadfile --no-loadscope-reorder --benchmark-disable

check: lint types test  ## Run everything that CI checks: ruff, mypy, tests.

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	@# mypy does not follow the import hooks of editable installs, so it is given the plugins' paths.
	MYPYPATH=$(subst $(eval) ,:,$(PLUGINS)) $(BIN)/mypy -p genbench $(foreach plugin,$(PLUGINS),-p genbench_$(notdir $(plugin)))

site: $(VENV)/.site-installed  ## Build the documentation into build/site/index.html; a warning or a broken link is an error.
	rm -rf $(SITE)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs/site -b html . $(SITE)
	$(BIN)/python docs/site/links.py $(SITE)

$(VENV)/.site-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

bench: $(VENV)/.installed  ## Time the hot paths (pytest-benchmark) into .benchmarks/latest.json.
	@mkdir -p .benchmarks
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-json=.benchmarks/latest.json --benchmark-columns=median,iqr,rounds

cuda: $(VENV)/.installed  ## Run the tests that need an NVIDIA GPU (about 5 minutes); `make test` hides GPUs from all others.
	$(BIN)/pytest -m cuda --benchmark-disable

gpu: $(VENV)/.installed  ## Measure training, extraction and the metrics on a GPU into reports/gpu/ (about 10 minutes).
	$(BIN)/python benchmarks/gpu_table.py

counters: $(VENV)/.installed  ## Recount every model's step into benchmarks/counters.json.
	$(BIN)/genbench regress --update-counters

compare: $(VENV)/.installed  ## Rerun the digits and compare their quality with the committed baseline (about 5 minutes).
	rm -rf $(COMPARED)
	@# The comparison decides about a failed cell.
	-$(BIN)/genbench run benchmarks/digits.toml --out $(COMPARED)
	$(BIN)/genbench compare $(BASELINE) $(COMPARED) --fail-on '$(FAIL_ON)' --format markdown --out $(COMPARED)/comparison.md

baseline: $(VENV)/.installed  ## Turn the results of `make compare` into the new baseline: commit it with the change that explains it.
	$(BIN)/genbench baseline $(COMPARED) --out $(BASELINE)

checks: $(VENV)/.installed  ## Run every metric through its sanity checks and write the tables into docs/metrics.md (about 4 minutes).
	$(BIN)/python benchmarks/metric_checks.py

mutants: $(VENV)/.installed  ## Plant bugs by the thousand and list those that no test catches (hours on two cores; resumes where it left off).
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,mutants]'
	OMP_NUM_THREADS=1 $(BIN)/mutmut run
	for plugin in $(PLUGINS); do (cd $$plugin && OMP_NUM_THREADS=1 $(CURDIR)/$(BIN)/mutmut run) || exit 1; done
	$(BIN)/python benchmarks/mutants.py --survivors

slurm: $(VENV)/.installed  ## Test a job array on a one-node Slurm, installed if it is missing (about 10 minutes).
	$(BIN)/python benchmarks/slurm_trial.py

adapters: $(ADAPTED)/.installed  ## Install the adapters of pythae, diffusers and trackers separately, and run their tests and type checks.
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(ADAPTED)/bin/pytest $(ADAPTERS:=/tests)
	MYPYPATH=$(subst $(eval) ,:,plugins/ae $(ADAPTERS)) $(ADAPTED)/bin/mypy $(foreach plugin,$(ADAPTERS),-p genbench_$(notdir $(plugin)))

$(ADAPTED)/.installed: $(SOURCES) $(ADAPTERS:=/pyproject.toml)
	test -x $(ADAPTED)/bin/python || $(PYTHON) -m venv $(ADAPTED)
	$(ADAPTED)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[test]' -e plugins/ae $(patsubst %,-e '%',$(subst observers,observers$(TRACKERS),$(ADAPTERS)))
	@touch $@

# The stamp is written last, so an interrupted installation is resumed; existing packages are not reinstalled
# until a list of requirements changes. An unpinned torch would bring gigabytes of CUDA packages: hence the constraints.
$(VENV)/.installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "genbench needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]' $(PLUGINS:%=-e %)
	@touch $@

map: $(VENV)/.installed  ## Print the rooms of genbench in the order of the import law, with what each imports.
	@$(BIN)/python benchmarks/rooms.py

dist: $(BUILDING)/.installed  ## Build all distributions into dist/ and check their content.
	$(BUILDING)/bin/python benchmarks/distributions.py

$(BUILDING)/.installed: constraints.txt
	test -x $(BUILDING)/bin/python || $(PYTHON) -m venv $(BUILDING)
	$(BUILDING)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt build setuptools twine
	@touch $@

clean:  ## Remove environments, builds and files left behind by tests.
	rm -rf $(VENV) $(ADAPTED) $(BUILDING) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
