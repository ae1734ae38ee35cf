// Says of each build which modules it has, so that it can stand in any package.
import { writeFileSync } from 'node:fs'

for (const [folder, type] of [
  ['esm', 'module'],
  ['cjs', 'commonjs'],
]) {
  writeFileSync(new URL(`dist/${folder}/package.json`, import.meta.url), `${JSON.stringify({ type })}\n`)
}
