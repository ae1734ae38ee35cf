import { flagOption, knownOptions } from './config.js'
import { type CertificateVerdict, matcherOf } from './matchers.js'
import { member } from './member.js'
import { type ReplicationAdminAuthRequest, type ReplicationPeerLikeSocket, layersOf } from './request.js'
import { subjectOfCertificate, subjectRule } from './subject.js'

/** A socket of Node's `tls`, as far as it is looked at. */
export interface ReplicationNodeTlsLikeSocket extends ReplicationPeerLikeSocket {
  /** Whether the client's certificate was verified. `false` where none was asked for. */
  readonly authorized?: boolean | null | undefined
  readonly getPeerCertificate?: (() => unknown) | undefined
}

/** A request whose socket is at one of the places where Node, Express and Fastify have it. */
export interface ReplicationNodeTlsLikeRequest extends ReplicationAdminAuthRequest {
  readonly socket?: ReplicationNodeTlsLikeSocket | null | undefined
  readonly client?: ReplicationNodeTlsLikeSocket | null | undefined
  readonly raw?: { readonly socket?: ReplicationNodeTlsLikeSocket | null | undefined } | null | undefined
  readonly req?: { readonly socket?: ReplicationNodeTlsLikeSocket | null | undefined } | null | undefined
}

export interface ReplicationNodeMtlsMatcherOptions {
  /**
   * Whether the certificate itself must be at hand, too, where the socket has no `getPeerCertificate` to ask for it. Default
   * `false`; `subjectRegex` asks for it anyway. Where the socket has one, it must be there in any case.
   */
  requirePeerCertificate?: boolean | null | undefined
  /** Whose certificate is admitted, by whole attributes of its subject, as RFC 4514 writes it: `CN=admin,O=KiteDB`. */
  subjectRegex?: RegExp | null | undefined
}

/**
 * Tells whether this process verified the client's certificate, in the handshake of the connection that the request came over.
 * The server must ask for one (`requestCert: true`). Where a proxy ends TLS and has a certificate of its own, all that it passes
 * on is the proxy's: use `createForwardedTlsMtlsMatcher` there.
 */
export function isNodeTlsClientAuthorized(
  request: ReplicationNodeTlsLikeRequest,
  options: ReplicationNodeMtlsMatcherOptions = {},
): boolean {
  return nodeTlsRule(options)(request) === 'admitted'
}

/** {@link isNodeTlsClientAuthorized} as an `mtlsMatcher`. Throws `ReplicationAdminConfigError` on options that cannot be meant. */
export function createNodeTlsMtlsMatcher(
  options: ReplicationNodeMtlsMatcherOptions = {},
): (request: ReplicationNodeTlsLikeRequest) => boolean {
  return matcherOf(nodeTlsRule(options))
}

function nodeTlsRule(
  options: ReplicationNodeMtlsMatcherOptions,
): (request: ReplicationNodeTlsLikeRequest) => CertificateVerdict {
  const given = knownOptions(options, 'the Node TLS matcher', ['requirePeerCertificate', 'subjectRegex'])
  const certificateIsNeeded = flagOption(given.requirePeerCertificate, 'requirePeerCertificate', false)
  const admits = given.subjectRegex === undefined ? undefined : subjectRule(given.subjectRegex, 'subjectRegex')
  return (request) => {
    const sockets = [...layersOf(request).map((layer) => member(layer, 'socket')), member(request, 'client')]
    const verified = sockets.find((socket) => member(socket, 'authorized') === true)
    if (verified === undefined) return 'absent'
    const isNeeded = certificateIsNeeded || admits !== undefined
    // A session that began without a certificate and is resumed counts as authorized in Node. Then there is none to be had.
    if (!isNeeded && typeof member(verified, 'getPeerCertificate') !== 'function') return 'admitted'
    const certificate = certificateOf(verified)
    if (certificate === undefined) return 'absent'
    if (admits === undefined) return 'admitted'
    const subject = subjectOfCertificate(certificate)
    return subject !== undefined && admits(subject) ? 'admitted' : 'refused'
  }
}

/** The client's certificate; Node has an empty object where there is none. */
function certificateOf(socket: unknown): object | undefined {
  try {
    const get = member(socket, 'getPeerCertificate')
    const certificate: unknown = typeof get === 'function' ? Reflect.apply(get, socket, []) : undefined
    const any = typeof certificate === 'object' && certificate !== null && Object.keys(certificate).length > 0
    return any ? certificate : undefined
  } catch {
    return undefined
  }
}
