/**
 * A template: the administration of replication over HTTP, in Express, Fastify or Hono. Copy it, and take away what you do not
 * need. `replicationHandler` is the whole of it, as a function from a request to an answer; `expressReplication`,
 * `fastifyReplication` and `honoReplication` put it under `/replication` of an application.
 *
 *     const authorizer = createReplicationAdminAuthorizer({ mode: 'token', token: process.env.REPLICATION_ADMIN_TOKEN })
 *     app.use('/replication', expressReplication(replicationHandler(db, authorizer)))
 *     await app.register(fastifyReplication(replicationHandler(db, authorizer)), { prefix: '/replication' })
 *     honoReplication(app, '/replication', replicationHandler(db, authorizer))
 *
 * | route | | answer |
 * |---|---|---|
 * | GET `/status` | open to everybody | role and positions; paths, names and errors only for whom the authorizer admits |
 * | GET `/metrics/prometheus` | | Prometheus text |
 * | GET `/metrics/otel-json` | | OTLP in JSON |
 * | GET `/transport/snapshot` | `includeData=true` | a snapshot; with `Accept: application/octet-stream` its bytes |
 * | GET `/transport/log` | `cursor`, `maxFrames`, `maxBytes`, `includePayload` | a page of the log; likewise |
 * | POST `/pull` | `{"maxFrames": 256}` | a replica catches up |
 * | POST `/reseed`, `/promote` | | the runbook's sections 5 and 4 |
 */
import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Database } from '@kitedb/core'
import {
  ReplicationAdminAuthError,
  createReplicationTransportAdapter,
  type ReplicationAdminAuthMode,
  type ReplicationAdminAuthorizer,
  type ReplicationTrustedProxies,
} from '@kitedb/core/replication'
import type { RequestHandler } from 'express'
import type { FastifyPluginAsync } from 'fastify'
import type { Hono } from 'hono'

/** What is asked, whoever brought it. */
export interface ReplicationHttpRequest {
  method: string
  /** What comes after the prefix: `/status`. */
  path: string
  query: URLSearchParams
  /** The request as Node has it: the authorizer looks at its headers and its socket. */
  incoming: IncomingMessage
  /** The body from JSON, `undefined` if there is none. It is not read before whoever sent it is admitted. */
  body: () => Promise<unknown>
}

export interface ReplicationHttpAnswer {
  status: number
  headers: Record<string, string>
  /** Text, bytes, or bytes that come a piece at a time. */
  body: string | Uint8Array | AsyncIterable<Uint8Array>
}

export type ReplicationHandler = (request: ReplicationHttpRequest) => Promise<ReplicationHttpAnswer>

const MAX_BODY = 2 * 1024 * 1024
const BYTES = 'application/octet-stream'

class HttpError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(message)
  }
}

export function replicationHandler(
  db: Database,
  authorizer: ReplicationAdminAuthorizer<IncomingMessage>,
): ReplicationHandler {
  // The metrics say by the authorizer whether they are guarded.
  const adapter = createReplicationTransportAdapter(db, { authEnabled: authorizer })

  const admitted = (incoming: IncomingMessage): boolean => {
    try {
      authorizer(incoming)
      return true
    } catch (error) {
      if (error instanceof ReplicationAdminAuthError) return false
      throw error
    }
  }

  const routes: Record<string, ReplicationHandler> = {
    'GET /status': async ({ incoming }) => json(200, statusOf(db, authorizer.authEnabled, admitted(incoming))),
    'GET /metrics/prometheus': async () =>
      answer(200, 'text/plain; version=0.0.4; charset=utf-8', adapter.metricsPrometheus()),
    'GET /metrics/otel-json': async () => answer(200, 'application/json', adapter.metricsOtelJson()),
    'GET /transport/snapshot': async ({ query, incoming }) => {
      if (!wantsBytes(incoming)) {
        const snapshot = await adapter.snapshotAsync(flag(query, 'includeData', false))
        return json(200, { success: true, snapshot })
      }
      // Of any size, in pieces. Whoever leaves before its end lets it go.
      const image = await adapter.snapshotImage()
      const length = String(image.snapshot.byte_length)
      return answer(200, BYTES, image.pieces(), {
        'content-length': length,
        'x-kitedb-snapshot': JSON.stringify(image.snapshot),
      })
    },
    'GET /transport/log': async ({ query, incoming }) => {
      const options = {
        cursor: query.get('cursor'),
        maxFrames: bounded(query, 'maxFrames', 128, 10_000),
        maxBytes: bounded(query, 'maxBytes', 1024 * 1024, 32 * 1024 * 1024),
      }
      if (!wantsBytes(incoming)) {
        const page = await adapter.logAsync({ ...options, includePayload: flag(query, 'includePayload', true) })
        return json(200, { success: true, ...page })
      }
      const { body, ...page } = await adapter.logBinary(options)
      return answer(200, BYTES, body, { 'x-kitedb-page': JSON.stringify(page) })
    },
    'POST /pull': async ({ body }) => {
      const maxFrames = maxFramesOf(await body())
      const appliedFrames = await db.replicaCatchUpOnceAsync(maxFrames)
      return json(200, { success: true, appliedFrames, role: roleOf(db), replica: db.replicaReplicationStatus() })
    },
    'POST /reseed': async () => {
      await db.replicaReseedFromSnapshotAsync()
      return json(200, { success: true, role: roleOf(db), replica: db.replicaReplicationStatus() })
    },
    'POST /promote': async () => {
      const { fenced = false, fence = null } = db.primaryReplicationStatus() ?? {}
      // Where the promotion was cut short, the lead is taken back.
      if (fenced && (fence?.assumed === true || typeof fence?.ended === 'number')) {
        const what = 'stale primary: another node took over from this one: follow that one'
        return refusal(409, what, 'STALE_PRIMARY', 'fenced')
      }
      const epoch = await db.primaryPromoteToNextEpochAsync()
      return json(200, { success: true, epoch, role: roleOf(db), primary: db.primaryReplicationStatus() })
    },
  }
  const paths = new Map<string, string[]>()
  for (const route of Object.keys(routes)) {
    const [method = '', path = ''] = route.split(' ')
    paths.set(path, [...(paths.get(path) ?? []), method])
  }

  return async (request) => {
    try {
      const methods = paths.get(request.path)
      if (methods === undefined) throw new HttpError(404, 'NO_SUCH_ROUTE', 'no such route')
      const route = methods.includes(request.method) ? routes[`${request.method} ${request.path}`] : undefined
      if (route === undefined)
        throw new HttpError(405, 'NO_SUCH_METHOD', 'no such method', { allow: methods.join(', ') })
      if (request.path !== '/status') authorizer(request.incoming)
      // A page of another site can have a browser send a client certificate along, and cannot leave this header out.
      if (request.method === 'POST' && isFromPage(request.incoming))
        throw new HttpError(403, 'FORBIDDEN', 'this is not for pages in a browser')
      return await route(request)
    } catch (error) {
      return failure(error)
    }
  }
}

// ---- Express

export function expressReplication(handler: ReplicationHandler): RequestHandler {
  return (request, response, next) => {
    // An application that parses all bodies has done so already.
    const parsed: unknown = request.body
    const body = async (): Promise<unknown> => (parsed === undefined ? readJson(request) : parsed)
    handler({ ...partsOf(request), path: request.path, body }).then((answered) => {
      response.status(answered.status).set(answered.headers)
      // What breaks off has its answer cut short, which its length tells.
      pipeline(streamOf(answered.body), response).catch(() => response.destroy())
    }, next)
  }
}

// ---- Fastify

export function fastifyReplication(handler: ReplicationHandler): FastifyPluginAsync {
  return async (app) => {
    // Bodies are left alone until their senders are admitted.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    app.all<{ Params: { '*': string } }>('/*', async ({ raw, params }, reply) => {
      const answered = await handler({ ...partsOf(raw), path: `/${params['*']}`, body: () => readJson(raw) })
      return reply.code(answered.status).headers(answered.headers).send(streamOf(answered.body))
    })
  }
}

// ---- Hono, on Node (`@hono/node-server`), where a request comes with that of Node

export type HonoOnNode = { Bindings: { incoming: IncomingMessage } }

export function honoReplication(app: Hono<HonoOnNode>, prefix: string, handler: ReplicationHandler): void {
  app.all(`${prefix}/*`, async (c) => {
    const path = c.req.path.slice(prefix.length)
    const stream = c.req.raw.body as AsyncIterable<Uint8Array> | null
    const { status, headers, body } = await handler({ ...partsOf(c.env.incoming), path, body: () => readJson(stream) })
    return new Response(Readable.toWeb(streamOf(body)) as ReadableStream, { status, headers })
  })
}

function streamOf(body: ReplicationHttpAnswer['body']): Readable {
  // A list of one: what is iterated by itself would come a character or a number at a time.
  return Readable.from(typeof body === 'string' || body instanceof Uint8Array ? [Buffer.from(body)] : body)
}

function partsOf(incoming: IncomingMessage): Pick<ReplicationHttpRequest, 'method' | 'query' | 'incoming'> {
  const url = incoming.url ?? ''
  const query = url.includes('?') ? url.slice(url.indexOf('?')) : ''
  return { method: incoming.method ?? '', query: new URLSearchParams(query), incoming }
}

// ---- What the routes are made of

function roleOf(db: Database): 'primary' | 'replica' | 'disabled' {
  if (db.primaryReplicationStatus() !== null) return 'primary'
  return db.replicaReplicationStatus() !== null ? 'replica' : 'disabled'
}

/** What everybody may know: no path, no name, no text of an error. */
function statusOf(db: Database, authEnabled: boolean, admitted: boolean): object {
  const [primary, replica] = [db.primaryReplicationStatus(), db.replicaReplicationStatus()]
  const shown = { connected: true, authEnabled, role: roleOf(db) }
  if (admitted) return { ...shown, primary, replica }
  return {
    ...shown,
    primary: primary && {
      role: primary.role,
      epoch: primary.epoch,
      headLogIndex: primary.headLogIndex,
      retainedFloor: primary.retainedFloor,
      lastToken: primary.lastToken,
      replicaCount: primary.replicaLags.length,
    },
    replica: replica && {
      role: replica.role,
      appliedEpoch: replica.appliedEpoch,
      appliedLogIndex: replica.appliedLogIndex,
      needsReseed: replica.needsReseed,
    },
  }
}

function wantsBytes(incoming: IncomingMessage): boolean {
  return incoming.headers.accept?.includes(BYTES) ?? false
}

/** Whether a browser sent it on behalf of a page. */
function isFromPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  return headers.origin !== undefined || (site !== undefined && site !== 'none')
}

/** A number of the query, within 1 and `most`; `fallback` where it is none. */
function bounded(query: URLSearchParams, name: string, fallback: number, most: number): number {
  const text = query.get(name)?.trim() ?? ''
  const number = Math.floor(Number(text))
  return text === '' || Number.isNaN(number) ? fallback : Math.min(Math.max(number, 1), most)
}

function flag(query: URLSearchParams, name: string, fallback: boolean): boolean {
  const text = query.get(name)?.trim().toLowerCase() ?? ''
  if (['1', 'true', 'yes'].includes(text)) return true
  return ['0', 'false', 'no'].includes(text) ? false : fallback
}

function maxFramesOf(body: unknown): number {
  if (body === undefined) return 256
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new HttpError(422, 'INVALID_ARGUMENT', 'the body must be an object')
  const maxFrames = (body as { maxFrames?: unknown }).maxFrames ?? 256
  if (typeof maxFrames !== 'number' || !Number.isFinite(maxFrames))
    throw new HttpError(422, 'INVALID_ARGUMENT', 'maxFrames must be a number')
  return Math.min(Math.max(Math.floor(maxFrames), 1), 100_000)
}

/** The body as JSON; `undefined` where there is none. */
async function readJson(body: AsyncIterable<Uint8Array> | null): Promise<unknown> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of body ?? []) {
    length += piece.length
    if (length > MAX_BODY) throw new HttpError(413, 'TOO_LARGE', `the body has more than ${MAX_BODY} bytes`)
    pieces.push(piece)
  }
  if (length === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8')) as unknown
  } catch {
    throw new HttpError(422, 'INVALID_ARGUMENT', 'the body is no JSON')
  }
}

/**
 * Whom to admit, as the runbook's variables say: `REPLICATION_ADMIN_AUTH_MODE`, `REPLICATION_ADMIN_TOKEN`, and about certificates
 * `REPLICATION_MTLS_SUBJECT_REGEX` and, where a proxy tells of them, `REPLICATION_MTLS_HEADER` and `REPLICATION_TRUSTED_PROXIES`
 * (addresses, networks, `loopback`, with commas between them), which must be named then. Without a mode it is `token_or_mtls`
 * where there are certificates, else `token`. `verifiesHere` is whether this process verifies certificates itself.
 */
export function adminAuthFrom(
  env: NodeJS.ProcessEnv,
  verifiesHere: boolean,
): {
  mode: ReplicationAdminAuthMode
  token: string | undefined
  mtlsHeader: string | undefined
  mtlsSubjectRegex: RegExp | undefined
  trustedProxies: ReplicationTrustedProxies | undefined
} {
  const text = (name: string): string | undefined => env[name]?.trim() || undefined
  const proxies = text('REPLICATION_TRUSTED_PROXIES')
  const pattern = text('REPLICATION_MTLS_SUBJECT_REGEX')
  const mode =
    text('REPLICATION_ADMIN_AUTH_MODE')?.toLowerCase() ?? (verifiesHere || proxies ? 'token_or_mtls' : 'token')
  let mtlsSubjectRegex
  try {
    mtlsSubjectRegex = pattern === undefined ? undefined : new RegExp(pattern)
  } catch (cause) {
    throw new Error('Invalid REPLICATION_MTLS_SUBJECT_REGEX: it is no regular expression', { cause })
  }
  if (mode.includes('mtls') && !verifiesHere && proxies === undefined) {
    throw new Error(
      'REPLICATION_TRUSTED_PROXIES must name the proxies that tell of certificates (addresses, networks, loopback): every client ' +
        'can send the header that they set',
    )
  }
  return {
    // The authorizer knows the modes, and refuses what is none.
    mode: mode as ReplicationAdminAuthMode,
    token: text('REPLICATION_ADMIN_TOKEN'),
    mtlsHeader: text('REPLICATION_MTLS_HEADER'),
    mtlsSubjectRegex,
    trustedProxies: proxies === 'any' ? 'any' : proxies?.split(','),
  }
}

/** Listens where `HOST` and `PORT` say, and closes the database once a signal ended the last request. */
export function listenAndServe(server: Server, db: Database, env: NodeJS.ProcessEnv, defaultPort: number): void {
  server.listen({ host: env['HOST'] || '127.0.0.1', port: Number(env['PORT'] || defaultPort) }, () => {
    const { address, family, port } = server.address() as AddressInfo
    const scheme = 'setSecureContext' in server ? 'https' : 'http'
    console.log(`listening on ${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}/replication`)
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      server.close(() => db.close())
      server.closeIdleConnections()
    })
  }
}

function json(status: number, value: object, headers: Record<string, string> = {}): ReplicationHttpAnswer {
  return answer(status, 'application/json', JSON.stringify(value), headers)
}

function answer(
  status: number,
  type: string,
  body: ReplicationHttpAnswer['body'],
  headers: Record<string, string> = {},
): ReplicationHttpAnswer {
  const whole = typeof body === 'string' || body instanceof Uint8Array
  const length = whole ? { 'content-length': String(Buffer.byteLength(body)) } : {}
  return { status, headers: { ...headers, ...length, 'content-type': type, 'cache-control': 'no-store' }, body }
}

/** What the database says goes to whoever was admitted; what nobody foresaw, to nobody. */
function failure(error: unknown): ReplicationHttpAnswer {
  if (error instanceof ReplicationAdminAuthError || error instanceof HttpError) {
    return refusal(error.status, error.message, error.code, 'input', error.headers)
  }
  const { code, kind, message } = error as { code?: unknown; kind?: unknown; message?: unknown }
  if (typeof code !== 'string' || typeof kind !== 'string') {
    console.error(error)
    return refusal(500, 'internal error', 'INTERNAL', 'bug')
  }
  const status = statusOfError(code, kind)
  return refusal(status, String(message), code, kind, status === 503 ? { 'retry-after': '1' } : {})
}

/** As `kitedb serve` answers it. */
function statusOfError(code: string, kind: string): number {
  if (code === 'DISK_FULL') return 507
  if (code === 'IO' || code === 'CORRUPT') return 500
  if (['INVALID_ARGUMENT', 'INVALID_OPTION', 'INVALID_CURSOR'].includes(code)) return 400
  // In another state it would be done: it is no primary, somebody has it open, another node took over.
  if (code === 'LOCKED' || ['input', 'retry_transaction', 'reseed', 'fenced'].includes(kind)) return 409
  return ['retry_later', 'reopen', 'cancelled'].includes(kind) ? 503 : 500
}

function refusal(
  status: number,
  error: string,
  code: string,
  kind: string,
  headers: Readonly<Record<string, string>> = {},
): ReplicationHttpAnswer {
  return json(status, { success: false, error, code, kind }, { ...headers })
}
