#!/usr/bin/env bash
# Tests what is made of several languages: a replication group of one Rust process (the command), one Node process and one Python
# process, of which each follows and leads; and the endpoints over HTTP (tests/http-conformance/), as the command, a Rust application,
# and the templates for Express and FastAPI answer them. Builds all of them. Wants what scripts/test-ts.sh and scripts/test-python.sh
# want.
#
#     scripts/test-group.sh            # all of it
#     scripts/test-group.sh -k express # arguments go to pytest

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# As the tests are built, so that nothing is built twice.
cargo build --workspace --lib --bins --examples
(cd bindings-node && npm ci --no-fund --no-audit --silent && node scripts/build.mjs --quick)
(cd ts && npm ci --no-fund --no-audit --silent && npm run --silent build)

scripts/python-develop.sh
cd bindings-python

target="$(cargo metadata --format-version 1 --no-deps | "${PYTHON:-python3}" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
KITEDB_COMMAND="$target/debug/kitedb" KITEDB_ROUTER="$target/debug/examples/router" .venv/bin/pytest tests/group "$@"
