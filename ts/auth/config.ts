import { ReplicationAdminConfigError } from './error.js'
import { isPlain } from './plain.js'
import type { ReplicationTrustedProxies } from './proxies.js'
import type { ReplicationAdminAuthRequest } from './request.js'

/** What a request must show: nothing; the token; a client certificate; one of them; both. */
export type ReplicationAdminAuthMode = 'none' | 'token' | 'mtls' | 'token_or_mtls' | 'token_and_mtls'

/** Who administers replication. `null` is as good as not given. */
export interface ReplicationAdminAuthConfig<Request extends ReplicationAdminAuthRequest = ReplicationAdminAuthRequest> {
  /** Default `none`, but only where nothing else is given either. */
  mode?: ReplicationAdminAuthMode | null | undefined
  /** What comes after `Authorization: Bearer `. Visible ASCII; blanks around it do not count. For the modes with `token`. */
  token?: string | null | undefined
  /** The header that tells the client's certificate. Default `x-forwarded-client-cert`. An `mtlsMatcher` overrules it. */
  mtlsHeader?: string | null | undefined
  /**
   * Whose certificate is admitted: matched against the subject in `mtlsHeader`, by whole attributes. `/CN=admin/` admits
   * `CN=admin,O=KiteDB` and not `CN=administrator`. Without it every certificate that the proxy passes on is.
   */
  mtlsSubjectRegex?: RegExp | null | undefined
  /**
   * The proxies that check certificates and set `mtlsHeader`. From anybody else that header is not believed. Default: connections
   * from this machine (`loopback`), and requests that are made of `headers` alone, for which whoever makes them answers.
   */
  trustedProxies?: ReplicationTrustedProxies | null | undefined
  /**
   * Decides in the modes with `mtls`, whatever header, subject and proxies are given beside it: see `createNodeTlsMtlsMatcher` and
   * `createForwardedTlsMtlsMatcher`. It admits by `true`, nothing else; what it throws, whoever asked gets.
   */
  mtlsMatcher?: ((request: Request) => boolean) | null | undefined
}

export const REPLICATION_ADMIN_AUTH_MODES: readonly ReplicationAdminAuthMode[] = [
  'none',
  'token',
  'mtls',
  'token_or_mtls',
  'token_and_mtls',
]

/**
 * The options of `what`, of which each key is one of `known`: a name that is written wrongly would leave a door open, and so would
 * one that is overlooked where an object inherits or hides it, or one that somebody else gave to all objects.
 */
export function knownOptions<Options extends object>(
  options: Options | null | undefined,
  what: string,
  known: readonly (keyof Options & string)[],
): Partial<{ [Key in keyof Options]: NonNullable<Options[Key]> }> {
  if (typeof options !== 'object' || options === null || !isPlain(options)) {
    throw new ReplicationAdminConfigError(`${what} must be an object, and a plain one`)
  }
  const given = Object.create(null) as Partial<{ [Key in keyof Options]: NonNullable<Options[Key]> }>
  for (const key of Reflect.ownKeys(options) as (keyof Options & string)[]) {
    if (!known.includes(key)) {
      throw new ReplicationAdminConfigError(`${what} has no option '${String(key)}': there are ${known.join(', ')}`)
    }
    const value = options[key]
    if (value !== undefined && value !== null) given[key] = value
  }
  return given
}

/** A text that was given, `fallback` where it was not or is blank. */
export function textOption(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw new ReplicationAdminConfigError(`${name} must be a string`)
  return value.trim() === '' ? undefined : value.trim()
}

export function flagOption(value: unknown, name: string, fallback: boolean): boolean {
  if (value === undefined) return fallback
  if (typeof value !== 'boolean') throw new ReplicationAdminConfigError(`${name} must be true or false`)
  return value
}

/** What clients send, and proxies set, of every request, whoever it is from: it tells of no certificate. */
const OF_EVERYBODY = new Set(
  (
    'accept accept-charset accept-encoding accept-language authorization cache-control connection content-encoding ' +
    'content-length content-type cookie date expect forwarded from host keep-alive origin pragma priority ' +
    'proxy-authorization proxy-connection range referer te trailer transfer-encoding upgrade upgrade-insecure-requests ' +
    'user-agent via x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip'
  ).split(' '),
)

/** The name of a header by which a proxy can tell of a certificate, in lower case. */
export function headerOption(value: unknown, name: string): string | undefined {
  const header = textOption(value, name)?.toLowerCase()
  if (header === undefined) return undefined
  if (OF_EVERYBODY.has(header) || /^(sec|if)-/.test(header)) {
    throw new ReplicationAdminConfigError(
      `${name} is no name of a header that a proxy can set: '${header}' comes with every request, whoever it is from`,
    )
  }
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(header)) {
    throw new ReplicationAdminConfigError(`${name} is no name of a header that a proxy can set: '${header}'`)
  }
  return header
}
