#!/usr/bin/env bash
# Tests `@kitedb/core/replication`, which is written in `ts/`, and the templates in `docs/examples/` that use it: they are started
# as their users start them, over the package, and called by a real client. Wants Node 20.17 or newer, Rust, openssl and a network
# for the crates and packages.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../bindings-node"

npm ci --no-fund --no-audit
node scripts/build.mjs --quick

cd ../ts
npm ci
npm run --silent clean
npm run --silent build
npm test --silent
