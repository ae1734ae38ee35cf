'use strict';
// What objects look like of which many are made: names that stand together, by the addon's numbers for their lists.

const { native } = require('./native.js');

/** Sets a property as an own one, whatever it is called. */
function define(object, name, value) {
  if (name === '__proto__') {
    Object.defineProperty(object, name, { value, configurable: true, enumerable: true, writable: true });
  } else {
    object[name] = value;
  }
}

/** So often objects are made name by name before a function is made that makes such ones. */
const OFTEN = 16;
/** No function is made for more names than these. */
const MOST = 64;

/**
 * A function that reads the values of these names and makes an object of them: all are of one shape then, for the engine of
 * JavaScript, which is what makes them fast to make and to use. Null where functions may not be made of text.
 */
function makerOf(names) {
  // Said so, `__proto__` is a name like others.
  const members = names.map((name) => `${name === '__proto__' ? '["__proto__"]' : JSON.stringify(name)}: r.value()`);
  try {
    return new Function('r', `return { ${members.join(', ')} };`);
  } catch {
    return null;
  }
}

class Shape {
  constructor(names) {
    this.names = names;
    this.left = names.length <= MOST ? OFTEN : Infinity;
    this.maker = null;
  }

  /** Reads the values, and makes an object of them. */
  read(r) {
    const { at } = r;
    try {
      return this.readAll(r);
    } catch (error) {
      // Which property it was is seen by reading them again one by one.
      r.at = at;
      for (const name of this.names) r.valueNamed(name);
      throw error;
    }
  }

  readAll(r) {
    if (this.maker !== null) return this.maker(r);
    if (--this.left === 0) this.maker = makerOf(this.names);
    const object = {};
    for (const name of this.names) define(object, name, r.value());
    return object;
  }
}

/** Those that the addon told. */
const shapes = [];

function shapeOf(number) {
  return shapes[number] ?? (shapes[number] = new Shape(native.list(number)));
}

module.exports = { define, shapeOf };
