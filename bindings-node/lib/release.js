'use strict';
// Lets go of what the addon holds for objects that nobody has any more.

const { begin, call } = require('./call.js');

function release(handle) {
  const w = begin();
  w.handle(handle);
  call('release', w);
}

const registry = new FinalizationRegistry(release);

module.exports = { registry, release };
