'use strict';
// Operations that block, in two forms: one that does, and one that returns a promise and does not.

const { call, callAsync, written } = require('./call.js');
const { invalid } = require('./errors.js');
const { BIG, HANDLE } = require('./graph.js');
const { only } = require('./options.js');
const { describe } = require('./writer.js');

const nothing = () => {};

function worded(error, context) {
  if (context !== undefined && error.kind !== undefined && error.name !== 'AbortError') {
    error.message = `${context}: ${error.message}`;
  }
  return error;
}

function howOf(options) {
  const { signal, onProgress } = only(options, 'an asynchronous call', ['signal', 'onProgress']);
  return { signal: signal ?? undefined, onProgress: onProgress ?? undefined };
}

/**
 * Makes `name` and `nameAsync`.
 *
 * @param {object} target what gets them
 * @param {string} name
 * @param {object} how the operation `op`; how many arguments it takes before the options (`arity`); what writes them (`args`) and
 *   reads its result (`result`); what its errors begin with (`context`); whether it may wait for ever, so that it gets a thread of
 *   its own (`alone`)
 */
function pair(target, name, { op, arity = 0, args = nothing, result = (r) => r.value(), context, alone = false }) {
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
    try {
      return result(call(op, arguments_(self, given.slice(0, arity)), self?.[BIG]), self);
    } catch (error) {
      throw worded(error, context);
    }
  });
  define(`${name}Async`, async function (...given) {
    const self = own(this);
    try {
      const how = howOf(given[arity]);
      const w = arguments_(self, given.slice(0, arity));
      return result(await callAsync(op, w, { ...how, alone, big: self?.[BIG] }), self);
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
