import { ReplicationAdminConfigError } from './error.js'
import { type ReplicationAdminAuthRequest, isHeadersOnly, peerAddress } from './request.js'

/**
 * Whose headers about a client are believed: addresses (`10.0.0.7`), networks (`10.0.0.0/8`, `fd00::/8`), `loopback`. Or `any`:
 * nothing but the proxy can reach the port, as with a socket in the file system; whoever else can is an administrator.
 */
export type ReplicationTrustedProxies = 'any' | readonly string[]

/** Tells whether a request comes from one of the proxies, by the connection that it came over. */
export type ProxyRule = (request: ReplicationAdminAuthRequest) => boolean

interface Network {
  readonly bytes: readonly number[]
  readonly bits: number
}

const LOOPBACK = ['127.0.0.0/8', '::1']

/**
 * Reads the proxies that `what` is believed from. Where none are named, a connection counts that comes from this machine, and so
 * does a request that is made of headers and nothing else: no server makes such, so a host did, which answers for them.
 */
export function proxyRule(trusted: ReplicationTrustedProxies | undefined, what: string): ProxyRule {
  if (trusted === undefined) {
    const comesFromHere = proxyRule(['loopback'], what)
    return (request) => isHeadersOnly(request) || comesFromHere(request)
  }
  if (trusted === 'any') return () => true
  if (!Array.isArray(trusted) || trusted.length === 0) {
    throw new ReplicationAdminConfigError(
      `trustedProxies of ${what} must be 'any' or a list of addresses, networks and 'loopback', and name at least one`,
    )
  }
  const networks = trusted
    .flatMap((entry: unknown) => (entry === 'loopback' ? LOOPBACK : [entry]))
    .map((entry) => networkOf(entry, what))
  return (request) => {
    const address = addressBytes(peerAddress(request) ?? '')
    return address !== undefined && networks.some((network) => isIn(address, network))
  }
}

function networkOf(entry: unknown, what: string): Network {
  const [address = '', bits, ...more] = typeof entry === 'string' ? entry.trim().split('/') : []
  const bytes = addressBytes(address)
  const all = (bytes?.length ?? 0) * 8
  const wanted = bits === undefined ? all : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
  if (bytes === undefined || more.length > 0 || wanted < 0 || wanted > all) {
    throw new ReplicationAdminConfigError(
      `trustedProxies of ${what} has an entry that is no IP address, no network like 10.0.0.0/8 and not 'loopback'` +
        (typeof entry === 'string' ? `: '${entry}'` : ''),
    )
  }
  if (wanted === 0) {
    throw new ReplicationAdminConfigError(
      `trustedProxies of ${what} has a network of every address, '${String(entry)}', which makes whoever can reach the port an ` +
        "administrator: name the addresses of the proxies, or say 'any' where nothing but a proxy can reach it",
    )
  }
  return { bytes, bits: wanted }
}

function isIn(address: readonly number[], network: Network): boolean {
  if (address.length !== network.bytes.length) return false
  return address.every((byte, at) => {
    const bits = Math.min(Math.max(network.bits - at * 8, 0), 8)
    const mask = (0xff << (8 - bits)) & 0xff
    return (byte & mask) === ((network.bytes[at] ?? 0) & mask)
  })
}

/** The 4 or 16 bytes of an address. IPv4 within IPv6, as a socket for both shows it, is IPv4. */
function addressBytes(text: string): readonly number[] | undefined {
  if (!text.includes(':')) return ipv4Bytes(text)
  const bytes = ipv6Bytes(text.replace(/%[^%/]*$/, ''))
  const mapped = bytes?.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return mapped ? bytes?.slice(12) : bytes
}

function ipv4Bytes(text: string): number[] | undefined {
  const parts = text.split('.')
  // No leading zeros: some read them as octal.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return undefined
  const bytes = parts.map(Number)
  return bytes.every((byte) => byte <= 255) ? bytes : undefined
}

function ipv6Bytes(text: string): number[] | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map((half, at) => groupBytes(half, at === halves.length - 1))
  if (head === undefined) return undefined
  if (halves.length === 1) return head.length === 16 ? head : undefined
  if (tail === undefined || head.length + tail.length > 14) return undefined
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail]
}

/** The bytes of groups between colons; the last one may be IPv4. */
function groupBytes(text: string, atEnd: boolean): number[] | undefined {
  const bytes: number[] = []
  const groups = text === '' ? [] : text.split(':')
  for (const [at, group] of groups.entries()) {
    if (atEnd && at === groups.length - 1 && group.includes('.')) {
      const last = ipv4Bytes(group)
      if (last === undefined) return undefined
      bytes.push(...last)
    } else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    } else {
      return undefined
    }
  }
  return bytes
}
