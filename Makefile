PY := .venv/bin/python

.venv/ready: pyproject.toml constraints.txt
	python3 -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[all,test,lint]"
	touch $@

install: .venv/ready

# the heavy converters, whose tests skip with a message where they are absent
install-heavy: .venv/ready
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[litert]"

demo: .venv/ready
	.venv/bin/shortlist demo

test: .venv/ready
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(PY) -m pytest

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/codespell

# what the service does with anything it is sent; five to ten minutes
fuzz: .venv/ready
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	$(PY) benchmarks/fuzzing.py

bench: .venv/ready
	$(PY) benchmarks/run.py $(if $(DATA),--data $(DATA))

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist

.PHONY: install install-heavy demo test lint fuzz bench clean
