# SPDX-License-Identifier: Apache-2.0
# The commands of a developer; tox.ini and .pre-commit-config.yaml run the same. `make help` lists them.

# The virtualenv whose programs are used; without it, those of the caller's PATH.
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install:  ## Install the Debian packages and the virtualenv .venv that everything below needs (Debian 12, root)
	tools/install --for test

.PHONY: lint
lint:  ## Run ruff
	ruff check .

.PHONY: types
types:  ## Run mypy --strict
	python -m mypy

.PHONY: check
check: lint types  ## Run ruff, mypy, and the architecture and unit tests: before each commit
	python -m pytest -q tests/arch tests/unit

.PHONY: test
test: check  ## Run check, then all tests that need no root and no services
	python -m pytest -q tests/api tests/flows tests/contract tests/migrations

.PHONY: test-all
test-all:  ## Run everything, as CI does: also real guests, networks, databases and RabbitMQ (Debian 12, root)
	tools/test

.PHONY: docs
docs:  ## Check that links resolve and that generated pages and diagrams are up to date
	python -m pytest -q tests/arch/test_docs.py

.PHONY: stack
stack:  ## Start every daemon on this machine, with RabbitMQ and PostgreSQL (Debian 12, root); tools/cluster down stops it
	tools/cluster up

.PHONY: package
package:  ## Build the source distribution, and from it the wheel, in dist/
	rm -rf dist
	python -m build --outdir dist .

.PHONY: samples
samples:  ## Write samples of all options and policy rules, with their defaults, to dist/
	mkdir -p dist
	oslo-config-generator --namespace nova_lite --namespace oslo.log --namespace oslo.messaging \
		--namespace oslo.policy --namespace keystonemiddleware.auth_token --output-file dist/nova.conf.sample
	oslopolicy-sample-generator --namespace nova_lite --output-file dist/policy.yaml.sample

.PHONY: clean
clean:  ## Remove what builds and checks leave behind, but not the virtualenv
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
