import { member } from './member.js'
import { isPlain } from './plain.js'

/** The headers of a request: Node's record (a name in any case, a value or a list of them), or a `Headers` object, or pairs. */
export type ReplicationAdminAuthHeaders =
  | { readonly [name: string]: string | readonly string[] | undefined }
  | Iterable<readonly [string, string]>
  | { get(name: string): string | null }

/** The end of the connection that a request came over, as Node's sockets have it. */
export interface ReplicationPeerLikeSocket {
  readonly remoteAddress?: string | undefined
}

/**
 * What is read of a request. Those of Node, Express and Fastify are such; for Fetch and Hono make one of the headers and the
 * socket: `{ headers: c.req.raw.headers, socket: c.env.incoming.socket }`.
 */
export interface ReplicationAdminAuthRequest {
  readonly headers?: ReplicationAdminAuthHeaders | null | undefined
  /**
   * Where the connection comes from: what `trustedProxies` are compared with. A host that leaves it out (`{ headers }`, and nothing
   * else) gives its own word for the headers, as long as no `trustedProxies` are named.
   */
  readonly socket?: ReplicationPeerLikeSocket | null | undefined
  /** Names and values by turns, as they came: Node joins what came twice, and here that is seen. */
  readonly rawHeaders?: readonly string[] | undefined
}

/** The request, and the same one behind the wrappers of frameworks. */
export function layersOf(request: unknown): readonly unknown[] {
  return [request, member(request, 'raw'), member(request, 'req')]
}

/** What a request says under the name of a header. What came more than once says nothing that can be relied on. */
export type HeaderReading =
  { readonly kind: 'absent' } | { readonly kind: 'one'; readonly value: string } | { readonly kind: 'ambiguous' }

const ABSENT: HeaderReading = { kind: 'absent' }
const AMBIGUOUS: HeaderReading = { kind: 'ambiguous' }

/** Reads a header. `name` is in lower case. A blank value is as good as none. */
export function readHeader(request: ReplicationAdminAuthRequest | null | undefined, name: string): HeaderReading {
  if (typeof request !== 'object' || request === null) return ABSENT
  if (timesSent(request, name) > 1) return AMBIGUOUS
  const values: string[] = []
  for (const given of valuesOf(member(request, 'headers'), name)) {
    if (given === undefined || given === null) continue
    for (const value of Array.isArray(given) ? (given as readonly unknown[]) : [given]) {
      if (typeof value !== 'string') return AMBIGUOUS
      const text = trimBlanks(value)
      if (text !== '') values.push(text)
    }
  }
  const [value, ...others] = values
  if (value === undefined) return ABSENT
  return others.length > 0 ? AMBIGUOUS : { kind: 'one', value }
}

/** All that stands in `headers` under that name, in whatever case it was written. */
function valuesOf(headers: unknown, name: string): unknown[] {
  if (typeof headers !== 'object' || headers === null) return []
  if (member(headers, Symbol.iterator) !== undefined) {
    const values: unknown[] = []
    for (const pair of headers as Iterable<unknown>) {
      if (!Array.isArray(pair) || pair.length < 2) continue
      const [key, value] = pair as unknown[]
      if (typeof key === 'string' && lowerAscii(key) === name) values.push(value)
    }
    return values
  }
  const get = member(headers, 'get')
  if (typeof get === 'function') return [Reflect.apply(get, headers, [name])]
  return Object.keys(headers)
    .filter((key) => lowerAscii(key) === name)
    .map((key) => (headers as Record<string, unknown>)[key])
}

/** How often the header was sent, where the request still knows. */
function timesSent(request: unknown, name: string): number {
  let times = 0
  for (const layer of layersOf(request)) {
    const raw = member(layer, 'rawHeaders')
    if (!Array.isArray(raw)) continue
    const here = raw.filter(
      (text: unknown, at) => at % 2 === 0 && typeof text === 'string' && lowerAscii(text) === name,
    )
    times = Math.max(times, here.length)
  }
  return times
}

/** The address that the connection comes from, never one that a header names. */
export function peerAddress(request: ReplicationAdminAuthRequest | null | undefined): string | undefined {
  for (const layer of layersOf(request)) {
    const address = member(member(layer, 'socket'), 'remoteAddress')
    if (typeof address === 'string') return address
  }
  return undefined
}

/**
 * Whether somebody made this request of headers alone. Those that servers and frameworks make (of Node, of Express, a `Request` of
 * fetch) are no plain objects, or have more; one with a socket that tells no address came over a connection that nobody knows.
 */
export function isHeadersOnly(request: ReplicationAdminAuthRequest | null | undefined): boolean {
  if (typeof request !== 'object' || request === null || !isPlain(request)) return false
  return Reflect.ownKeys(request).every((key) => key === 'headers' || key === 'rawHeaders')
}

/** Letters outside of ASCII stay: the Kelvin sign is no `k` in the name of a header. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** Without the blanks and tabs that HTTP allows around a value. A loop: a pattern would go over a long run of them again and again. */
export function trimBlanks(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}
