'use strict';
// Signals that end calls. However many calls one may end, it has one listener of this package: Node warns of more than ten.

const { invalid } = require('./errors.js');

/** What each signal that is listened to ends, and the listener. */
const heard = new WeakMap();

const nothing = () => {};

/**
 * Has `stop` called when a signal is aborted, until what is returned is called. What the signal throws here is thrown; what it throws
 * later nobody hears, for the call has ended.
 */
function onAbort(signal, stop) {
  if (signal === undefined || signal === null) return nothing;
  let calls = heard.get(signal);
  if (calls === undefined) {
    const stops = new Set();
    const listener = () => {
      heard.delete(signal);
      for (const stop of [...stops]) stop();
    };
    signal.addEventListener('abort', listener, { once: true });
    calls = { stops, listener };
    heard.set(signal, calls);
  }
  const { stops, listener } = calls;
  stops.add(stop);
  return () => {
    if (!stops.delete(stop) || stops.size > 0 || heard.get(signal) !== calls) return;
    heard.delete(signal);
    try {
      signal.removeEventListener('abort', listener);
    } catch {}
  };
}

function checkSignal(signal) {
  if (signal === undefined || signal === null) return;
  const isOne =
    typeof signal === 'object' &&
    typeof signal.addEventListener === 'function' &&
    typeof signal.removeEventListener === 'function' &&
    typeof signal.aborted === 'boolean';
  if (!isOne) throw invalid('signal is no AbortSignal');
}

module.exports = { checkSignal, onAbort };
