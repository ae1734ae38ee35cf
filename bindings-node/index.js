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
