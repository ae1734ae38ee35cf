'use strict';
// Opens a database, commits for as long as it lives, and says the number of each commit once it is acknowledged.

const { writeSync } = require('node:fs');
const { Database } = require('@kitedb/core');

const [path, options] = process.argv.slice(2);
const db = Database.open(path, JSON.parse(options ?? '{}'));
writeSync(1, 'open\n');
if (process.argv[4] === 'commit') {
  for (let n = 0; ; n++) {
    db.createNode(`n${n}`);
    writeSync(1, `${n}\n`);
  }
}
process.stdin.on('end', () => process.exit(0)).resume();
