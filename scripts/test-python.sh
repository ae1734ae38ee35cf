#!/usr/bin/env bash
# Builds the Python package into a venv of its own and tests it: types, the stubs against what was built, the tests, and the code in
# its README. scripts/test-python-package.sh tests what is shipped. Wants Rust, Python 3.11 with venv, and a network for the packages.
#
#     scripts/test-python.sh            # all of it
#     scripts/test-python.sh -k graph   # arguments go to pytest
#
# PROFILE is that of scripts/python-develop.sh.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../bindings-python"

../scripts/python-develop.sh
bin="$PWD/.venv/bin"

"$bin/mypy"
"$bin/pyright" --warnings
# What the stubs say is what the extension has: names, arguments, defaults; and what it says of them.
"$bin/python" ../scripts/python-stubs.py --check
MYPYPATH=python "$bin/stubtest" kitedb._kitedb --mypy-config-file pyproject.toml --allowlist stubtest-allowed.txt
"$bin/pytest" "$@"
