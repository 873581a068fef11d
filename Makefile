# `make demo` and `make test` prepare .venv by themselves and repeat without that work. PYTHON=... chooses the interpreter.
.DEFAULT_GOAL := help
.NOTPARALLEL:
# Without bytecode each process would compile torch's source anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
.DELETE_ON_ERROR:

BIN := .venv/bin
# 3.11 first: for newer ones pip has to compile PyBullet, for minutes.
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3)
DEMO_EXTRAS := classic,pusht
TEST_EXTRAS := $(DEMO_EXTRAS),box2d,bullet,formats,optuna,ray,teleop,tensorboard,dev
# Bytecode is written at first use instead of for all of torch at once: half the time of an installation.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: help demo test check peers format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready-for-demo ## the first tour: demonstrations, a policy learnt from them, its measured success
	$(BIN)/understudy demo

test: check ## everything that a change has to pass: check, the fast tests, the wheel in an empty environment
	@echo "==> tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2
	@echo "==> wheel"
	$(BIN)/python tests/wheel_smoke.py

check: .venv/ready-for-test ## formatting, lint and types
	@echo "==> formatting, lint, types"
	@$(BIN)/ruff format --check . || { echo "error: formatting differs. Remedy: make format"; exit 1; }
	$(BIN)/ruff check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

peers: .venv/ready-for-test build/peers/lerobot/ready build/peers/robomimic/ready build/peers/imitation/ready ## whether LeRobot reads our datasets and plays our policies (8 GB)
	$(BIN)/python tests/peers/check_lerobot.py build/peers/lerobot/bin/python
	$(BIN)/python tests/peers/check_lerobot_policies.py build/peers/lerobot/bin/python

build/peers/lerobot/ready:
	@echo "==> installing LeRobot 0.4.4 into build/peers/lerobot (8 GB)"
	$(BIN)/python -m venv build/peers/lerobot
	build/peers/lerobot/bin/python -m pip install --quiet --disable-pip-version-check lerobot==0.4.4
	@touch $@

build/peers/robomimic/ready:
	@echo "==> installing robomimic 0.3.0 into build/peers/robomimic (5 GB)"
	$(BIN)/python -m venv build/peers/robomimic
	build/peers/robomimic/bin/python -m pip install --quiet --disable-pip-version-check robomimic==0.3.0 six h5py
	@touch $@

# setuptools below 81 still has pkg_resources, which a requirement of imitation's imports.
build/peers/imitation/ready:
	@echo "==> installing imitation 1.0.1 into build/peers/imitation (5 GB)"
	$(BIN)/python -m venv build/peers/imitation
	build/peers/imitation/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 "setuptools<81" imitation==1.0.1
	@touch $@

format: .venv/ready-for-test ## rewrite the source in the project's format
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

clean: ## remove the environment and everything built; runs and data stay
	rm -rf .venv build dist src/understudy.egg-info .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The first suitable interpreter makes the environment; one that cannot is named together with its remedy.
$(BIN)/python:
	@older=; no_venv=; \
	for python in $(PYTHONS); do \
	  version=$$($$python -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue; \
	  if ! $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then older="$$older $$python ($$version)"; \
	  elif ! $$python -c 'import venv, ensurepip' 2>/dev/null; then no_venv="$$no_venv $$python ($$version)"; \
	  else echo "==> making .venv with $$python ($$version)"; exec $$python -m venv --clear .venv; fi; \
	done; \
	echo "error: no Python 3.11 or newer that can make an environment; looked for: $(PYTHONS)"; \
	if [ -n "$$older" ]; then echo "  too old:$$older"; fi; \
	if [ -n "$$no_venv" ]; then \
	  echo "  without the venv module:$$no_venv"; \
	  echo "  remedy: install that module (Debian, Ubuntu: apt install python3-venv)"; \
	else \
	  echo "  remedy: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; \
	fi; exit 1

.venv/ready-for-demo: pyproject.toml constraints.txt $(BIN)/python
	@$(call install,$(DEMO_EXTRAS))
	@touch $@

.venv/ready-for-test: pyproject.toml constraints.txt $(BIN)/python
	@$(call install,$(TEST_EXTRAS))
	@touch .venv/ready-for-demo $@

# An environment whose making was cut short has no pip. OpenCV, which gym-pusht requires, opens libraries of the system.
define install
echo "==> installing understudy[$(1)] into .venv (2 GB, or 6 with CUDA; a minute or more)"; \
$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null || exit 1; \
$(PIP_INSTALL) --constraint constraints.txt --editable ".[$(1)]" || { \
  echo "error: the installation failed; the lines above say why."; \
  echo "  remedy: check the network and the free disk space (df -h .), then repeat; 'make clean' begins anew"; exit 1; }; \
$(BIN)/python -c "import cv2" || { \
  echo "error: OpenCV does not load; the line above names the missing library."; \
  echo "  remedy: Debian, Ubuntu: apt install libgl1 libglib2.0-0"; exit 1; }
endef
