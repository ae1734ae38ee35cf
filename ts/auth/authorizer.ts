import {
  REPLICATION_ADMIN_AUTH_MODES,
  type ReplicationAdminAuthConfig,
  type ReplicationAdminAuthMode,
  headerOption,
  knownOptions,
  textOption,
} from './config.js'
import { ReplicationAdminAuthError, ReplicationAdminConfigError } from './error.js'
import { type CertificateVerdict, ruleOf } from './matchers.js'
import { type ReplicationTrustedProxies, proxyRule } from './proxies.js'
import { type ReplicationAdminAuthRequest, readHeader } from './request.js'
import { subjectOfHeader, subjectRule } from './subject.js'
import { bearerTokenRule } from './token.js'

const CERT_HEADER = 'x-forwarded-client-cert'

/** Throws `ReplicationAdminAuthError` where a request is not admitted. */
export interface ReplicationAdminAuthorizer<Request extends ReplicationAdminAuthRequest = ReplicationAdminAuthRequest> {
  (request: Request): void
  readonly mode: ReplicationAdminAuthMode
  /** Whether it asks for anything: what `kitedb_replication_auth_enabled` says. */
  readonly authEnabled: boolean
}

/** How a request ends: 0 is admitted, else the status of the answer. */
type Outcome = 0 | 401 | 403

const ANSWERS: Record<CertificateVerdict, Outcome> = { admitted: 0, refused: 403, absent: 401 }

/**
 * Makes what admits requests to the administration of replication. What cannot be meant is refused here, and never becomes an
 * open door: a mode that is not known, or not given though something to check is; a token that is missing; a header that anybody
 * can send; a pattern that admits everybody.
 *
 * @throws ReplicationAdminConfigError
 */
export function createReplicationAdminAuthorizer<
  Request extends ReplicationAdminAuthRequest = ReplicationAdminAuthRequest,
>(config: ReplicationAdminAuthConfig<Request>): ReplicationAdminAuthorizer<Request> {
  const { mode, outcome } = rules(config)
  const authorize = (request: Request): void => {
    const status = outcome(request)
    if (status !== 0) throw new ReplicationAdminAuthError(status, mode)
  }
  return Object.freeze(Object.assign(authorize, { mode, authEnabled: mode !== 'none' }))
}

/** Tells whether a request is admitted. Throws on a configuration that cannot be meant, and what `mtlsMatcher` throws. */
export function isReplicationAdminAuthorized<Request extends ReplicationAdminAuthRequest = ReplicationAdminAuthRequest>(
  request: Request,
  config: ReplicationAdminAuthConfig<Request>,
): boolean {
  return rules(config).outcome(request) === 0
}

/**
 * Throws where a request is not admitted. To ask more than once, make an authorizer.
 *
 * @throws ReplicationAdminAuthError, ReplicationAdminConfigError
 */
export function authorizeReplicationAdminRequest<
  Request extends ReplicationAdminAuthRequest = ReplicationAdminAuthRequest,
>(request: Request, config: ReplicationAdminAuthConfig<Request>): void {
  createReplicationAdminAuthorizer(config)(request)
}

function rules<Request extends ReplicationAdminAuthRequest>(
  config: ReplicationAdminAuthConfig<Request>,
): { mode: ReplicationAdminAuthMode; outcome: (request: Request) => Outcome } {
  const given = knownOptions(config, 'the replication admin auth configuration', [
    'mode',
    'token',
    'mtlsHeader',
    'mtlsSubjectRegex',
    'trustedProxies',
    'mtlsMatcher',
  ])
  const mode = modeOf(given.mode, Object.keys(given))
  const token = textOption(given.token, 'token')
  if (token === undefined && mode.includes('token')) {
    throw new ReplicationAdminConfigError(`replication admin auth mode '${mode}' requires a non-empty token`)
  }
  // Both are looked over whatever the mode: what is wrong in them now is wrong when the mode is changed.
  const hasToken = token === undefined ? () => false : bearerTokenRule(token)
  const certificate = certificateRuleOf<Request>(given)
  switch (mode) {
    case 'none':
      return { mode, outcome: () => 0 }
    case 'token':
      return { mode, outcome: (request) => (hasToken(request) ? 0 : 401) }
    case 'mtls':
      return { mode, outcome: (request) => ANSWERS[certificate(request)] }
    case 'token_or_mtls':
      return { mode, outcome: (request) => (hasToken(request) || certificate(request) === 'admitted' ? 0 : 401) }
    case 'token_and_mtls':
      return {
        mode,
        // Both are looked at, and the answer is the same: nobody learns which of the two was right.
        outcome: (request) => {
          const [verdict, tokenIsRight] = [certificate(request), hasToken(request)]
          return tokenIsRight && verdict === 'admitted' ? 0 : 401
        },
      }
  }
}

function modeOf(given: unknown, options: readonly string[]): ReplicationAdminAuthMode {
  if (given === undefined) {
    if (options.length === 0) return 'none'
    throw new ReplicationAdminConfigError(
      `Invalid replication admin auth mode: none is given, though ${options.join(', ')} is: say which of ` +
        `${REPLICATION_ADMIN_AUTH_MODES.join(', ')} is meant`,
    )
  }
  const mode = REPLICATION_ADMIN_AUTH_MODES.find((known) => known === given)
  if (mode !== undefined) return mode
  const shown = typeof given === 'string' ? ` '${given}'` : ''
  throw new ReplicationAdminConfigError(
    `Invalid replication admin auth mode${shown}: give one of ${REPLICATION_ADMIN_AUTH_MODES.join(', ')}`,
  )
}

/** What tells of a certificate: the matcher, or the header from a proxy. Where the mode asks for none, it is looked over all the same. */
function certificateRuleOf<Request extends ReplicationAdminAuthRequest>(
  given: Partial<Record<'mtlsHeader' | 'mtlsSubjectRegex' | 'trustedProxies' | 'mtlsMatcher', unknown>>,
): (request: Request) => CertificateVerdict {
  const { mtlsMatcher } = given
  if (mtlsMatcher !== undefined && typeof mtlsMatcher !== 'function') {
    throw new ReplicationAdminConfigError('mtlsMatcher must be a function')
  }
  const header = headerOption(given.mtlsHeader, 'mtlsHeader') ?? CERT_HEADER
  const admits =
    given.mtlsSubjectRegex === undefined ? undefined : subjectRule(given.mtlsSubjectRegex as RegExp, 'mtlsSubjectRegex')
  const comesFromProxy = proxyRule(
    given.trustedProxies as ReplicationTrustedProxies | undefined,
    'the replication admin auth configuration',
  )
  // It decides alone. What is given beside it was looked over all the same, for when it is taken away.
  if (mtlsMatcher !== undefined) return ruleOf(mtlsMatcher as (request: Request) => boolean)
  return (request) => {
    const reading = readHeader(request, header)
    if (reading.kind !== 'one' || !comesFromProxy(request)) return 'absent'
    if (admits === undefined) return 'admitted'
    const subject = subjectOfHeader(reading.value)
    return subject !== undefined && admits(subject) ? 'admitted' : 'refused'
  }
}
