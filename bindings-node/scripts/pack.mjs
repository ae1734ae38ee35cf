// Packs what is published: the package without an addon, and that of this platform with nothing else. The first depends on the
// second, and on those of the other platforms, as far as one can be installed.
//
//     node scripts/pack.mjs DIR     # writes two archives into DIR, and says their names and sizes: packed, and installed

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import platforms from '../lib/platform.js';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const out = resolve(process.argv[2] ?? '.');
const manifest = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const platform = platforms.addonPlatform();
const [os, cpu, libc] = platform.split('-');
const { version, license, repository, engines, publishConfig } = manifest;

const stage = mkdtempSync(join(tmpdir(), 'kitedb-pack-'));
try {
  const root = join(stage, 'root');
  for (const file of manifest.files.filter((file) => file !== 'native')) cpSync(join(here, file), join(root, file), { recursive: true });
  const { scripts, devDependencies, ...published } = manifest;
  published.files = manifest.files.filter((file) => file !== 'native');
  published.optionalDependencies = Object.fromEntries(platforms.PLATFORMS.map((name) => [`@kitedb/core-${name}`, version]));
  writeFileSync(join(root, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);

  const own = join(stage, platform);
  mkdirSync(own);
  cpSync(join(here, 'native', `kitedb.${platform}.node`), join(own, 'kitedb.node'));
  cpSync(join(here, 'LICENSE'), join(own, 'LICENSE'));
  writeFileSync(join(own, 'README.md'), `# @kitedb/core-${platform}\n\nThe addon of \`@kitedb/core\` for ${platform}.\n`);
  const description = `The addon of @kitedb/core for ${platform}`;
  const addon = { name: `@kitedb/core-${platform}`, version, description, license, repository, engines, publishConfig, os: [os], cpu: [cpu] };
  if (os === 'linux') addon.libc = [libc === 'gnu' ? 'glibc' : libc];
  addon.type = 'commonjs';
  addon.main = 'kitedb.node';
  addon.files = ['kitedb.node', 'README.md', 'LICENSE'];
  writeFileSync(join(own, 'package.json'), `${JSON.stringify(addon, null, 2)}\n`);

  mkdirSync(out, { recursive: true });
  for (const dir of [root, own]) {
    const told = execFileSync('npm', ['pack', '--json', '--pack-destination', out], { cwd: dir, encoding: 'utf8' });
    const [{ filename, unpackedSize }] = JSON.parse(told);
    const archive = join(out, filename.replaceAll('/', '-').replace('@', ''));
    console.log(`${archive} ${statSync(archive).size} ${unpackedSize}`);
  }
} finally {
  rmSync(stage, { recursive: true });
}
