// Writes what `import` loads, `index.mjs` and `replication.mjs`: the names that `require` gives, which a module has to list.
//
//     node scripts/modules.mjs           # writes them
//     node scripts/modules.mjs --check   # whether they are as they would be written

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);

let stale = false;
for (const name of ['index', 'replication']) {
  const place = join(here, `${name}.mjs`);
  const names = Object.keys(require(join(here, `${name}.js`))).sort();
  const text = `// The same for \`import\`: one instance, whichever way it is loaded. Written by scripts/modules.mjs.

import all from './${name}.js';

export const {
${names.map((name) => `  ${name},\n`).join('')}} = all;
`;
  if (!process.argv.includes('--check')) writeFileSync(place, text);
  else if (readFileSync(place, 'utf8') !== text) {
    stale = true;
    console.error(`${name}.mjs does not list what ${name}.js exports: run node scripts/modules.mjs`);
  }
}
process.exitCode = stale ? 1 : 0;
