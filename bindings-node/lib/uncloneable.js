'use strict';
// What stands for something in the addon cannot be copied, and sending it to another thread would copy it: an empty object that looks
// like nothing came of it. Node 20 has no word for that, and copies it all the same.

const { markAsUncloneable = () => {} } = process.getBuiltinModule('node:worker_threads');

module.exports = { markAsUncloneable };
