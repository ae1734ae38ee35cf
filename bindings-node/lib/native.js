'use strict';
// Finds the addon of this platform, and connects this thread to it.

const { Buffer } = require('node:buffer');
const { PLATFORMS, addonPlatform } = require('./platform.js');

function load() {
  const name = addonPlatform();
  if (!PLATFORMS.includes(name)) {
    throw new Error(`@kitedb/core has no addon for ${name}: it runs on ${PLATFORMS.join(', ')}`);
  }
  const missing = [];
  for (const place of [`../native/kitedb.${name}.node`, `@kitedb/core-${name}`]) {
    try {
      return require(place);
    } catch (error) {
      // What is there and cannot be loaded is another fault than what is not there.
      if (error?.code !== 'MODULE_NOT_FOUND') throw error;
      missing.push(place);
    }
  }
  throw new Error(
    `@kitedb/core: the addon for ${name} is not installed (${missing.join(' and ')}): in a package from a registry, install it ` +
      'again with optional dependencies; in the repository, run npm run build in bindings-node',
  );
}

/** Arguments go in and results come out here; what is larger goes by a buffer of its own. */
const shared = Buffer.from(new ArrayBuffer(64 * 1024));

/** What looks after commits that may have ended; set by `commits.js`. */
const woken = { look() {} };

const native = load().connect(shared, () => woken.look());

// Node waits for the threads of its pool before it ends, and nobody for what they are at.
process.on('exit', () => native.end());

module.exports = { native, ops: native.ops, shared, woken };
