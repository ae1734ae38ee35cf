'use strict';
// Reads what an operation wrote: see crates/kitedb-napi/src/wire/mod.rs.

const { native } = require('./native.js');
const { unsafe } = require('./errors.js');
const temporal = require('./temporal.js');

const INLINE = 0xffffffff;
const DEFINES = 0x80000000;
const TWO_32 = 4294967296;

/** The names that the addon told, by its numbers for them. */
const symbols = [];

function symbolOf(number) {
  const name = symbols[number];
  // One that came with a result which was not read to its end.
  return name !== undefined ? name : (symbols[number] = native.symbol(number));
}

/** Sets a property as an own one, whatever it is called. */
function define(object, name, value) {
  if (name === '__proto__') {
    Object.defineProperty(object, name, { value, configurable: true, enumerable: true, writable: true });
  } else {
    object[name] = value;
  }
}

const { fromCharCode } = String;

/** A call out of JavaScript costs more than a text of up to so many bytes. */
const SHORT = 24;

/** A short text of ASCII; null: it is none. Made of few pieces, for each is a string of its own. */
function shortText(bytes, begin, end) {
  let text = '';
  let at = begin;
  for (; end - at >= 8; at += 8) {
    const [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    const [e, f, g, h] = [bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]];
    if ((a | b | c | d | e | f | g | h) > 127) return null;
    text += fromCharCode(a, b, c, d, e, f, g, h);
  }
  if (end - at >= 4) {
    const [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if ((a | b | c | d) > 127) return null;
    text += fromCharCode(a, b, c, d);
    at += 4;
  }
  if (end - at >= 2) {
    const [a, b] = [bytes[at], bytes[at + 1]];
    if ((a | b) > 127) return null;
    text += fromCharCode(a, b);
    at += 2;
  }
  if (at < end) {
    if (bytes[at] > 127) return null;
    text += fromCharCode(bytes[at]);
  }
  return text;
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
    /** Whether integers are read as bigint. */
    this.big = false;
  }

  u8() {
    return this.bytes[this.at++];
  }

  bool() {
    return this.bytes[this.at++] !== 0;
  }

  u32() {
    const at = this.at;
    this.at = at + 4;
    return this.view.getUint32(at, true);
  }

  i32() {
    const at = this.at;
    this.at = at + 4;
    return this.view.getInt32(at, true);
  }

  u64() {
    const at = this.at;
    this.at = at + 8;
    if (this.big) return this.view.getBigUint64(at, true);
    const high = this.view.getUint32(at + 4, true);
    if (high > 0x1fffff) throw unsafe(this.view.getBigUint64(at, true));
    return high === 0 ? this.view.getUint32(at, true) : high * TWO_32 + this.view.getUint32(at, true);
  }

  i64() {
    const at = this.at;
    this.at = at + 8;
    if (this.big) return this.view.getBigInt64(at, true);
    const integer = this.view.getInt32(at + 4, true) * TWO_32 + this.view.getUint32(at, true);
    if (!Number.isSafeInteger(integer)) throw unsafe(this.view.getBigInt64(at, true));
    return integer;
  }

  bigI64() {
    const at = this.at;
    this.at = at + 8;
    return this.view.getBigInt64(at, true);
  }

  bigU64() {
    const at = this.at;
    this.at = at + 8;
    return this.view.getBigUint64(at, true);
  }

  /** A number of the package's own, which is never beyond what a number says. */
  handle() {
    const at = this.at;
    this.at = at + 8;
    return this.view.getUint32(at + 4, true) * TWO_32 + this.view.getUint32(at, true);
  }

  f64() {
    const at = this.at;
    this.at = at + 8;
    return this.view.getFloat64(at, true);
  }

  text() {
    const len = this.u32();
    const begin = this.at;
    const end = begin + len;
    this.at = end;
    return (len <= SHORT ? shortText(this.bytes, begin, end) : null) ?? this.bytes.toString('utf8', begin, end);
  }

  name() {
    const number = this.u32();
    if (number < DEFINES) return symbolOf(number);
    const text = this.text();
    if (number !== INLINE) symbols[number - DEFINES] = text;
    return text;
  }

  optional(read) {
    return this.bool() ? read.call(this) : null;
  }

  blob() {
    const len = this.u32();
    const begin = this.at;
    this.at = begin + len;
    return new Uint8Array(this.bytes.subarray(begin, begin + len));
  }

  vector() {
    const len = this.u32();
    const begin = this.at;
    this.at = begin + len * 4;
    const vector = new Float32Array(len);
    new Uint8Array(vector.buffer).set(this.bytes.subarray(begin, begin + len * 4));
    return vector;
  }

  value() {
    switch (this.u8()) {
      case 0:
        return null;
      case 1:
        return false;
      case 2:
        return true;
      case 3:
        return this.i64();
      case 4:
        return this.f64();
      case 5:
        return this.text();
      case 6:
        return this.blob();
      case 7:
        return this.vector();
      case 8: {
        const list = new Array(this.u32());
        for (let nth = 0; nth < list.length; nth++) list[nth] = this.value();
        return list;
      }
      case 9: {
        const map = {};
        for (let left = this.u32(); left > 0; left--) {
          const name = this.text();
          define(map, name, this.value());
        }
        return map;
      }
      case 16:
        return this.u64();
      default:
        this.at--;
        return temporal.read(this);
    }
  }

  /** Properties, by name. */
  props() {
    const props = {};
    for (let left = this.u32(); left > 0; left--) {
      const name = this.name();
      define(props, name, this.value());
    }
    return props;
  }

  node() {
    const id = this.u64();
    const key = this.bool() ? this.text() : null;
    const labels = [];
    for (let left = this.u32(); left > 0; left--) labels.push(this.name());
    return { id, key, labels, props: this.props() };
  }

  edgeKey() {
    const src = this.u64();
    const type = this.name();
    const dst = this.u64();
    return { src, type, dst, rank: this.u64() };
  }

  edge() {
    const src = this.u64();
    const type = this.name();
    const dst = this.u64();
    const rank = this.u64();
    return { src, type, dst, rank, props: this.props() };
  }

  list(read) {
    const list = new Array(this.u32());
    for (let nth = 0; nth < list.length; nth++) list[nth] = read.call(this);
    return list;
  }
}

module.exports = { Reader };
