/**
 * What a host in Node serves of a primary's replication, and whom it serves: this is `@kitedb/core/replication`. Nothing here needs
 * the types of Node.
 */
import * as core from '@kitedb/core'
import {
  type ReplicationLogTransportOptions,
  type ReplicationLogTransportPage,
  type ReplicationSnapshotTransport,
  type ReplicationTransportAdapter,
  type ReplicationTransportAdapterOptions,
  bindReplicationTransport,
} from './transport/index.js'

export * from './auth/index.js'
export * from './transport/index.js'

/** Whatever kind of database those functions take. */
type Database = Parameters<typeof core.collectReplicationSnapshotTransportJson>[0]

const bound = bindReplicationTransport<Database>(core)

/**
 * What a host serves of this primary. Give it the authorizer as `authEnabled`, so that the metrics say whether they are guarded.
 * Its calls throw what the database says, as where that is no primary (`NOT_PRIMARY`).
 */
export function createReplicationTransportAdapter(
  db: Database,
  options?: ReplicationTransportAdapterOptions,
): ReplicationTransportAdapter {
  return bound.createReplicationTransportAdapter(db, options)
}

/** A snapshot of this primary; with `includeData` (default `false`) its bytes, of at most 32 MiB. */
export function readReplicationSnapshotTransport(db: Database, includeData?: boolean): ReplicationSnapshotTransport {
  return bound.readReplicationSnapshotTransport(db, includeData)
}

/** A page of this primary's log. */
export function readReplicationLogTransport(
  db: Database,
  options?: ReplicationLogTransportOptions,
): ReplicationLogTransportPage {
  return bound.readReplicationLogTransport(db, options)
}
