/**
 * What a host in Node serves of a primary's replication, and whom it serves: `@kitedb/core/replication`. Nothing here needs the
 * types of Node, or loads the native module: {@link bindReplicationTransport} is given its functions.
 */
export * from './auth/index.js'
export * from './transport/index.js'
