'use strict';
// What a host serves of replication, and whom: built from `ts/` of the repository.

// It is made of functions of the package, which must be whole when it asks for them.
require('./index.js');

module.exports = require('./replication/replication_transport.js');
