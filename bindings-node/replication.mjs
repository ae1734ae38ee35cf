// The same for `import`: one instance, whichever way it is loaded. Written by scripts/modules.mjs.

import all from './replication.js';

export const {
  ReplicationAdminAuthError,
  ReplicationAdminConfigError,
  ReplicationTransportError,
  ReplicationTransportGapError,
  authorizeReplicationAdminRequest,
  bindReplicationTransport,
  createForwardedTlsMtlsMatcher,
  createNodeTlsMtlsMatcher,
  createReplicationAdminAuthorizer,
  createReplicationTransportAdapter,
  decodeReplicationFrames,
  encodeReplicationFrames,
  isForwardedTlsClientAuthorized,
  isNodeTlsClientAuthorized,
  isReplicationAdminAuthorized,
  parseReplicationLogTransport,
  parseReplicationSnapshotTransport,
  readReplicationLogTransport,
  readReplicationSnapshotTransport,
  replicationFrameBytes,
  replicationSnapshotBytes,
} = all;
