export {
  type ReplicationAdminAuthorizer,
  authorizeReplicationAdminRequest,
  createReplicationAdminAuthorizer,
  isReplicationAdminAuthorized,
} from './authorizer.js'
export { type ReplicationAdminAuthConfig, type ReplicationAdminAuthMode } from './config.js'
export { ReplicationAdminAuthError, ReplicationAdminConfigError } from './error.js'
export {
  type ReplicationForwardedMtlsMatcherOptions,
  createForwardedTlsMtlsMatcher,
  isForwardedTlsClientAuthorized,
} from './forwarded.js'
export {
  type ReplicationNodeMtlsMatcherOptions,
  type ReplicationNodeTlsLikeRequest,
  type ReplicationNodeTlsLikeSocket,
  createNodeTlsMtlsMatcher,
  isNodeTlsClientAuthorized,
} from './node_tls.js'
export { type ReplicationTrustedProxies } from './proxies.js'
export {
  type ReplicationAdminAuthHeaders,
  type ReplicationAdminAuthRequest,
  type ReplicationPeerLikeSocket,
} from './request.js'
