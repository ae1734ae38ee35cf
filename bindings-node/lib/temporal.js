'use strict';
// Dates, times and durations. Small immutable objects; their text is the engine's.

const { invalid } = require('./errors.js');
const { isDate } = process.getBuiltinModule('node:util').types;

const inspect = Symbol.for('nodejs.util.inspect.custom');

/** Reads and writes text, once the rest of the package is there. */
const core = () => require('./call.js');
const only = (...given) => require('./options.js').only(...given);

class Temporal {
  /** The value that an ISO 8601 text says. */
  static parse(text) {
    const { begin, call } = core();
    const w = begin();
    w.text(this.kind, 'a kind');
    w.text(text, `the text of a ${this.name}`);
    return this.read(call('temporal_parse', w));
  }

  toString() {
    const { begin, call } = core();
    const w = begin();
    w.nested(this, 0);
    return call('temporal_text', w).text();
  }

  toJSON() {
    return this.toString();
  }

  /** Whether both are of one kind and say the same. */
  equals(other) {
    return other?.constructor === this.constructor && Object.keys(this).every((name) => this[name] === other[name]);
  }

  /** They are compared by `equals`: of two objects `<` would compare texts, which are not in the order of the times that they say. */
  valueOf() {
    throw invalid(
      `a ${this.constructor.name} is no number: ask equals() whether two are the same, and to order them compare their numbers ` +
        '(such as epochSeconds, days, nanoseconds), or what toTemporal() gives by its compare',
    );
  }

  [inspect](_depth, options) {
    return `${options.stylize(this.constructor.name, 'special')} ${this}`;
  }

  /** The same value in the class of `Temporal` that this runtime has for it. */
  toTemporal() {
    const type = this.temporalType();
    const found = globalThis.Temporal?.[type];
    if (type === undefined) throw invalid(`Temporal has no class for a ${this.constructor.name}`);
    if (found === undefined) throw invalid('this runtime has no Temporal: use the ISO 8601 text, toString()');
    return found.from(this.toString());
  }
}

function whole(value, what) {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw invalid(`${what} is ${value}: give a whole number`);
  return value;
}

function big(value, what) {
  if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) {
    throw invalid(`${what} is ${value}: give a whole number, or a bigint`);
  }
  const integer = BigInt(value);
  if (BigInt.asIntN(64, integer) !== integer) throw invalid(`${what} is ${value}, which does not fit 64 bits`);
  return integer;
}

/** What the engine makes of the numbers of a value: it says where they are none. */
function checked(value) {
  value.toString();
  return Object.freeze(value);
}

/** One that was read: the engine has checked it. */
function made(type, fields) {
  return Object.freeze(Object.assign(Object.create(type.prototype), fields));
}

class LocalDate extends Temporal {
  static kind = 'date';
  constructor(days) {
    super();
    this.days = whole(days, 'days');
    checked(this);
  }
  static read(r) {
    return made(this, { days: Number(r.bigI64()) });
  }
  static tag = 10;
  put(w) {
    w.bigI64(BigInt(this.days));
  }
  temporalType() {
    return 'PlainDate';
  }
}

class LocalTime extends Temporal {
  static kind = 'local_time';
  constructor(nanoseconds) {
    super();
    this.nanoseconds = whole(nanoseconds, 'nanoseconds');
    checked(this);
  }
  static read(r) {
    return made(this, { nanoseconds: Number(r.bigU64()) });
  }
  static tag = 11;
  put(w) {
    w.u64(this.nanoseconds, 'nanoseconds');
  }
  temporalType() {
    return 'PlainTime';
  }
}

class Time extends Temporal {
  static kind = 'time';
  constructor(nanoseconds, offsetSeconds) {
    super();
    this.nanoseconds = whole(nanoseconds, 'nanoseconds');
    this.offsetSeconds = whole(offsetSeconds, 'offsetSeconds');
    checked(this);
  }
  static read(r) {
    return made(this, { nanoseconds: Number(r.bigU64()), offsetSeconds: r.i32() });
  }
  static tag = 12;
  put(w) {
    w.u64(this.nanoseconds, 'nanoseconds');
    w.i32(within32(this.offsetSeconds, 'offsetSeconds'));
  }
  temporalType() {
    return undefined;
  }
}

function within32(value, what) {
  if ((value | 0) !== value) throw invalid(`${what} is ${value}, which does not fit 32 bits`);
  return value;
}

function nanosecond(value) {
  if (!Number.isInteger(value) || value < 0 || value > 4294967295) {
    throw invalid(`nanoseconds is ${value}: give a whole number below 1,000,000,000`);
  }
  return value;
}

class LocalDateTime extends Temporal {
  static kind = 'local_date_time';
  constructor(seconds, nanoseconds = 0) {
    super();
    this.seconds = big(seconds, 'seconds');
    this.nanoseconds = nanosecond(nanoseconds);
    checked(this);
  }
  static read(r) {
    return made(this, { seconds: r.bigI64(), nanoseconds: r.u32() });
  }
  static tag = 13;
  put(w) {
    w.bigI64(this.seconds);
    w.u32(this.nanoseconds);
  }
  temporalType() {
    return 'PlainDateTime';
  }
}

class DateTime extends Temporal {
  static kind = 'date_time';
  constructor(seconds, nanoseconds = 0, offsetSeconds = 0, zone = null) {
    super();
    this.seconds = big(seconds, 'seconds');
    this.nanoseconds = nanosecond(nanoseconds);
    this.offsetSeconds = whole(offsetSeconds, 'offsetSeconds');
    this.zone = zone;
    if (zone === '') throw invalid('zone is empty: leave it out where there is none');
    checked(this);
  }
  static read(r) {
    const [seconds, nanoseconds, offsetSeconds] = [r.bigI64(), r.u32(), r.i32()];
    return made(this, { seconds, nanoseconds, offsetSeconds, zone: r.text() || null });
  }
  /** The instant of a Date of JavaScript, in UTC. */
  static fromJSDate(date) {
    const ms = date.getTime();
    if (!Number.isFinite(ms)) throw invalid('the Date is invalid: it is no instant');
    const seconds = Math.floor(ms / 1000);
    return new DateTime(seconds, (ms - seconds * 1000) * 1_000_000);
  }
  static tag = 14;
  put(w) {
    w.bigI64(this.seconds);
    w.u32(this.nanoseconds);
    w.i32(within32(this.offsetSeconds, 'offsetSeconds'));
    w.text(this.zone ?? '', 'zone');
  }
  /** The same instant as a Date of JavaScript. */
  toJSDate() {
    if (this.nanoseconds % 1_000_000 !== 0) {
      throw new RangeError(`${this} is not a whole number of milliseconds, which is all that a Date says: use its fields`);
    }
    const date = new Date(Number(this.seconds) * 1000 + this.nanoseconds / 1_000_000);
    if (Number.isNaN(date.getTime())) throw new RangeError(`${this} is beyond what a Date says: use its fields`);
    return date;
  }
  temporalType() {
    return this.zone === null ? 'Instant' : 'ZonedDateTime';
  }
}

const PARTS = ['months', 'days', 'seconds', 'nanoseconds'];

class Duration extends Temporal {
  static kind = 'duration';
  constructor(parts) {
    super();
    const { months = 0, days = 0, seconds = 0, nanoseconds = 0 } = only(parts, 'a Duration', PARTS);
    this.months = big(months, 'months');
    this.days = big(days, 'days');
    this.seconds = big(seconds, 'seconds');
    this.nanoseconds = nanosecond(nanoseconds);
    checked(this);
  }
  static read(r) {
    return made(this, { months: r.bigI64(), days: r.bigI64(), seconds: r.bigI64(), nanoseconds: r.u32() });
  }
  static tag = 15;
  put(w) {
    w.bigI64(this.months);
    w.bigI64(this.days);
    w.bigI64(this.seconds);
    w.u32(this.nanoseconds);
  }
  temporalType() {
    return 'Duration';
  }
}

const byTag = [LocalDate, LocalTime, Time, LocalDateTime, DateTime, Duration];

/** Reads a value of which the tag comes next. */
function read(r) {
  return byTag[r.u8() - 10].read(r);
}

/** What the classes of `Temporal` are here. */
const byTemporal = {
  'Temporal.PlainDate': LocalDate,
  'Temporal.PlainTime': LocalTime,
  'Temporal.PlainDateTime': LocalDateTime,
  'Temporal.Instant': DateTime,
  'Temporal.ZonedDateTime': DateTime,
  'Temporal.Duration': Duration,
};

/** Writes a value if it is a date, a time or a duration; returns whether it is one. */
function write(w, value) {
  let found = value;
  if (!(value instanceof Temporal)) {
    if (isDate(value)) {
      found = DateTime.fromJSDate(value);
    } else {
      const type = byTemporal[Object.prototype.toString.call(value).slice(8, -1)];
      if (type === undefined) return false;
      found = type.parse(String(value));
    }
  }
  w.u8(found.constructor.tag);
  found.put(w);
  return true;
}

module.exports = { DateTime, Duration, LocalDate, LocalDateTime, LocalTime, Time, read, write };
