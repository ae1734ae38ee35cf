'use strict';
// Which properties are asked for. Who asks again and again for the same ones tells their names to the addon once.

const { begin, call } = require('./call.js');
const { invalid } = require('./errors.js');
const { describe } = require('./writer.js');

/** So many lists of names get a number; others go with each call. */
const MOST = 1024;
/** So many are compared before one is looked up. */
const RECENT = 4;

const ALL = { names: [], number: -1, kind: 0 };
const known = new Map();
/** The last ones that were asked for, and where the next one goes. */
const recent = [];
let next = 0;

function isOf(names, select) {
  const { length } = names;
  if (select.length !== length) return false;
  for (let nth = 0; nth < length; nth++) {
    if (names[nth] !== select[nth]) return false;
  }
  return true;
}

/** What is asked for: all properties, or those of an array. */
function selected(select) {
  if (select === undefined || select === null) return ALL;
  if (!Array.isArray(select)) throw invalid(`select is ${describe(select)}: give an array of the names of properties`);
  for (let nth = 0; nth < recent.length; nth++) {
    if (isOf(recent[nth].names, select)) return recent[nth];
  }
  return found(select);
}

function found(select) {
  // A copy: what is asked for is fetched later, too, when the caller may have changed his array.
  const names = [...select];
  for (const name of names) {
    if (typeof name !== 'string') throw invalid(`the name of a property is ${describe(name)}: give a string`);
  }
  const key = JSON.stringify(names);
  let told = known.get(key);
  if (told === undefined) {
    told = { names, number: -1, kind: 1 };
    if (known.size === MOST) return told;
    const w = begin();
    w.names(names);
    told.number = call('select', w).u32();
    told.kind = 2;
    known.set(key, told);
  }
  recent[next] = told;
  next = (next + 1) % RECENT;
  return told;
}

module.exports = { selected };
