'use strict';
// Where the package runs, and what it says where it does not.

const { test } = require('node:test');
const { spawnSync } = require('node:child_process');
const { join } = require('node:path');
const assert = require('node:assert/strict');
const { PLATFORMS, addonPlatform } = require('../lib/platform.js');

const root = join(__dirname, '..');

function run(code) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

const failure = (before) => run(`${before}; try { require('@kitedb/core') } catch (error) { console.log(error.message) }`);

test('importing it on another platform fails with one sentence', () => {
  for (const [platform, arch] of [['darwin', 'arm64'], ['win32', 'x64'], ['linux', 'riscv64'], ['freebsd', 'x64']]) {
    const message = failure(
      `Object.defineProperty(process, 'platform', { value: '${platform}' }); Object.defineProperty(process, 'arch', { value: '${arch}' })`,
    );
    assert.match(message, new RegExp(`^@kitedb/core has no addon for ${platform}-${arch}(-gnu|-musl)?: it runs on ${PLATFORMS.join(', ')}$`));
  }
});

test('asking for the platform changes nothing of the process', () => {
  assert.ok(PLATFORMS.includes(addonPlatform()));
  const asked = `const { report } = process;
    const before = report.excludeNetwork;
    require('./lib/platform.js').addonPlatform();
    console.log(report.excludeNetwork === before);`;
  assert.equal(run(asked), 'true');
  assert.equal(run(`process.report.excludeNetwork = true; ${asked}`), 'true');
});
