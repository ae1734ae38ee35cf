#!/usr/bin/env bash
# Builds the Node package, checks its types, and runs its tests: from nothing but Rust, Node 20 and a network for the crates and
# packages.
#
#     scripts/test-node.sh
#
#   PROFILE         release: an optimised addon; dist: as it is shipped, which takes minutes to build          [dev]
#   NODE_VERSIONS   other versions of Node to run the tests with as well, from the registry: '22 24'           []
#   KITEDB_OPENS    how often a database is opened and closed by the test that looks for what that leaves      [1000]

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../bindings-node"

heading() {
    printf '\n==== %s\n' "$*"
}

heading 'Node: packages'
npm ci --no-fund --no-audit
heading 'Node: the addon'
case "${PROFILE:-dev}" in
    dev) node scripts/build.mjs --quick ;;
    release) node scripts/build.mjs --release ;;
    dist) node scripts/build.mjs ;;
    *) echo "PROFILE is none of dev, release, dist: $PROFILE" >&2 && exit 2 ;;
esac
heading 'Node: types'
npm run --silent types
heading 'Node: tests'
npm test --silent
for version in ${NODE_VERSIONS:-}; do
    heading "Node: tests, with Node $version"
    npx --yes --package "node@$version" node --version
    npx --yes --package "node@$version" node --expose-gc --test test/*.test.js
done
heading 'Node: the benchmark: that it runs, not what it measures'
node --expose-gc bench/main.mjs --quick
heading 'Node: the package, installed elsewhere'
scripts/test-package.sh
if [ "${PROFILE:-dev}" = dist ]; then node scripts/sizes.mjs --check; fi
