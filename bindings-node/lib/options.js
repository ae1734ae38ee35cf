'use strict';
// The options of calls of this package; those of the engine the addon knows.

const { invalid } = require('./errors.js');
const { describe, isPlain } = require('./writer.js');

/** The options that were given, if any: none has another name than `names`, so that none that is misspelt does nothing. */
function only(options, what, names) {
  if (options === undefined || options === null) return {};
  if (!isPlain(options)) throw invalid(`the options of ${what} are ${describe(options)}: give an object`);
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw invalid(`${what} has no option ${name}: give ${names.join(' or ')}`);
  }
  return options;
}

const ORIGIN = ['origin'];
const SIGNAL = ['signal'];

/** What statistics are to call something that holds a state. */
const originOf = (options, what) => only(options, what, ORIGIN).origin;

/** What ends an asynchronous call. */
const signalOf = (options) => only(options, 'an asynchronous call', SIGNAL).signal ?? undefined;

module.exports = { only, originOf, signalOf };
