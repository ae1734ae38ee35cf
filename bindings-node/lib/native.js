'use strict';
// Finds the addon of this platform, and connects this thread to it.
//
// A bundler that takes this package into one file which is a module leaves no `require` in it: so what is Node's own is asked of the
// process here and in the files beside, and the addon is looked for from that file.

const { Buffer } = process.getBuiltinModule('node:buffer');
const { createRequire } = process.getBuiltinModule('node:module');
const { PLATFORMS, addonPlatform } = require('./platform.js');

/** Loads what is not known before: bundlers leave it alone. */
const load = createRequire(typeof __filename === 'string' ? __filename : (process.argv[1] ?? `${process.cwd()}/`));

function addon() {
  const name = addonPlatform();
  if (!PLATFORMS.includes(name)) {
    throw new Error(`@kitedb/core has no addon for ${name}: it runs on ${PLATFORMS.join(', ')}`);
  }
  const missing = [];
  for (const place of [`../native/kitedb.${name}.node`, `@kitedb/core-${name}`]) {
    try {
      return load(place);
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

const native = addon().connect(shared, () => woken.look());

/** What is to end with the process, of every copy of this package that this thread has loaded. */
const LOADED = Symbol.for('@kitedb/core: loaded in this thread');

// Node waits for the threads of its pool before it ends, and nobody for what they are at. A package that is loaded again and again
// (a test runner, a server that reloads its code) has one listener.
if (process[LOADED] === undefined) {
  Object.defineProperty(process, LOADED, { value: new Set() });
  process.on('exit', () => {
    for (const loaded of process[LOADED]) loaded.deref()?.end();
  });
}
for (const loaded of process[LOADED]) {
  if (loaded.deref() === undefined) process[LOADED].delete(loaded);
}
process[LOADED].add(new WeakRef(native));

/** How much is under way that the process is not to end before. */
let underWay = 0;

/** Something begins, or ends, that the process is not to end before. */
function keepAlive(begins) {
  underWay += begins ? 1 : -1;
  if (underWay === (begins ? 1 : 0)) native.keepAlive(begins);
}

module.exports = { keepAlive, native, ops: native.ops, shared, woken };
