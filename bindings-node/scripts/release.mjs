// What is done with the packed archives of all platforms, once each was built and tested on its own: see release-platform.sh.
//
//     node scripts/release.mjs check DIR              # that all are there, are of one version, and are what they say
//     node scripts/release.mjs publish DIR [--dry-run]  # the addons first, then the package that needs them

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import platforms from '../lib/platform.js';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const MACHINES = { 0x3e: 'x64', 0xb7: 'arm64' };
/** The oldest glibc that Node 20 itself runs on. */
const OLDEST_GLIBC = 28;

/** What an addon was built for, as its bytes say it. */
export function described(elf) {
  if (elf.toString('latin1', 0, 4) !== '\x7fELF') return null;
  const text = elf.toString('latin1');
  const minors = [...text.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  const cpu = MACHINES[elf.readUInt16LE(18)];
  const libc = minors.length > 0 ? 'gnu' : 'musl';
  return { platform: `linux-${cpu}-${libc}`, glibc: Math.max(0, ...minors), stripped: !text.includes('.symtab') };
}

/** What is wrong with an addon for a platform. */
export function faultsOfAddon(platform, elf) {
  const addon = described(elf);
  if (addon === null) return [`the addon for ${platform} is no program of Linux`];
  const faults = [];
  if (addon.platform !== platform) faults.push(`the addon for ${platform} is one for ${addon.platform}`);
  if (addon.glibc > OLDEST_GLIBC) faults.push(`the addon for ${platform} needs glibc 2.${addon.glibc}, and Node 20 runs on 2.${OLDEST_GLIBC}`);
  if (!addon.stripped) faults.push(`the addon for ${platform} is not stripped: it is not of the profile dist`);
  return faults;
}

/** What is wrong with the manifests: that of the package, and by platform those of the addons. */
export function faultsOfManifests(main, addons) {
  const faults = [];
  for (const platform of platforms.PLATFORMS) {
    const name = `@kitedb/core-${platform}`;
    const addon = addons[platform];
    if (addon === undefined) {
      faults.push(`there is no addon for ${platform}`);
      continue;
    }
    if (addon.name !== name) faults.push(`the addon for ${platform} is called ${addon.name}`);
    if (addon.version !== main.version) faults.push(`${name} is version ${addon.version}, and the package ${main.version}`);
    if (main.optionalDependencies?.[name] !== addon.version) faults.push(`the package does not depend on ${name} ${addon.version}`);
    const [os, cpu, libc] = platform.split('-');
    const says = [addon.os, addon.cpu, addon.libc].flat().join();
    const wanted = [os, cpu, libc === 'gnu' ? 'glibc' : libc].join();
    if (says !== wanted) faults.push(`${name} says that it is for ${says}, and not ${wanted}`);
  }
  const dependencies = Object.keys(main.optionalDependencies ?? {}).length;
  if (dependencies !== platforms.PLATFORMS.length) faults.push(`the package depends on ${dependencies} addons`);
  if (main.scripts !== undefined) faults.push('the package has scripts, and none is to run where it is installed');
  return faults;
}

const inside = (archive, file) => execFileSync('tar', ['-xOzf', archive, `package/${file}`], { maxBuffer: 1 << 28 });
const manifestOf = (archive) => JSON.parse(inside(archive, 'package.json').toString());

function archives(dir) {
  const found = readdirSync(dir).filter((name) => name.endsWith('.tgz'));
  const of = (name) => found.map((file) => join(dir, file)).find((archive) => manifestOf(archive).name === name);
  const main = of('@kitedb/core');
  if (main === undefined) throw new Error(`${dir} has no archive of @kitedb/core`);
  const addons = platforms.PLATFORMS.map((platform) => [platform, of(`@kitedb/core-${platform}`)]).filter(([, archive]) => archive !== undefined);
  return { main, addons };
}

function check(dir) {
  const { main, addons } = archives(dir);
  const faults = faultsOfManifests(manifestOf(main), Object.fromEntries(addons.map(([platform, archive]) => [platform, manifestOf(archive)])));
  for (const [platform, archive] of addons) faults.push(...faultsOfAddon(platform, inside(archive, 'kitedb.node')));
  const { version } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  if (manifestOf(main).version !== version) faults.push(`the archive is of version ${manifestOf(main).version}, and the repository of ${version}`);
  return faults;
}

/** Whether a version is published already, as where a release was cut short. */
function isThere({ name, version }) {
  try {
    const asked = ['view', `${name}@${version}`, 'version'];
    return execFileSync('npm', asked, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() === version;
  } catch {
    return false;
  }
}

function publish(dir, dry) {
  const { main, addons } = archives(dir);
  for (const archive of [...addons.map(([, archive]) => archive), main]) {
    const manifest = manifestOf(archive);
    const what = `${manifest.name} ${manifest.version}`;
    if (dry) console.log(`would publish ${what}`);
    else if (isThere(manifest)) console.log(`${what} is there already`);
    else execFileSync('npm', ['publish', archive, '--access', 'public', '--provenance'], { stdio: 'inherit' });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [command, dir, ...flags] = process.argv.slice(2);
  if (!['check', 'publish'].includes(command) || dir === undefined) throw new Error('release.mjs check|publish DIR [--dry-run]');
  const faults = check(resolve(dir));
  if (faults.length > 0) {
    console.error(faults.join('\n'));
    process.exit(1);
  }
  if (command === 'publish') publish(resolve(dir), flags.includes('--dry-run'));
  else console.log('all archives are there, and are what they say');
}
