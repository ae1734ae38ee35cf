import type { ReplicationAdminAuthMode } from './config.js'

/**
 * A request that was not admitted. `status` (and `statusCode`, where Fastify looks) is what an HTTP host answers: 401 where
 * nothing that the mode asks for was shown, or the wrong thing; 403 where a certificate was shown and believed, and its subject
 * is not one that is admitted. Neither the message nor any member repeats what the request or the configuration held.
 */
export class ReplicationAdminAuthError extends Error {
  override readonly name = 'ReplicationAdminAuthError'
  readonly code: 'UNAUTHORIZED' | 'FORBIDDEN'
  readonly status: 401 | 403
  readonly statusCode: 401 | 403
  readonly mode: ReplicationAdminAuthMode
  /** What the answer should have beside its status. */
  readonly headers: Readonly<Record<string, string>>
  /** The message may be shown to whoever asked. */
  readonly expose = true

  constructor(status: 401 | 403, mode: ReplicationAdminAuthMode) {
    const why = status === 403 ? ': this certificate is not admitted' : ''
    super(`Unauthorized: replication admin auth mode '${mode}' not satisfied${why}`)
    this.code = status === 403 ? 'FORBIDDEN' : 'UNAUTHORIZED'
    this.status = status
    this.statusCode = status
    this.mode = mode
    const challenged = status === 401 && mode !== 'mtls'
    this.headers = Object.freeze(challenged ? { 'www-authenticate': 'Bearer realm="kitedb replication"' } : {})
  }
}

/** A configuration that cannot be meant as it stands. Nothing was made of it, so nothing is served by it. */
export class ReplicationAdminConfigError extends TypeError {
  override readonly name = 'ReplicationAdminConfigError'
  readonly code = 'INVALID_CONFIG'
  readonly status = 500
  readonly statusCode = 500
}
