# Everything that a newcomer, a maintainer and the CI type. `make help` lists it.

CARGO ?= cargo
# Given to every cargo command that builds: CARGO_FLAGS=--locked, say.
CARGO_FLAGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: postgres ## Three releases of a throw-away shop, two of them bad and put back
	$(CARGO) run $(CARGO_FLAGS) -- demo

.PHONY: test
test: postgres lint tests doc-tests doc ## All that must hold before a change is merged

.PHONY: postgres
postgres: ## Install PostgreSQL's programs if they are missing; no server is left running
	@.ci/postgres

.PHONY: alembic
alembic: ## Install Alembic from PyPI below target/ if it is missing
	@.ci/alembic >/dev/null

.PHONY: pgbouncer
pgbouncer: ## Install PgBouncer if it is missing; none is left running
	@.ci/pgbouncer

.PHONY: faketime
faketime: ## Install libfaketime if it is missing
	@.ci/faketime

.PHONY: lint
lint: ## Formatting, and clippy with warnings denied
	$(CARGO) fmt --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy $(CARGO_FLAGS) --all-targets -- -D warnings

# cargo nextest where it is installed, cargo test otherwise.
.PHONY: tests
tests: postgres alembic pgbouncer ## Unit and integration tests, against real PostgreSQL servers that they start
	@export TMPDIR=$$(.ci/tmpdir); \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		echo '$(CARGO) nextest run $(CARGO_FLAGS)'; $(CARGO) nextest run $(CARGO_FLAGS); \
	else \
		echo '$(CARGO) test $(CARGO_FLAGS) --lib --bins --tests --examples'; \
		$(CARGO) test $(CARGO_FLAGS) --lib --bins --tests --examples; \
	fi

.PHONY: test-crash
test-crash: postgres ## The crash tests at length: every record, both kinds of kill, SEEDS=20 random lives; 50 kills of a migration
	BACKSTAY_CRASH_SEEDS=$(or $(SEEDS),20) $(CARGO) test $(CARGO_FLAGS) --test crash -- --nocapture
	BACKSTAY_CRASH_SEEDS=$(or $(SEEDS),20) $(CARGO) test $(CARGO_FLAGS) --test migrate killed -- --nocapture

# In memory where there is a file system for it: half of the time would be the disk's.
.PHONY: test-chaos
test-chaos: postgres ## Releases while processes, server and network fail: RUNS=100 tales from SEED=1000 on; adds up the calls
	TMPDIR=$$(.ci/tmpdir) \
	BACKSTAY_CHAOS_SEED=$(or $(SEED),1000) BACKSTAY_CHAOS_RUNS=$(or $(RUNS),100) \
	$(CARGO) test $(CARGO_FLAGS) --test chaos releases_in_a_storm -- --nocapture

.PHONY: test-around
test-around: postgres pgbouncer faketime ## All of tests/around: restarts at each line, failovers, networks that are gone for good, clocks that jump; 10 minutes
	TMPDIR=$$(.ci/tmpdir) $(CARGO) test $(CARGO_FLAGS) --test around -- --include-ignored --test-threads=2

.PHONY: test-gcs-emulator
test-gcs-emulator: ## The store on Cloud Storage against an emulator from PyPI
	.ci/gcs-emulator $(CARGO_FLAGS)

.PHONY: test-alembic
test-alembic: ## The revision graph against Alembic (PyPI): 2,000 random graphs; BACKSTAY_SEED=… repeats a run
	$(CARGO) test $(CARGO_FLAGS) --test alembic_graph -- --ignored --nocapture random_graphs_agree

.PHONY: record-alembic
record-alembic: ## What Alembic says about 100 graphs, anew into tests/alembic_graph/recorded.jsonl, for `make test`
	BACKSTAY_SEED=$(or $(BACKSTAY_SEED),100) $(CARGO) test $(CARGO_FLAGS) --test alembic_graph -- --ignored --exact record

.PHONY: test-matrix
test-matrix: postgres ## The backup's round trip on servers 13 to 18, which it fetches (npm, PyPI)
	@.ci/matrix

.PHONY: test-report
test-report: ## The report in a real browser (Chromium): widths, dark mode, speed; PICTURES=folder leaves pictures
	BACKSTAY_CHROMEDRIVER=$$(.ci/chromium) $(if $(PICTURES),BACKSTAY_PICTURES=$(abspath $(PICTURES))) \
	$(CARGO) test $(CARGO_FLAGS) --test report -- --ignored --nocapture

.PHONY: fuzz
fuzz: ## The parsers, fuzzed: TIME=60 seconds for each target, JOBS=1 at a time; TARGET=runbook for one of them
	@TIME=$(TIME) JOBS=$(JOBS) .ci/fuzz $(TARGET)

.PHONY: fuzz-min
fuzz-min: ## What fuzzing learned, without what says nothing new: below target/fuzz-corpus
	@.ci/fuzz-min $(TARGET)

.PHONY: release
release: ## A static binary, a Debian package and a Containerfile below target/dist; manual pages and completions are in them
	@CARGO='$(CARGO)' CARGO_FLAGS='$(CARGO_FLAGS)' .ci/release

.PHONY: doc-tests
doc-tests: ## The examples in the documentation
	$(CARGO) test $(CARGO_FLAGS) --doc

.PHONY: doc
doc: ## The documentation of the library, with warnings denied
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc $(CARGO_FLAGS) --no-deps --document-private-items

.PHONY: bench
bench: postgres ## What the product promises in figures, as ratios
	$(CARGO) bench $(CARGO_FLAGS) --bench figures

.PHONY: bench-migrate
bench-migrate: postgres alembic ## Migrations against Alembic and psql, 500 revisions
	$(CARGO) bench $(CARGO_FLAGS) --bench migrate

.PHONY: bench-backup
bench-backup: postgres ## Backup and restore against pg_dump and pg_restore; 15 minutes, an idle machine, 12 GB of disk
	$(CARGO) bench $(CARGO_FLAGS) --bench backup

.PHONY: bench-graph
bench-graph: ## What the revision graph costs at 100, 1,000 and 10,000 revisions
	$(CARGO) bench $(CARGO_FLAGS) --bench graph
