'use strict';

// Before classes are made: older runtimes have no symbols for `using`.
require('./lib/dispose.js');
const { KiteDbError } = require('./lib/errors.js');
const { AllTypes } = require('./lib/graph.js');
const { Database, SyncMode } = require('./lib/database.js');
const { BulkLoader, Pending, Snapshot, Transaction } = require('./lib/transaction.js');
const { KiteFloat } = require('./lib/writer.js');
const { DateTime, Duration, LocalDate, LocalDateTime, LocalTime, Time } = require('./lib/temporal.js');
const { database, ...replication } = require('./lib/replication.js');
const telemetry = require('./lib/telemetry.js');
const { version } = require('./package.json');

const exported = {
  AllTypes,
  BulkLoader,
  Database,
  DateTime,
  Duration,
  KiteDbError,
  KiteFloat,
  LocalDate,
  LocalDateTime,
  LocalTime,
  Pending,
  Snapshot,
  SyncMode,
  Time,
  Transaction,
  float: (value) => new KiteFloat(value),
  open: Database.open,
  openAsync: Database.openAsync,
  openDatabase: Database.open,
  version: () => version,
  ...replication,
  ...telemetry,
};

module.exports = exported;

// What a host serves of replication is made of the functions above, and so is loaded when they are there. These names of it are
// here, too; all of it is `@kitedb/core/replication`.
const served = require('./replication/replication_transport.js');
for (const name of [
  'authorizeReplicationAdminRequest',
  'createForwardedTlsMtlsMatcher',
  'createNodeTlsMtlsMatcher',
  'createReplicationAdminAuthorizer',
  'createReplicationTransportAdapter',
  'isForwardedTlsClientAuthorized',
  'isNodeTlsClientAuthorized',
  'isReplicationAdminAuthorized',
  'readReplicationLogTransport',
  'readReplicationSnapshotTransport',
]) {
  exported[name] = served[name];
}
