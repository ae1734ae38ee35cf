// Builds the addon of this platform with cargo, and `@kitedb/core/replication` from `ts/`, where the package finds them.
//
//     node scripts/build.mjs             # as it is shipped: takes minutes
//     node scripts/build.mjs --release   # optimised, in less time
//     node scripts/build.mjs --quick     # for tests, as those of Rust are built
//     node scripts/build.mjs --no-addon  # what is written in TypeScript alone

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import platform from '../lib/platform.js';
import { cargoBuild, here } from './cargo.mjs';

const { addonPlatform } = platform;

function buildReplication() {
  const place = join(here, 'replication');
  rmSync(place, { recursive: true, force: true });
  const tsc = join(here, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '-p', join(here, '..', 'ts')], { stdio: 'inherit' });
  console.log(place);
}

function buildAddon(profile) {
  const artifacts = cargoBuild(profile, '--lib');
  const addon = artifacts.find(({ target }) => target.name === 'kitedb_napi' && target.kind.includes('cdylib'));
  if (addon === undefined) throw new Error('cargo built no addon: is crates/kitedb-napi a cdylib?');

  mkdirSync(join(here, 'native'), { recursive: true });
  const place = join(here, 'native', `kitedb.${addonPlatform()}.node`);
  // By a rename, so that a process which has the old one mapped keeps it.
  copyFileSync(addon.filenames[0], `${place}.new`);
  renameSync(`${place}.new`, place);
  console.log(`${place} (${profile})`);
}

const asked = (option) => process.argv.includes(option);
buildReplication();
if (!asked('--no-addon')) buildAddon(asked('--quick') ? 'dev' : asked('--release') ? 'release' : 'dist');
