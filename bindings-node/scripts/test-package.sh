#!/usr/bin/env bash
# Packs the package and that of this platform, and looks at both as others do: `publint` and `@arethetypeswrong/cli` at what they say
# of themselves; an empty project that installs them, and runs the tours of the READMEs and of `docs/tour.md` as a module, as CommonJS
# and as TypeScript; bundlers, with an application that uses them; and a platform that there is no addon for.

set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="$here/packaging/node_modules/.bin"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

(cd "$here/packaging" && npm ci --no-fund --no-audit --silent)
node "$here/scripts/pack.mjs" "$scratch/packed"

platform="$(node -p 'require(process.argv[1]).addonPlatform()' "$here/lib/platform.js")"
version="$(node -p 'require(process.argv[1]).version' "$here/package.json")"
main="$scratch/packed/kitedb-core-$version.tgz"
addon="$scratch/packed/kitedb-core-$platform-$version.tgz"
"$tools/publint" run --strict "$main"
"$tools/publint" run --strict "$addon"
"$tools/attw" --no-emoji --format ascii "$main"

mkdir "$scratch/project"
cd "$scratch/project"
printf '{ "private": true }\n' >package.json
# The packages of the other platforms are on no registry: what is optional and not there is left out.
npm install --silent --no-fund --no-audit --no-package-lock --omit=optional "$main" "$addon"
printf '{ "compilerOptions": { "strict": true, "target": "es2022", "lib": ["es2022", "esnext.disposable"], "module": "nodenext", "types": ["node"], "typeRoots": ["%s/node_modules/@types"], "rootDir": "tours", "outDir": "compiled" } }\n' \
    "$here" >tsconfig.json

for readme in "$here/README.md" "$here/../README.md" "$here/../docs/tour.md"; do
    rm -rf tours compiled
    node "$here/scripts/readme.mjs" "$readme" tours
    "$here/node_modules/.bin/tsc" -p .
    for tour in tours/*.mjs tours/*.cjs compiled/*.mjs; do
        run="$(mktemp -d "$scratch/run.XXXXXX")"
        (cd "$run" && node "$scratch/project/$tour" >/dev/null)
        printf 'ran %s of %s\n' "$tour" "${readme#"$here"/}"
    done
done

# What the output has, or the error of a program that is to fail.
expect() {
    local wanted="$1" printed
    shift
    printed="$("$@" 2>&1)" || true
    if ! grep -qF -- "$wanted" <<<"$printed"; then
        printf '%s\nprinted\n%s\nand not %s\n' "$*" "$printed" "$wanted" >&2
        exit 1
    fi
}

cp "$here"/packaging/app/* .
"$tools/esbuild" app.mjs --bundle --platform=node --format=esm --external:@kitedb/core --outfile=bundled.mjs --log-level=warning
expect charles node bundled.mjs
"$tools/esbuild" app.mjs --bundle --platform=node --format=cjs --external:@kitedb/core --outfile=bundled.cjs --log-level=warning
expect charles node bundled.cjs
"$tools/vite" build --config vite.config.mjs
expect charles node vite/app.mjs
# One that takes the package in all the same finds the addon where it is installed, and needs nothing else of it.
"$tools/esbuild" app.mjs --bundle --platform=node --format=cjs --outfile=taken-in.cjs --log-level=error
"$tools/esbuild" app.mjs --bundle --platform=node --format=esm --outfile=taken-in.mjs --log-level=error
mkdir -p "$scratch/taken-in/node_modules/@kitedb"
cp -R "node_modules/@kitedb/core-$platform" "$scratch/taken-in/node_modules/@kitedb/"
cp taken-in.* "$scratch/taken-in/"
for bundle in "$scratch"/taken-in/taken-in.*; do
    expect charles node "$bundle"
    (cd / && expect charles node "$bundle")
done
printf 'bundled by esbuild and by Vite\n'

# A platform without an addon, one whose package is not installed, and a Node that has another one's.
elsewhere='Object.defineProperty(process, "platform", { value: "darwin" })'
expect "@kitedb/core has no addon for darwin-$(node -p process.arch): it runs on linux-x64-gnu" \
    node -e "$elsewhere; require('@kitedb/core')"
rm -r "node_modules/@kitedb/core-$platform"
expect "the addon for $platform is not installed" node -e "require('@kitedb/core')"
printf 'says where it does not run\n'
