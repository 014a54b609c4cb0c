PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test pytest check browser

run: .venv/run
	$(BIN)/streamlit run app.py

test: .venv/test browser
	$(MAKE) --jobs=2 check pytest

pytest: .venv/test
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

browser: .venv/test
	$(BIN)/python -m tests.browser

.venv/run: requirements.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Attune needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)')"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

.venv/test: requirements-dev.txt .venv/run
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@
