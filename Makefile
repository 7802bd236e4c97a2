# One entrance for people and for CI. Python 3.11 or newer, make and a C compiler are all that must be there before.
#
#   make demo         an embedded Postgres, a shop that trades, a worker, a live view
#   make test         installs what the tests need, checks, and runs all tests
#   make check        format, lint, types, layers
#   make readers      Spark, and DuckDB's iceberg_scan, read archives and Iceberg tables back (fetches half a gigabyte)
#   make sanitize     tests of the compiled core under AddressSanitizer and UndefinedBehaviorSanitizer (gcc)
#   make bench        all benchmarks; make bench-report writes what they found into docs/benchmarks.md
#   make wheels       a wheel for each CPython from 3.11 to 3.14 into dist/, each tried
#   make reference    docs/commands.md and docs/configuration.md, out of the code
#
# PYTHON=python3.12 chooses an interpreter; ARGS="--seconds 20" is handed to the demo, PYTEST_ARGS="-k slot" to pytest.
# Three processes run the tests, file by file: tests mostly wait. JOBS=0 runs all in one.

PYTHON ?= python3
JOBS ?= 3
# Where it is set, each of the thousands of processes that tests start would compile all of its modules anew.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
CORE := $(wildcard framework/tailrace/core/*.pyx framework/tailrace/core/*.pxd)
# In the order in which the page tells them.
BENCHMARKS ?= stream_rate snapshot beside_debezium latency startup log_append log_read encode big_transaction binlog_rate binlog_snapshot binlog_beside_debezium binlog_latency binlog_transaction archive replica search kafka_stream takeover
SOURCES := framework connectors schemas tests $(wildcard benchmarks/*.py)

.DEFAULT_GOAL := help
.PHONY: help venv system check test pytest demo readers sanitize reference bench bench-report wheels clean

# $(call timed,name,command): run, then say how long it took.
timed = @start=$$(date +%s); echo "== $(1)"; $(2) && echo "== $(1): ok, $$(( $$(date +%s) - start )) s" \
	|| { echo "== $(1): FAILED after $$(( $$(date +%s) - start )) s"; exit 1; }

help:
	@sed -n '3,14s/^# *//p' Makefile

# The stamps make both installs happen once for each content of pyproject.toml and of the compiled core.
.venv/installed-for-tests: pyproject.toml $(CORE) .venv/created
	$(call timed,install,$(BIN)/python -m pip install -qq --editable . --group dev)
	@touch $@ .venv/installed-for-demo

.venv/installed-for-demo: pyproject.toml $(CORE) .venv/created
	$(call timed,install,$(BIN)/python -m pip install -qq --editable ".[demo]")
	@touch $@

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 ..." >&2; exit 2; }
	@.ci/system-packages venv $(PYTHON)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'
	@touch $@

venv: .venv/installed-for-tests

system:
	$(call timed,system packages,.ci/system-packages tests)

check: venv
	$(call timed,ruff format,$(BIN)/ruff format --check .)
	$(call timed,ruff check,$(BIN)/ruff check .)
	$(call timed,mypy,$(BIN)/mypy $(SOURCES))
	$(call timed,layers,$(BIN)/lint-imports)

pytest: venv
	$(call timed,pytest,$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS))

# In this order: quick answers first. A stage that fails ends the run, and so does a pytest that finds no test.
test: system check
	@$(MAKE) --no-print-directory pytest

# Not part of the tests: fetching takes minutes. To be run after a change of what files and tables look like.
readers: system venv
	$(call timed,readers,$(BIN)/pytest tests/lake/engines.py $(PYTEST_ARGS))

# For whoever works on the core; not part of the tests.
sanitize: venv
	$(call timed,sanitize,.ci/sanitize $(PYTEST_ARGS))

demo: .venv/installed-for-demo
	@$(BIN)/tailrace demo $(ARGS)

# A test says when this is due.
reference: venv
	@PYTHONPATH=tests $(BIN)/python -m docs.reference

# Each is a question with options of its own. A benchmark that fails does not keep the others from running.
bench: system venv
	@failed=; for benchmark in $(BENCHMARKS); do \
		start=$$(date +%s); echo "== $$benchmark"; \
		$(BIN)/python benchmarks/$$benchmark.py $(BENCH_ARGS) || failed="$$failed $$benchmark"; \
		echo "== $$benchmark: $$(( $$(date +%s) - start )) s"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

bench-report: venv
	@$(BIN)/python benchmarks/report.py $(BENCHMARKS)

# WHEEL_PYTHONS="python3.12 /opt/python3.14/bin/python3" names interpreters; .ci/wheels says what happens without.
wheels:
	@.ci/wheels $(WHEEL_PYTHONS)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f framework/tailrace/core/*.so
	find framework connectors schemas tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
