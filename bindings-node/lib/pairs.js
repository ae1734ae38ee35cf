'use strict';
// Operations that block, in two forms: one that does, and one that returns a promise and does not.

const { call, callAsync, callWaiting, written } = require('./call.js');
const { invalid } = require('./errors.js');
const { BIG, HANDLE, integersOf } = require('./graph.js');
const { only } = require('./options.js');
const { describe } = require('./writer.js');

const nothing = () => {};

function worded(error, context) {
  if (context !== undefined && error.kind !== undefined && error.name !== 'AbortError') {
    error.message = `${context}: ${error.message}`;
  }
  return error;
}

const WATCHED = ['signal', 'onProgress'];
const INTEGERS = ['integers'];

/**
 * Makes `name` and `nameAsync`.
 *
 * @param {object} target what gets them
 * @param {string} name
 * @param {object} how the operation `op`; how many arguments it takes before the options (`arity`); what writes them (`args`) and
 *   reads its result (`result`); what its errors begin with (`context`); whether it may wait for ever, so that it gets a thread of
 *   its own (`alone`); whether it may take so long that a worker wants to be terminated meanwhile (`long`); and, where its result holds ids, which may be beyond what a number says, whether they are bigint unless the
 *   options say `integers` (`big`)
 */
function pair(target, name, { op, arity = 0, args = nothing, result = (r) => r.value(), context, alone = false, long = alone, big }) {
  const arguments_ = (self, given) =>
    written((w) => {
      if (self !== undefined) w.handle(self[HANDLE]);
      args(w, ...given);
    });
  // A method is about the handle that it is called on; what a class or the package has as a function is about none.
  const isMethod = typeof target !== 'function' && Object.hasOwn(target, 'constructor');
  const own = (self) => {
    if (!isMethod) return undefined;
    if (self?.[HANDLE] === undefined) throw invalid(`${name} is called on ${describe(self)}: call it on what it is a method of`);
    return self;
  };
  const define = (name, value) => {
    Object.defineProperty(value, 'name', { value: name });
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  };
  define(name, function (...given) {
    const self = own(this);
    const bigint = big === undefined ? self?.[BIG] : integersOf(only(given[arity], name, INTEGERS).integers, big(...given));
    try {
      return result((long ? callWaiting : call)(op, arguments_(self, given.slice(0, arity)), bigint), self);
    } catch (error) {
      throw worded(error, context);
    }
  });
  define(`${name}Async`, async function (...given) {
    const self = own(this);
    try {
      const of = only(given[arity], `${name}Async`, big === undefined ? WATCHED : [...WATCHED, ...INTEGERS]);
      const how = { signal: of.signal ?? undefined, onProgress: of.onProgress ?? undefined };
      const bigint = big === undefined ? self?.[BIG] : integersOf(of.integers, big(...given));
      const w = arguments_(self, given.slice(0, arity));
      return result(await callAsync(op, w, { ...how, alone, big: bigint }), self);
    } catch (error) {
      throw worded(error, context);
    }
  });
}

/** A count among the arguments; what is wrong with it is said as the runbook says it. */
function countTo(w, value, name, { positive = false } = {}) {
  const whole = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (!whole) throw invalid(`${name} is ${describe(value)}: give a whole number`);
  if (value < 0 || (positive && value == 0)) throw invalid(`${name} must be ${positive ? 'positive' : 'non-negative'}`);
  w.u64(value, name);
}

module.exports = { countTo, pair };
