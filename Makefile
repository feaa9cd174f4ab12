PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: install demo test test-faults soak soak-serving lint system-packages

install: $(VENV)/.installed

# torch first and pinned: a looser range would pull a CUDA build of several GB.
$(VENV)/.installed: pyproject.toml constraints.txt
	@ldconfig -p | grep -q libgomp.so.1 || (apt-get update -qq && apt-get install -y -qq libgomp1) \
	  || echo "libgomp.so.1 is missing and cannot be installed here; LightGBM and implicit need it (Debian: libgomp1)"
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "shopreel needs Python 3.11 or newer; run make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25"
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/shopreel demo $(ARGS)

# The browser and the programs some tests drive; skipped where they are already there.
system-packages:
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium) \
	  || echo "chromium cannot be installed here (apt-get as root is needed); the browser tests will be skipped"
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql) \
	  || echo "PostgreSQL cannot be installed here (apt-get as root is needed); its tests will be skipped"
	@command -v redis-server >/dev/null || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server) \
	  || echo "Redis cannot be installed here (apt-get as root is needed); its tests will be skipped"

# Files of small tests two at a time; those that start clusters one after the other, for two servers on one machine draw
# the ports of their replicas from one range. 5: ARGS="-k NAME" chose nothing of this part.
test: $(VENV)/.installed-dev system-packages
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/parity $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest tests/integration tests/e2e $(ARGS) || [ $$? -eq 5 ]

# What takes minutes: killed drivers, replicas and databases, a full disk, sweeps taken up again, the chain on S3 and PostgreSQL.
test-faults: $(VENV)/.installed-dev system-packages
	$(BIN)/python -m pytest -m faults $(ARGS)

# Twenty minutes of training with a worker killed every minute; ARGS="--minutes 4 --kill-every 30" for less.
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak $(ARGS)

# Half an hour of mixed load: memory, file descriptors and temporary files of every serving process. Not for CI.
soak-serving: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.serving_soak $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
