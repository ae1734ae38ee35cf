'use strict';
// A thread of Node with its own instance of the addon, on an engine that it shares with the others.

const { parentPort, workerData } = require('node:worker_threads');
const { Database } = require('@kitedb/core');

const db = Database.open(workerData.path);
for (let n = 0; n < 200; n++) db.createNode(`${workerData.name}-${n}`);
if (workerData.leave) {
  // With everything open: the thread ends, and what it held with it.
  const tx = db.begin();
  tx.createNode('never');
  db.snapshot();
  const scan = db.nodes();
  scan.next();
  globalThis.kept = [db, tx, scan];
  db.begin().commitAsync();
  db.checkAsync();
  db.checkpointAsync({ onProgress() {} });
  db.waitForTokenAsync('1:999999', 1 << 30);
  process.exit(0);
} else {
  db.close();
  parentPort.postMessage('done');
}
