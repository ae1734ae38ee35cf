'use strict';

/** What the database, or this package, fails with. See index.d.ts. */
class KiteDbError extends Error {
  constructor(code, kind, retryable, message, fields) {
    super(message);
    this.code = code;
    this.kind = kind;
    this.retryable = retryable;
    Object.assign(this, fields);
  }
}
Object.defineProperty(KiteDbError.prototype, 'name', { value: 'KiteDbError', configurable: true, writable: true });

/** A wrong argument, as the engine calls it. */
function invalid(message) {
  return Object.assign(new TypeError(message), { code: 'INVALID_ARGUMENT', kind: 'input', retryable: false });
}

/** An integer that no number of JavaScript says exactly. */
function unsafe(integer) {
  const message =
    `the integer ${integer} is beyond what a JavaScript number says exactly: open the database with integers: 'bigint', or ` +
    'give that to the call';
  return Object.assign(new RangeError(message), { code: 'INTEGER_UNSAFE', kind: 'input', retryable: false });
}

/** What an operation ends with that its AbortSignal ended. */
function aborted(signal, message = 'cancelled: its caller ended it') {
  const error = new KiteDbError('CANCELLED', 'cancelled', false, message, {});
  Object.defineProperty(error, 'name', { value: 'AbortError', configurable: true, writable: true });
  Object.defineProperty(error, 'cause', { value: signal.reason, configurable: true, writable: true });
  return error;
}

module.exports = { KiteDbError, aborted, invalid, unsafe };
