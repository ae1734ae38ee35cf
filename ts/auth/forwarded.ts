import { flagOption, headerOption, knownOptions, textOption } from './config.js'
import { ReplicationAdminConfigError } from './error.js'
import { type CertificateVerdict, matcherOf } from './matchers.js'
import { type ReplicationTrustedProxies, proxyRule } from './proxies.js'
import { type HeaderReading, type ReplicationAdminAuthRequest, readHeader } from './request.js'
import { subjectOfHeader, subjectRule } from './subject.js'

export interface ReplicationForwardedMtlsMatcherOptions {
  /**
   * The proxies that verify certificates and set these headers, whatever the client sent under their names. Default: connections
   * from this machine, and requests that are made of `headers` alone, as in `ReplicationAdminAuthConfig`.
   */
  trustedProxies?: ReplicationTrustedProxies | null | undefined
  /** Whether a header must say that the certificate was verified. Default `true`. */
  requireVerifyHeader?: boolean | null | undefined
  /**
   * The headers that may say so. Each of them that is there must. Default `x-client-verify` and `ssl-client-verify`; name the
   * one that your proxy sets, as it may pass on the other one from a client.
   */
  verifyHeaders?: readonly string[] | null | undefined
  /** What they say, in whatever case. Default `success, successful, true, 1, yes, verified, ok`. */
  successValues?: readonly string[] | null | undefined
  /** Whether a header must have the certificate or its subject. Default `false`; `subjectRegex` asks for it anyway. */
  requirePeerCertificate?: boolean | null | undefined
  /** The headers that may have it. Default `x-forwarded-client-cert` and `x-client-cert`. */
  certHeaders?: readonly string[] | null | undefined
  /** Whose certificate is admitted: every one of `certHeaders` that is there has a subject of which whole attributes match. */
  subjectRegex?: RegExp | null | undefined
}

const VERIFY_HEADERS = ['x-client-verify', 'ssl-client-verify']
const CERT_HEADERS = ['x-forwarded-client-cert', 'x-client-cert']
const SUCCESS_VALUES = ['success', 'successful', 'true', '1', 'yes', 'verified', 'ok']

/** Tells whether a proxy that is trusted says that it verified the client's certificate. */
export function isForwardedTlsClientAuthorized(
  request: ReplicationAdminAuthRequest,
  options: ReplicationForwardedMtlsMatcherOptions = {},
): boolean {
  return forwardedRule(options)(request) === 'admitted'
}

/**
 * {@link isForwardedTlsClientAuthorized} as an `mtlsMatcher`. Throws `ReplicationAdminConfigError` on options that cannot be meant,
 * as where nothing is asked for.
 */
export function createForwardedTlsMtlsMatcher(
  options: ReplicationForwardedMtlsMatcherOptions = {},
): (request: ReplicationAdminAuthRequest) => boolean {
  return matcherOf(forwardedRule(options))
}

function forwardedRule(
  options: ReplicationForwardedMtlsMatcherOptions,
): (request: ReplicationAdminAuthRequest) => CertificateVerdict {
  const what = 'the forwarded-header matcher'
  const given = knownOptions(options, what, [
    'trustedProxies',
    'requireVerifyHeader',
    'verifyHeaders',
    'successValues',
    'requirePeerCertificate',
    'certHeaders',
    'subjectRegex',
  ])
  const comesFromProxy = proxyRule(given.trustedProxies, what)
  const verifyHeaders = headerNames(given.verifyHeaders, 'verifyHeaders') ?? VERIFY_HEADERS
  const certHeaders = headerNames(given.certHeaders, 'certHeaders')
  const successValues = new Set(texts(given.successValues, 'successValues') ?? SUCCESS_VALUES)
  const admits = given.subjectRegex === undefined ? undefined : subjectRule(given.subjectRegex, 'subjectRegex')
  const mustVerify = flagOption(given.requireVerifyHeader, 'requireVerifyHeader', true)
  const mustHaveCertificate =
    flagOption(given.requirePeerCertificate, 'requirePeerCertificate', false) || admits !== undefined
  if (!mustVerify && !(mustHaveCertificate && certHeaders?.length === 1)) {
    throw new ReplicationAdminConfigError(
      `${what} without requireVerifyHeader asks for nothing that a client could not pass through the proxy: set ` +
        'requirePeerCertificate, and in certHeaders the one header that the proxy always sets or removes',
    )
  }
  return (request) => {
    if (!comesFromProxy(request)) return 'absent'
    const said = readings(request, verifyHeaders)
    if (said === undefined || (mustVerify && said.length === 0)) return 'absent'
    if (!said.every((value) => successValues.has(value.toLowerCase()))) return 'absent'
    if (!mustHaveCertificate) return 'admitted'
    const certificates = readings(request, certHeaders ?? CERT_HEADERS)
    if (certificates === undefined || certificates.length === 0) return 'absent'
    if (admits === undefined) return 'admitted'
    const subjects = certificates.map(subjectOfHeader)
    return subjects.every((subject) => subject !== undefined && admits(subject)) ? 'admitted' : 'refused'
  }
}

/** What these headers say; `undefined` where one of them came more than once. */
function readings(request: ReplicationAdminAuthRequest, names: readonly string[]): readonly string[] | undefined {
  const found: readonly HeaderReading[] = names.map((name) => readHeader(request, name))
  if (found.some(({ kind }) => kind === 'ambiguous')) return undefined
  return found.flatMap((reading) => (reading.kind === 'one' ? [reading.value] : []))
}

function headerNames(names: unknown, option: string): readonly string[] | undefined {
  return texts(names, option)?.map((name) => headerOption(name, option) ?? name)
}

/** The entries that are not blank, in lower case; `undefined` where there are none, so that the default counts. */
function texts(given: unknown, option: string): readonly string[] | undefined {
  if (given === undefined) return undefined
  if (!Array.isArray(given)) throw new ReplicationAdminConfigError(`${option} must be a list of strings`)
  const entries = given.flatMap((entry: unknown) => textOption(entry ?? undefined, option)?.toLowerCase() ?? [])
  return entries.length === 0 ? undefined : entries
}
