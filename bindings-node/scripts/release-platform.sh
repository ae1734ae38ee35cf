#!/bin/sh
# Builds the addon of this platform as it is shipped, tests it with everything that a release must pass, and packs it into DIR. Runs
# on a developer's machine, and in a bare image of AlmaLinux 8 (glibc 2.28, the oldest that Node 20 runs on), Alpine or Debian, where it
# installs first what is not there.
#
#     bindings-node/scripts/release-platform.sh DIR

set -eu
out="${1:?give a folder for the archives}"
root="$(cd "$(dirname "$0")/../.." && pwd)"
mkdir -p "$out"
out="$(cd "$out" && pwd)"

have() {
    command -v "$1" >/dev/null 2>&1
}

if ! { have cc && have node && have bash && have curl && have openssl; }; then
    if have dnf; then
        dnf -y module enable nodejs:20
        dnf -y install gcc gcc-c++ make nodejs npm bash curl openssl tar gzip python3
    elif have apk; then
        apk add --no-cache build-base linux-headers nodejs npm bash curl openssl tar python3
    elif have apt-get; then
        apt-get update
        apt-get install -y --no-install-recommends build-essential nodejs npm bash curl openssl ca-certificates python3
    else
        echo 'a C compiler, Node 20.17, bash, curl and openssl are needed, and nothing here installs them' >&2
        exit 1
    fi
fi
if ! have cargo; then
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal
    PATH="$HOME/.cargo/bin:$PATH"
fi
# On musl, Rust links the C library in by default, and what Node loads must not have one of its own.
if node -p 'process.report.getReport().header.glibcVersionRuntime' | grep -q undefined; then
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=-crt-static"
    export RUSTFLAGS
fi

cd "$root"
PROFILE=dist bash scripts/test-node.sh
cargo test --release -p kitedb-core --test engine crash
node bindings-node/scripts/pack.mjs "$out"
