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

/** A text that may repeat what somebody gave, as one line that steers no terminal: as the engine writes its own. */
function printable(text) {
  return text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (c) => ESCAPES[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);
}
const ESCAPES = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A wrong argument, as the engine calls it. */
function invalid(message) {
  return Object.assign(new TypeError(printable(message)), { code: 'INVALID_ARGUMENT', kind: 'input', retryable: false });
}

/** An integer that no number of JavaScript says exactly; `where` it is, between commas, if that is known. */
function unsafe(integer, where = '') {
  const message =
    `the integer ${integer}${where} is beyond what a JavaScript number says exactly: open the database with integers: 'bigint', or ` +
    'give that to the call';
  const error = Object.assign(new RangeError(message), { code: 'INTEGER_UNSAFE', kind: 'input', retryable: false });
  Object.defineProperty(error, INTEGER, { value: { integer, where }, writable: true });
  return error;
}

const INTEGER = Symbol('which integer, and where it is');

/** Says of such an error where the integer is: a property, then whose property. Others stay as they are. */
function placed(error, place) {
  if (error?.[INTEGER] === undefined) return error;
  const { integer, where } = error[INTEGER];
  const more = unsafe(integer, where === '' ? `, ${place},` : `${where.slice(0, -1)} of ${place},`);
  error.message = printable(more.message);
  error[INTEGER] = more[INTEGER];
  return error;
}

/** What an operation ends with that its AbortSignal ended. */
function aborted(signal, message = 'cancelled: its caller ended it') {
  const error = new KiteDbError('CANCELLED', 'cancelled', false, message, {});
  Object.defineProperty(error, 'name', { value: 'AbortError', configurable: true, writable: true });
  Object.defineProperty(error, 'cause', { value: signal.reason, configurable: true, writable: true });
  return error;
}

module.exports = { KiteDbError, aborted, invalid, placed, printable, unsafe };
