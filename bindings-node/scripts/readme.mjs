// Writes the tours of a README as programs: as a module, as CommonJS, and as TypeScript.
//
//     node scripts/readme.mjs README.md DIR

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [readme, dir] = process.argv.slice(2);
const tours = [...readFileSync(readme, 'utf8').matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
if (tours.length === 0) throw new Error(`${readme} has no code`);
mkdirSync(dir, { recursive: true });
tours.forEach((code, nth) => {
  writeFileSync(join(dir, `tour${nth}.mjs`), code);
  writeFileSync(join(dir, `tour${nth}.mts`), code);
  // Where CommonJS has no `await` of its own, a function has.
  const imports = /^import (.*) from ('.*');$/gm;
  const required = [...code.matchAll(imports)].map(([, names, from]) => `const ${names} = require(${from});`).join('\n');
  writeFileSync(join(dir, `tour${nth}.cjs`), `${required}\n(async () => {${code.replace(imports, '')}})();\n`);
});
