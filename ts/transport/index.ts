export {
  type ReplicationAbortSignal,
  type ReplicationLogFrame,
  type ReplicationLogStreamOptions,
  type ReplicationLogTransportOptions,
  type ReplicationTransport,
  type ReplicationTransportAdapter,
  type ReplicationTransportAdapterOptions,
  type ReplicationTransportCallOptions,
  type ReplicationTransportDatabase,
  type ReplicationTransportFunctions,
  bindReplicationTransport,
} from './adapter.js'
export {
  type ReplicationLogBinaryPage,
  decodeReplicationFrames,
  encodeReplicationFrames,
  replicationFrameBytes,
  replicationSnapshotBytes,
} from './binary.js'
export { ReplicationTransportError, ReplicationTransportGapError } from './error.js'
export {
  type ReplicationExportedSnapshot,
  type ReplicationSnapshotImage,
  type ReplicationSnapshotImageInfo,
} from './image.js'
export {
  type ReplicationLogTransportFrame,
  type ReplicationLogTransportGap,
  type ReplicationLogTransportPage,
  type ReplicationSnapshotTransport,
  parseReplicationLogTransport,
  parseReplicationSnapshotTransport,
} from './json.js'
