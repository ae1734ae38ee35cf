'use strict';
// What decides whether a release goes out.

const { test } = require('node:test');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const assert = require('node:assert/strict');
const { PLATFORMS, addonPlatform } = require('../lib/platform.js');

const release = import('../scripts/release.mjs');
const addon = readFileSync(join(__dirname, '..', 'native', `kitedb.${addonPlatform()}.node`));

function manifests() {
  const names = PLATFORMS.map((platform) => `@kitedb/core-${platform}`);
  const main = { name: '@kitedb/core', version: '1.2.3', optionalDependencies: Object.fromEntries(names.map((name) => [name, '1.2.3'])) };
  const of = (platform) => {
    const [os, cpu, libc] = platform.split('-');
    return { name: `@kitedb/core-${platform}`, version: '1.2.3', os: [os], cpu: [cpu], libc: [libc === 'gnu' ? 'glibc' : libc] };
  };
  return { main, addons: Object.fromEntries(PLATFORMS.map((platform) => [platform, of(platform)])) };
}

test('an addon is known by its bytes', async () => {
  const { described, faultsOfAddon } = await release;
  const { platform, stripped } = described(addon);
  assert.equal(platform, addonPlatform());
  const others = PLATFORMS.filter((other) => other !== platform);
  for (const other of others) assert.match(faultsOfAddon(other, addon)[0], new RegExp(`for ${other} is one for ${platform}`));
  const faults = faultsOfAddon(platform, addon).filter((fault) => /stripped/.test(fault));
  assert.equal(faults.length, stripped ? 0 : 1);
  assert.deepEqual(faultsOfAddon(platform, Buffer.from('no program')), [`the addon for ${platform} is no program of Linux`]);
  const newer = Buffer.concat([addon, Buffer.from('GLIBC_2.99')]);
  assert.ok(faultsOfAddon(platform, newer).some((fault) => /needs glibc 2\.99/.test(fault)));
});

test('a release has every platform, in one version', async () => {
  const { faultsOfManifests } = await release;
  const { main, addons } = manifests();
  assert.deepEqual(faultsOfManifests(main, addons), []);
  const { [PLATFORMS[0]]: missing, ...others } = addons;
  assert.deepEqual(faultsOfManifests(main, others), [`there is no addon for ${PLATFORMS[0]}`]);
  const older = { ...addons, [PLATFORMS[0]]: { ...missing, version: '1.2.2' } };
  assert.match(faultsOfManifests(main, older).join(), /is version 1\.2\.2, and the package 1\.2\.3.*does not depend on/);
  const elsewhere = { ...addons, [PLATFORMS[0]]: { ...missing, cpu: ['mips'] } };
  assert.match(faultsOfManifests(main, elsewhere).join(), /for linux,mips/);
  assert.match(faultsOfManifests({ ...main, scripts: { postinstall: 'x' } }, addons).join(), /none is to run/);
});
