# Needs make, a shell and Python >= 3.11; everything else is installed into .venv and .venv-dev.
# make PYTHON=/path/to/python3.12 chooses the interpreter of a new environment.

WORKERS ?= 2
SHELL := /bin/sh
LOCKS := requirements/build.txt requirements/install.py pyproject.toml
# the first that runs and is new enough
find_python = for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11) ""; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; done; \
	test -n "$$python" || { echo "needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 69; }
bin := .venv-dev/bin
CODE := buffers daemon scoring tests requirements
# tests read nothing from hubs, and keep none of their files in the home directory
quiet := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1

.DEFAULT_GOAL := help
.PHONY: help demo demo-kafka test test-slow lint bench lock clean browser kafka prometheus helm docs test-kube

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: .venv/ready ## the whole path on a recorded stream, in minutes: a shard and a report
	@.venv/bin/sluice demo --out demo $(DEMO)

demo-kafka: demo .venv-dev/ready kafka ## the demo live on a real Kafka: two processes, a reload, a kill
	@$(bin)/python -W ignore -m tests.kafka.demo demo $(ARGS)

test: lint browser kafka prometheus helm ## lint, and every test but the slow ones
	@$(quiet) $(bin)/python -m pytest -m "not slow" -n $(WORKERS)

test-slow: .venv-dev/ready browser kafka prometheus ## the tests that take minutes: kills, simulations, the demo
	@$(quiet) $(bin)/python -m pytest -m slow -n $(WORKERS)

test-kube: .venv-dev/ready kafka ## the chart and the image on a real Kubernetes of one node (needs root)
	@$(quiet) .ci/cluster $(CURDIR)/$(bin)/python -m pytest tests/kube -p no:cacheprovider

lint: .venv-dev/ready ## ruff and mypy --strict
	@$(bin)/ruff check $(CODE)
	@$(bin)/mypy

bench: .venv-dev/ready kafka ## the benchmarks; one of them: make bench ONLY=soak ARGS="--minutes 30"
	@set -e; for file in tests/bench/bench_$(or $(ONLY),*).py; do \
		echo "== $$file"; $(bin)/python -m "$$(echo "$${file%.py}" | tr / .)" $(ARGS); done

lock: ## resolve pyproject.toml into requirements/*.txt (needs uv; make lock UPGRADE=--upgrade)
	@requirements/compile.sh $(UPGRADE)

clean: ## remove environments, caches and the demo
	rm -rf .venv .venv-dev demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

browser: ## Chromium for the tests of the report
	@.ci/browser

kafka: .venv-dev/ready ## a Kafka broker for the tests of the live source
	@.ci/kafka

prometheus: ## Prometheus and promtool for the tests of metrics, alerts and the dashboard
	@.ci/prometheus

helm: ## helm and what the tests of the chart hold it against (needs Go)
	@.ci/helm >/dev/null

docs: .venv-dev/ready ## write what is made from code: pages, dashboard, schema and table of the chart
	@$(bin)/python -m tests.monitoring.board
	@$(bin)/python -m tests.helm.schema
	@$(bin)/python -m tests.helm.readme

.venv/ready: requirements/demo.txt $(LOCKS)
	@$(find_python); "$$python" requirements/install.py .venv build.txt demo.txt

.venv-dev/ready: requirements/dev.txt $(LOCKS)
	@$(find_python); "$$python" requirements/install.py .venv-dev build.txt dev.txt
