'use strict';
// A node of a cluster, told what to do by lines of JSON: a method of its database with arguments, or a function of the package.

const { createInterface } = require('node:readline');
const kitedb = require('@kitedb/core');

const [path, options] = process.argv.slice(2);
const db = kitedb.Database.open(path, JSON.parse(options));

const own = {
  /** Commits nodes for as long as the process lives, and says the number of each once it is acknowledged. */
  async load(prefix) {
    for (let n = 0; ; n++) {
      const tx = db.begin();
      tx.createNode(`${prefix}${n}`);
      const token = await tx.commitAsync();
      process.stdout.write(`${JSON.stringify({ n, token })}\n`);
    }
  },
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { method, args = [] } = JSON.parse(line);
  let answer;
  try {
    const f = own[method] ?? (db[method] ? db[method].bind(db) : (...rest) => kitedb[method](db, ...rest));
    answer = { result: (await f(...args)) ?? null };
  } catch (error) {
    answer = { code: error.code, message: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
