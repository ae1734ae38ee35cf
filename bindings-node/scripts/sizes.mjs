// How large the packages are: of an addon that was built as it is shipped (`npm run build`).
//
//     node scripts/sizes.mjs           # says it
//     node scripts/sizes.mjs --readme  # writes it into README.md
//     node scripts/sizes.mjs --check   # whether README.md says it, within a tenth

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const readme = join(here, 'README.md');
const table = /(<!-- sizes -->\n\| package \| download, MB \| installed, MB \|\n\|---\|---\|---\|\n)((?:\|.*\n)*)/;

const dir = mkdtempSync(join(tmpdir(), 'kitedb-sizes-'));
let rows;
try {
  const printed = execFileSync(process.execPath, [join(here, 'scripts', 'pack.mjs'), dir], { encoding: 'utf8' });
  rows = printed.trim().split('\n').map((line) => {
    const [archive, packed, installed] = line.split(' ');
    const name = basename(archive).replace(/^kitedb-core/, '@kitedb/core').replace(/-\d.*$/, '');
    return { name, sizes: [packed, installed].map((bytes) => Number(bytes) / 1e6) };
  });
} finally {
  rmSync(dir, { recursive: true });
}

const text = readFileSync(readme, 'utf8');
const lines = rows.map(({ name, sizes }) => `| \`${name}\` | ${sizes.map((size) => size.toFixed(2)).join(' | ')} |\n`).join('');
if (process.argv.includes('--readme')) {
  if (!table.test(text)) throw new Error('README.md has no table of sizes');
  writeFileSync(readme, text.replace(table, `$1${lines}`));
} else if (process.argv.includes('--check')) {
  const stated = text.match(table)?.[2].split('\n').filter(Boolean).map((line) => line.split('|').slice(2, 4).map(Number)) ?? [];
  const faults = rows.filter(({ sizes }, nth) => sizes.some((size, of) => !(Math.abs(size - stated[nth]?.[of]) <= size / 10 + 0.01)));
  if (faults.length > 0) {
    const names = faults.map(({ name }) => name).join(' and ');
    console.error(`README.md does not say how large ${names} is:\n${lines}run node scripts/sizes.mjs --readme`);
    process.exit(1);
  }
} else {
  process.stdout.write(lines);
}
