#!/usr/bin/env bash
# Packs the package and that of this platform, installs both into an empty project, and runs the tours of the READMEs there: as a
# module, as CommonJS, and as TypeScript.

set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

node "$here/scripts/pack.mjs" "$scratch/packed"
mkdir "$scratch/project"
cd "$scratch/project"
printf '{ "private": true }\n' >package.json
# The packages of the other platforms are on no registry: what is optional and not there is left out.
npm install --silent --no-fund --no-audit --no-package-lock --omit=optional "$scratch"/packed/*.tgz
printf '{ "compilerOptions": { "strict": true, "target": "es2022", "lib": ["es2022", "esnext.disposable"], "module": "nodenext", "types": ["node"], "typeRoots": ["%s/node_modules/@types"], "rootDir": "tours", "outDir": "compiled" } }\n' \
    "$here" >tsconfig.json

for readme in "$here/README.md" "$here/../README.md"; do
    rm -rf tours compiled
    node "$here/scripts/readme.mjs" "$readme" tours
    "$here/node_modules/.bin/tsc" -p .
    for tour in tours/*.mjs tours/*.cjs compiled/*.mjs; do
        run="$(mktemp -d "$scratch/run.XXXXXX")"
        (cd "$run" && node "$scratch/project/$tour" >/dev/null)
        printf 'ran %s of %s\n' "$tour" "${readme#"$here"/}"
    done
done
