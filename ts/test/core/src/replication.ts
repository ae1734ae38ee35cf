import * as core from './index.js'
import { bindReplicationTransport } from '../../../dist/esm/replication_transport.js'

export * from '../../../dist/esm/replication_transport.js'
export const { createReplicationTransportAdapter, readReplicationSnapshotTransport, readReplicationLogTransport } =
  bindReplicationTransport<core.Database>(core)
