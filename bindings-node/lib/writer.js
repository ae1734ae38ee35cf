'use strict';
// Writes the arguments of an operation: see crates/kitedb-napi/src/wire/mod.rs.

const { Buffer } = process.getBuiltinModule('node:buffer');
// They know what it is of another realm, too: of a worker's message, or a test runner's.
const { isFloat32Array, isMap, isUint8Array } = process.getBuiltinModule('node:util').types;
const { native, ops, shared } = require('./native.js');
const { KiteDbError, invalid, printable } = require('./errors.js');
const temporal = require('./temporal.js');

const INLINE = 0xffffffff;
const TWO_32 = 4294967296;
const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;
const U64_MAX = 2n ** 64n - 1n;

// How deep lists and maps may be nested, and how many bytes a value and a transaction take at most: the engine says it.
native.call(ops.limits, 0);
const maxDepth = shared.readUInt32LE(0);
const maxBytes = shared.readUInt32LE(4);
const maxTransaction = shared.readUInt32LE(8);

/** A number that is a float, whatever it looks like. */
class KiteFloat {
  constructor(value) {
    if (typeof value !== 'number') throw invalid(`a float is made of a number, not of ${describe(value)}`);
    this.value = value;
    Object.freeze(this);
  }

  valueOf() {
    return this.value;
  }

  toJSON() {
    return this.value;
  }
}

function describe(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  switch (typeof value) {
    case 'object':
      return value.constructor?.name ? `an instance of ${value.constructor.name}` : 'an object';
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'string':
      return 'a string';
    case 'undefined':
      return 'undefined';
    default:
      return `${value}`;
  }
}

/** What is wrong with a value, and the way to it, the last step first. */
class ValueFault {
  constructor(what) {
    this.what = what;
    this.steps = [];
  }

  within(step) {
    this.steps.push(step);
    return this;
  }

  path() {
    return this.steps.reverse().join('');
  }

  of(name) {
    return invalid(`${name}${this.path()} is ${this.what}`);
  }
}

/** A value is larger than any may be. */
class TooLarge extends ValueFault {
  constructor() {
    super('');
  }

  of(name) {
    const what = `${name}${this.path()} takes more than ${maxBytes >> 20} MiB, which is all that a value may: split it`;
    return tooLarge(what);
  }
}

function tooLarge(what) {
  return new KiteDbError('TRANSACTION_TOO_LARGE', 'input', false, printable(what), {});
}

class Writer {
  constructor() {
    /** The names of the row that is written, as far as they are, and else of the one before; and their numbers. */
    this.row = [];
    this.numbers = [];
    /** Whether every number is a float now. */
    this.floating = false;
    /** How many bytes the engine takes at least for the value that is written, as far as it is; and for all of them. */
    this.taken = 0;
    this.whole = 0;
    this.reset(shared);
  }

  /** Begins anew. */
  reset(bytes) {
    if (this.bytes !== bytes) {
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.at = 0;
    this.taken = 0;
    this.whole = 0;
    this.told = null;
    this.nth = 0;
    if (this.row.length > 0) {
      this.row = [];
      this.numbers = [];
    }
    return this;
  }

  room(len) {
    if (this.at + len <= this.bytes.length) return;
    this.move(Math.max(this.bytes.length * 2, this.at + len));
  }

  /** Goes on elsewhere, if it is in that buffer. */
  leave(bytes) {
    if (this.bytes === bytes) this.move(bytes.length);
  }

  move(len) {
    const bytes = Buffer.from(new ArrayBuffer(len));
    bytes.set(this.bytes.subarray(0, this.at));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, 0, bytes.length);
  }

  u8(value) {
    this.room(1);
    this.bytes[this.at++] = value;
  }

  bool(value) {
    this.u8(value ? 1 : 0);
  }

  u32(value) {
    this.room(4);
    this.view.setUint32(this.at, value, true);
    this.at += 4;
  }

  /** Where something goes that is counted only once it is written. */
  place() {
    this.u32(0);
    return this.at - 4;
  }

  fillU32(place, value) {
    this.view.setUint32(place, value, true);
  }

  i32(value) {
    this.room(4);
    this.view.setInt32(this.at, value, true);
    this.at += 4;
  }

  f64(value) {
    this.room(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  /** A whole number that is not negative; `what` names it in errors. */
  u64(value, what) {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
      this.handle(value);
    } else if (typeof value === 'bigint' && value >= 0n && value <= U64_MAX) {
      this.room(8);
      this.view.setBigUint64(this.at, value, true);
      this.at += 8;
    } else {
      throw wholeNumber(value, what);
    }
  }

  /** A number that is known to be one of those. */
  handle(value) {
    if (value === undefined) throw invalid('a method of KiteDB is called on what it is no method of: call it on the object that has it');
    this.room(8);
    const high = value < TWO_32 ? 0 : Math.floor(value / TWO_32);
    this.view.setUint32(this.at, value >>> 0, true);
    this.view.setUint32(this.at + 4, high, true);
    this.at += 8;
  }

  bigI64(value) {
    this.room(8);
    this.view.setBigInt64(this.at, value, true);
    this.at += 8;
  }

  bigU64(value) {
    this.room(8);
    this.view.setBigUint64(this.at, value, true);
    this.at += 8;
  }

  /** A node's id. */
  id(value, what = 'a node id') {
    this.u64(value, what);
  }

  text(value, what) {
    if (typeof value !== 'string') throw invalid(`${what} is ${describe(value)}: give a string`);
    const len = value.length;
    // A unit of UTF-16 is at most three bytes.
    this.room(4 + len * 3);
    const begin = this.at + 4;
    const { bytes } = this;
    let nth = 0;
    if (len < 64) {
      for (; nth < len; nth++) {
        const unit = value.charCodeAt(nth);
        if (unit > 127) break;
        bytes[begin + nth] = unit;
      }
    }
    let written = nth;
    if (nth < len) {
      if (!value.isWellFormed()) {
        throw invalid(`${what} holds half of a surrogate pair, which is no character: give well-formed text`);
      }
      written = bytes.write(value, begin, len * 3, 'utf8');
    }
    this.view.setUint32(this.at, written, true);
    this.at = begin + written;
  }

  optionalText(value, what) {
    if (value === undefined || value === null) {
      this.u8(0);
    } else {
      this.u8(1);
      this.text(value, what);
    }
  }

  /** The next row of several begins, which probably has the names of the one before. */
  begins() {
    this.nth = 0;
  }

  /** A name that may stand several times among the arguments: as text the first time, then by its number. */
  name(value, what) {
    const { row, nth } = this;
    // It is probably the one that stood here in the row before.
    if (nth < row.length && row[nth] === value) {
      this.nth = nth + 1;
      return this.u32(this.numbers[nth]);
    }
    this.otherName(value, what);
  }

  otherName(value, what) {
    this.told ??= new Map();
    let number = this.told.get(value);
    if (number === undefined) {
      this.u32(INLINE);
      this.text(value, what);
      number = this.told.size;
      this.told.set(value, number);
    } else {
      this.u32(number);
    }
    this.row[this.nth] = value;
    this.numbers[this.nth++] = number;
  }

  blob(bytes) {
    const length = lengthOf.call(bytes);
    if (length === 0 && isDetached(bytes)) throw new ValueFault(`bytes ${DETACHED}`);
    this.take(length);
    this.u32(length);
    this.room(length);
    this.bytes.set(bytes, this.at);
    this.at += length;
  }

  /** A vector: a Float32Array, or an array of numbers. */
  vector(value, what) {
    const vector = isFloat32Array(value) ? value : floatsOf(value, what);
    const length = lengthOf.call(vector);
    if (length === 0 && isDetached(vector)) throw what === undefined ? new ValueFault(`a vector ${DETACHED}`) : invalid(`${what} is one ${DETACHED}`);
    this.u32(length);
    this.room(length * 4);
    this.bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, length * 4), this.at);
    this.at += length * 4;
  }

  /** A property's value. */
  value(value, name, floats) {
    this.taken = 0;
    try {
      if (floats !== undefined && floats.has(name)) this.floats(value);
      else this.nested(value, 0);
    } catch (error) {
      throw error instanceof ValueFault ? error.of(name) : error;
    }
  }

  /** A value whose numbers are floats, however deep they are. */
  floats(value) {
    this.floating = true;
    try {
      this.nested(value, 0);
    } finally {
      this.floating = false;
    }
  }

  float(value) {
    this.u8(4);
    this.f64(value);
  }

  /** Counts what the engine takes at least for something. What would be refused is not written first. */
  take(bytes) {
    this.taken += bytes;
    if (this.taken > maxBytes) throw new TooLarge();
    this.whole += bytes;
    if (this.whole > maxTransaction) {
      throw tooLarge(`what is given takes more than ${maxTransaction >> 20} MiB, which is all that a transaction may: split it, or use a bulk loader`);
    }
  }

  nested(value, depth) {
    // A tag, and what nearly all have after it.
    this.take(value === null || typeof value === 'boolean' ? 1 : 2);
    switch (typeof value) {
      case 'string':
        this.u8(5);
        this.take(value.length);
        try {
          this.text(value, '');
        } catch {
          throw new ValueFault('text that holds half of a surrogate pair, which is no character: give well-formed text');
        }
        return;
      case 'number':
        if (this.floating || !Number.isSafeInteger(value) || Object.is(value, -0)) return this.float(value);
        this.room(9);
        this.bytes[this.at] = 3;
        this.view.setUint32(this.at + 1, value >>> 0, true);
        this.view.setInt32(this.at + 5, Math.floor(value / TWO_32), true);
        this.at += 9;
        return;
      case 'boolean':
        return this.u8(value ? 2 : 1);
      case 'bigint':
        if (this.floating) {
          if (BigInt(Number(value)) !== value) throw new ValueFault(`the integer ${value}, which no float says exactly, and its property is one of floats`);
          return this.float(Number(value));
        }
        if (value < I64_MIN || value > I64_MAX) {
          throw new ValueFault(`the integer ${value}, which does not fit 64 bits: give a float, or text`);
        }
        this.u8(3);
        return this.bigI64(value);
      case 'object':
        if (value === null) return this.u8(0);
        return this.object(value, depth);
      case 'undefined':
        throw new ValueFault('undefined: leave it out, or give null');
      default:
        throw new ValueFault(`${describe(value)}, which no property can hold`);
    }
  }

  object(value, depth) {
    if (depth > maxDepth) throw new ValueFault(`nested deeper than ${maxDepth} lists and maps`);
    if (Array.isArray(value)) {
      // As many as are told: code of the caller may run meanwhile, and change how many there are.
      const { length } = value;
      if (hasMore(value, length)) throw new ValueFault('an array with members that are no items of it, which would be lost: give a map of them');
      this.u8(8);
      this.u32(length);
      for (let nth = 0; nth < length; nth++) {
        try {
          this.nested(value[nth], depth + 1);
        } catch (error) {
          throw error instanceof ValueFault ? error.within(`[${nth}]`) : error;
        }
      }
    } else if (isUint8Array(value)) {
      this.u8(6);
      this.blob(value);
    } else if (isFloat32Array(value)) {
      this.u8(7);
      this.take(lengthOf.call(value) * 4);
      this.vector(value);
    } else if (value instanceof KiteFloat) {
      this.float(value.value);
    } else if (isMap(value)) {
      const entries = [...value];
      this.map(entries, entries.length, depth);
    } else if (temporal.write(this, value)) {
      // It is written.
    } else if (isPlain(value)) {
      if (hasSymbols(value)) throw new ValueFault(`an object with ${SYMBOLS}`);
      const entries = Object.entries(value);
      this.map(entries, entries.length, depth);
    } else {
      throw new ValueFault(`${describe(value)}, which no property can hold`);
    }
  }

  map(entries, size, depth) {
    this.u8(9);
    this.u32(size);
    for (const [name, value] of entries) {
      try {
        if (typeof name !== 'string') throw new ValueFault('under a key that is no string');
        this.take(name.length);
        this.text(name, 'a key of a map');
        this.nested(value, depth + 1);
      } catch (error) {
        throw error instanceof ValueFault ? error.within(`.${String(name)}`) : error;
      }
    }
  }

  /** Properties by name, from an object or a Map. */
  props(props, floats) {
    if (props === undefined || props === null) return this.u32(0);
    if (isMap(props)) {
      const entries = [...props];
      this.u32(entries.length);
      for (const [name, value] of entries) this.prop(name, value, floats);
      return;
    }
    if (!isPlain(props)) throw invalid(`properties are ${describe(props)}: give an object of them`);
    if (hasSymbols(props)) throw invalid(`properties are an object with ${SYMBOLS}`);
    const place = this.place();
    let count = 0;
    // Whoever goes through an object so gets each member by its place, where an array of names would have it looked for.
    for (const name in props) {
      if (!hasOwn.call(props, name)) continue;
      this.prop(name, props[name], floats);
      count++;
    }
    this.fillU32(place, count);
  }

  prop(name, value, floats) {
    this.name(name, 'the name of a property');
    this.value(value, name, floats);
  }

  labels(labels) {
    if (labels === undefined || labels === null) return this.u32(0);
    if (!Array.isArray(labels)) throw invalid(`labels are ${describe(labels)}: give an array of strings`);
    const { length } = labels;
    this.u32(length);
    for (let nth = 0; nth < length; nth++) this.name(labels[nth], 'a label');
  }

  /** What names an edge: its ends, its type, its rank. */
  edgeKey(edge) {
    if (typeof edge !== 'object' || edge === null) {
      throw invalid(`an edge is ${describe(edge)}: give its src, type, dst, and rank if it has one`);
    }
    for (const member in edge) {
      if (!hasOwn.call(edge, member)) continue;
      if (member !== 'src' && member !== 'type' && member !== 'dst' && member !== 'rank' && member !== 'props') {
        throw invalid(`an edge has no ${member}: give its src, type, dst, and rank if it has one`);
      }
    }
    this.id(edge.src, 'src');
    this.name(edge.type, 'type');
    this.id(edge.dst, 'dst');
    this.u64(edge.rank ?? 0, 'rank');
  }

  /** Which properties are asked for: see `select.js`. */
  select(selected) {
    this.u8(selected.kind);
    if (selected.kind === 2) this.u32(selected.number);
    else if (selected.kind === 1) this.names(selected.names);
  }

  /** Names of properties. */
  names(names) {
    this.u32(names.length);
    for (const name of names) this.text(name, 'the name of a property');
  }

  /** Options by name; what is undefined or null is not given. */
  options(options) {
    const place = this.place();
    if (options === undefined || options === null) return;
    if (!isPlain(options)) throw invalid(`options are ${describe(options)}: give an object`);
    let count = 0;
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined || value === null) continue;
      this.text(name, 'an option');
      this.value(value, name);
      count++;
    }
    this.fillU32(place, count);
  }
}

const { hasOwnProperty: hasOwn } = Object.prototype;

const SYMBOLS = 'a member whose name is a symbol, which would be lost: give it a name that is text';

/** Whether an object has members that are enumerable and whose names are symbols. */
function hasSymbols(object) {
  const symbols = Object.getOwnPropertySymbols(object);
  return symbols.length > 0 && symbols.some((symbol) => Object.prototype.propertyIsEnumerable.call(object, symbol));
}

/** Whether an array has members beside its items. Holes are no items, and an error of their own. */
function hasMore(array, length) {
  const names = Object.keys(array);
  // Items come first, in their order.
  return (names.length > 0 && !isItem(names[names.length - 1], length)) || hasSymbols(array);
}

function isItem(name, length) {
  const at = Number(name);
  return Number.isInteger(at) && at >= 0 && at < length && String(at) === name;
}

/** The length of a typed array, whatever its `length` says. */
const { get: lengthOf } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'length');

const DETACHED = 'whose buffer is detached: what was in it is elsewhere now';

/** Whether what an empty array showed was given to somebody else. */
function isDetached(array) {
  try {
    new Uint8Array(array.buffer);
    return false;
  } catch {
    return true;
  }
}

function wholeNumber(value, what) {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) {
    return invalid(`${what} is ${value}, which is beyond what a number says exactly: give a bigint`);
  }
  return invalid(`${what} is ${describe(value)}: give a whole number from 0 on, or a bigint`);
}

function floatsOf(value, what) {
  if (!Array.isArray(value)) throw invalid(`${what} is ${describe(value)}: give a Float32Array, or an array of numbers`);
  if (hasMore(value, value.length)) throw invalid(`${what} is an array with members that are no items of it: give an array of numbers`);
  return Float32Array.from(value, (item, nth) => {
    if (typeof item !== 'number') throw invalid(`${what}[${nth}] is ${describe(item)}: give a Float32Array, or an array of numbers`);
    return item;
  });
}

function isPlain(value) {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  // That of another realm, too: a worker's message, or a test runner's.
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

module.exports = { KiteFloat, Writer, describe, isPlain };
