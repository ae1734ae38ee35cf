'use strict';
// Reads what an operation wrote: see crates/kitedb-napi/src/wire/mod.rs.

const { native } = require('./native.js');
const { placed, unsafe } = require('./errors.js');
const { define, shapeOf } = require('./shapes.js');
const temporal = require('./temporal.js');

const INLINE = 0xffffffff;
const DEFINES = 0x80000000;
const ASCII = 0x80000000;
const TWO_32 = 4294967296;

/** The names that the addon told, by its numbers for them. */
const symbols = [];

function symbolOf(number) {
  const name = symbols[number];
  // One that came with a result which was not read to its end.
  return name !== undefined ? name : (symbols[number] = native.symbol(number));
}

const { fromCharCode } = String;

/** A call out of JavaScript costs more than a text of up to so many bytes. */
const SHORT = 32;
/** So many bytes of it are one string, made at once. */
const AT_ONCE = 16;

/** A short text of ASCII. */
function shortText(bytes, begin, end) {
  if (end - begin <= AT_ONCE) return piece(bytes, begin, end - begin);
  return piece(bytes, begin, AT_ONCE) + piece(bytes, begin + AT_ONCE, end - begin - AT_ONCE);
}

/** Written out: a loop would make a string of each byte. */
function piece(b, at, len) {
  switch (len) {
    case 1:
      return fromCharCode(b[at]);
    case 2:
      return fromCharCode(b[at], b[at + 1]);
    case 3:
      return fromCharCode(b[at], b[at + 1], b[at + 2]);
    case 4:
      return fromCharCode(b[at], b[at + 1], b[at + 2], b[at + 3]);
    case 5:
      return fromCharCode(b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4]);
    case 6:
      return fromCharCode(b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5]);
    case 7:
      return fromCharCode(b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6]);
    case 8:
      return fromCharCode(b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7]);
    case 9:
      return fromCharCode(b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8]);
    case 10:
      return fromCharCode(b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8], b[at + 9]);
    case 11:
      return fromCharCode(
        b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8], b[at + 9], b[at + 10],
      );
    case 12:
      return fromCharCode(
        b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8], b[at + 9], b[at + 10],
        b[at + 11],
      );
    case 13:
      return fromCharCode(
        b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8], b[at + 9], b[at + 10],
        b[at + 11], b[at + 12],
      );
    case 14:
      return fromCharCode(
        b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8], b[at + 9], b[at + 10],
        b[at + 11], b[at + 12], b[at + 13],
      );
    case 15:
      return fromCharCode(
        b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8], b[at + 9], b[at + 10],
        b[at + 11], b[at + 12], b[at + 13], b[at + 14],
      );
    case 16:
      return fromCharCode(
        b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7], b[at + 8], b[at + 9], b[at + 10],
        b[at + 11], b[at + 12], b[at + 13], b[at + 14], b[at + 15],
      );
    default:
      return '';
  }
}

const NODE_ID = 'the id of a node';

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
    const high = this.view.getInt32(at + 4, true);
    if (high === 0) return this.view.getUint32(at, true);
    const integer = high * TWO_32 + this.view.getUint32(at, true);
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
    const told = this.u32();
    const begin = this.at;
    if (told < ASCII) {
      const end = begin + told;
      this.at = end;
      return this.bytes.toString('utf8', begin, end);
    }
    const end = begin + (told - ASCII);
    this.at = end;
    return end - begin <= SHORT ? shortText(this.bytes, begin, end) : this.bytes.toString('latin1', begin, end);
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

  /** The value of a property, which an error names. */
  valueNamed(name) {
    try {
      return this.value();
    } catch (error) {
      throw placed(error, `the property ${name}`);
    }
  }

  /** An id or a rank, as an error is to call it. */
  named(what) {
    try {
      return this.u64();
    } catch (error) {
      throw placed(error, what);
    }
  }

  /** Properties, by name. */
  props() {
    const number = this.u32();
    if (number !== INLINE) return shapeOf(number).read(this);
    const props = {};
    for (let left = this.u32(); left > 0; left--) {
      const name = this.name();
      define(props, name, this.valueNamed(name));
    }
    return props;
  }

  labels() {
    const number = this.u32();
    if (number !== INLINE) return shapeOf(number).names.slice();
    return this.list(this.name);
  }

  /** A node; `key` is what it was asked for by, if it was. */
  node(asked) {
    const id = this.named(NODE_ID);
    const told = this.u8();
    const key = told === 0 ? null : told === 2 ? asked : this.text();
    const labels = this.labels();
    try {
      return { id, key, labels, props: this.props() };
    } catch (error) {
      throw placed(error, `node ${id}`);
    }
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
    try {
      return { src, type, dst, rank, props: this.props() };
    } catch (error) {
      throw placed(error, `the edge of type ${type} from ${src} to ${dst}`);
    }
  }

  list(read) {
    const list = new Array(this.u32());
    for (let nth = 0; nth < list.length; nth++) list[nth] = read.call(this);
    return list;
  }

  nodes() {
    const list = new Array(this.u32());
    for (let nth = 0; nth < list.length; nth++) list[nth] = this.node(null);
    return list;
  }

  edges() {
    const list = new Array(this.u32());
    for (let nth = 0; nth < list.length; nth++) list[nth] = this.edge();
    return list;
  }

  ids() {
    const list = new Array(this.u32());
    for (let nth = 0; nth < list.length; nth++) list[nth] = this.u64();
    return list;
  }
}

module.exports = { Reader };
