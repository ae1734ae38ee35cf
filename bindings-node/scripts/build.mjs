// Builds the addon of this platform with cargo, and puts it where the package finds it.
//
//     node scripts/build.mjs             # as it is shipped: takes minutes
//     node scripts/build.mjs --quick     # for tests: built in less time

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import platform from '../lib/platform.js';

const { addonPlatform } = platform;

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const profile = process.argv.includes('--quick') ? 'release' : 'dist';

const built = execFileSync(
  'cargo',
  ['build', '-p', 'kitedb-napi', '--profile', profile, '--message-format', 'json-render-diagnostics'],
  { cwd: here, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] },
);
const artifacts = built.split('\n').filter(Boolean).map((line) => JSON.parse(line));
const addon = artifacts.find((a) => a.reason === 'compiler-artifact' && a.target.name === 'kitedb_napi' && a.target.kind.includes('cdylib'));
if (addon === undefined) throw new Error('cargo built no addon: is crates/kitedb-napi a cdylib?');

mkdirSync(join(here, 'native'), { recursive: true });
const place = join(here, 'native', `kitedb.${addonPlatform()}.node`);
// By a rename, so that a process which has the old one mapped keeps it.
copyFileSync(addon.filenames[0], `${place}.new`);
renameSync(`${place}.new`, place);
console.log(`${place} (${profile})`);
