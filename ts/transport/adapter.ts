import { type ReplicationLogBinaryPage, encodeReplicationFrames, replicationFrameBytes } from './binary.js'
import { ReplicationTransportError, ReplicationTransportGapError } from './error.js'
import { type ReplicationExportedSnapshot, type ReplicationSnapshotImage, imageOf } from './image.js'
import {
  type ReplicationLogTransportFrame,
  type ReplicationLogTransportPage,
  type ReplicationSnapshotTransport,
  parseReplicationLogTransport,
  parseReplicationSnapshotTransport,
} from './json.js'

/** An `AbortSignal`, as far as it is looked at here; the database is given it as it is. */
export interface ReplicationAbortSignal {
  readonly aborted: boolean
  readonly reason?: unknown
}

/** What is asked of a database itself: it does not hold up the event loop. */
export interface ReplicationTransportDatabase {
  exportReplicationSnapshotTransportJsonAsync(
    includeData?: boolean,
    options?: { signal?: ReplicationAbortSignal },
  ): Promise<string>
  exportReplicationLogTransportJsonAsync(
    cursor?: string | null,
    maxFrames?: number,
    maxBytes?: number,
    includePayload?: boolean,
    options?: { signal?: ReplicationAbortSignal },
  ): Promise<string>
  primaryExportSnapshotAsync(options?: { signal?: ReplicationAbortSignal }): Promise<ReplicationExportedSnapshot>
}

/** The functions of `@kitedb/core` that this is made of. Each asks the primary, and throws what that says. */
export interface ReplicationTransportFunctions<Db extends ReplicationTransportDatabase> {
  collectReplicationSnapshotTransportJson(db: Db, includeData?: boolean): string
  collectReplicationLogTransportJson(
    db: Db,
    cursor?: string | null,
    maxFrames?: number,
    maxBytes?: number,
    includePayload?: boolean,
  ): string
  /** `authEnabled` is what `kitedb_replication_auth_enabled` says; default `false`. */
  collectReplicationMetricsPrometheus(db: Db, options?: { authEnabled?: boolean }): string
  collectReplicationMetricsOtelJson(db: Db): string
}

/** Which page of the log. */
export interface ReplicationLogTransportOptions {
  /** Where to go on. Default: from the oldest frame that is still there. */
  cursor?: string | null | undefined
  /** Default 128. */
  maxFrames?: number | undefined
  /** Default 1,048,576. A single frame that is larger is an error. */
  maxBytes?: number | undefined
  /** Default `true`. */
  includePayload?: boolean | undefined
}

/** How a call that does not hold up the event loop is ended before its time: by an `AbortError`. */
export interface ReplicationTransportCallOptions {
  signal?: ReplicationAbortSignal | undefined
}

/** A frame with its bytes, as the log holds it. */
export interface ReplicationLogFrame {
  readonly epoch: number
  readonly logIndex: number
  readonly data: Uint8Array
  /** Where to go on after the page that this frame is of. */
  readonly nextCursor: string | null
}

export interface ReplicationTransportAdapterOptions {
  /** Whether the host asks for authorization, or the authorizer that does; the metrics say so. Default `false`. */
  authEnabled?: boolean | { readonly authEnabled: boolean } | undefined
}

/** What a host serves of a primary. Everything is asked anew at each call. */
export interface ReplicationTransportAdapter {
  /** A snapshot; with `includeData` (default `false`) its bytes, of at most 32 MiB. Reads all of it, for its checksum. */
  snapshot(includeData?: boolean): ReplicationSnapshotTransport
  log(options?: ReplicationLogTransportOptions): ReplicationLogTransportPage
  /** Prometheus text 0.0.4. */
  metricsPrometheus(): string
  metricsOtelJson(): string
  /** {@link ReplicationTransportAdapter.snapshot}, without holding up the event loop. */
  snapshotAsync(includeData?: boolean, options?: ReplicationTransportCallOptions): Promise<ReplicationSnapshotTransport>
  /** {@link ReplicationTransportAdapter.log}, without holding up the event loop. */
  logAsync(
    options?: ReplicationLogTransportOptions & ReplicationTransportCallOptions,
  ): Promise<ReplicationLogTransportPage>
  /** A snapshot of any size, whose bytes are read a piece at a time. */
  snapshotImage(options?: ReplicationTransportCallOptions): Promise<ReplicationSnapshotImage>
  /** A page whose frames are bytes: see `decodeReplicationFrames`. */
  logBinary(options?: ReplicationLogStreamOptions): Promise<ReplicationLogBinaryPage>
  /**
   * All pages from `cursor` to the end of the log, the next one asked for when this one was taken. A gap ends it with
   * `ReplicationTransportGapError`.
   */
  pages(
    options?: ReplicationLogTransportOptions & ReplicationTransportCallOptions,
  ): AsyncGenerator<ReplicationLogTransportPage, void, undefined>
  /** All frames from `cursor` to the end of the log, as {@link ReplicationTransportAdapter.pages} brings them. */
  frames(options?: ReplicationLogStreamOptions): AsyncGenerator<ReplicationLogFrame, void, undefined>
}

/** Which frames, with their bytes. */
export type ReplicationLogStreamOptions = Omit<ReplicationLogTransportOptions, 'includePayload'> &
  ReplicationTransportCallOptions

/** The functions of the runbook, for one kind of database. */
export interface ReplicationTransport<Db extends ReplicationTransportDatabase> {
  readReplicationSnapshotTransport(db: Db, includeData?: boolean): ReplicationSnapshotTransport
  readReplicationLogTransport(db: Db, options?: ReplicationLogTransportOptions | null): ReplicationLogTransportPage
  createReplicationTransportAdapter(db: Db, options?: ReplicationTransportAdapterOptions | null): ReplicationTransportAdapter
}

const STREAM = ['cursor', 'maxFrames', 'maxBytes'] as const
const PAGE = [...STREAM, 'includePayload'] as const
const CALL = ['signal'] as const

/** The options that were given: none has another name than `names`, so that none that is misspelt does nothing. */
function only<Options extends object>(
  options: Options | null | undefined,
  what: string,
  names: readonly (keyof Options & string)[],
): Options {
  if (options === undefined || options === null) return {} as Options
  if (typeof options !== 'object') throw new TypeError(`the options of ${what} must be an object`)
  for (const name of Object.keys(options)) {
    if (!(names as readonly string[]).includes(name)) {
      throw new TypeError(`${what} has no option '${name}': there are ${names.join(', ')}`)
    }
  }
  return options
}

const MAX_FRAMES = 128
const MAX_BYTES = 1_048_576

/** Makes the runbook's functions from those of the native module: `@kitedb/core/replication` exports what comes of it. */
export function bindReplicationTransport<Db extends ReplicationTransportDatabase>(
  functions: ReplicationTransportFunctions<Db>,
): ReplicationTransport<Db> {
  const readReplicationSnapshotTransport = (db: Db, includeData = false): ReplicationSnapshotTransport =>
    parseReplicationSnapshotTransport(functions.collectReplicationSnapshotTransportJson(db, includeData))

  const readReplicationLogTransport = (
    db: Db,
    options?: ReplicationLogTransportOptions | null,
  ): ReplicationLogTransportPage => {
    const asked = only(options, 'a page of the log', PAGE)
    return parseReplicationLogTransport(functions.collectReplicationLogTransportJson(db, ...argumentsOf(asked)))
  }

  const createReplicationTransportAdapter = (
    db: Db,
    options?: ReplicationTransportAdapterOptions | null,
  ): ReplicationTransportAdapter => {
    const { authEnabled: told = false } = only(options, 'the transport adapter', ['authEnabled'])
    const authEnabled: unknown = typeof told === 'boolean' ? told : told?.authEnabled
    if (typeof authEnabled !== 'boolean') {
      throw new TypeError('authEnabled must be true, false, or the authorizer of the host')
    }
    return {
      snapshot: (includeData = false) => readReplicationSnapshotTransport(db, includeData),
      log: (asked) => readReplicationLogTransport(db, asked),
      metricsPrometheus: () => {
        const text = functions.collectReplicationMetricsPrometheus(db, { authEnabled })
        requireToldAuth(text, authEnabled)
        return text
      },
      metricsOtelJson: () => functions.collectReplicationMetricsOtelJson(db),
      snapshotAsync: async (includeData = false, options) => {
        const { signal } = only(options, 'a snapshot', CALL)
        const text = await db.exportReplicationSnapshotTransportJsonAsync(includeData, endedBy(signal))
        return parseReplicationSnapshotTransport(text)
      },
      logAsync: async (asked) => logAsync(db, only(asked, 'a page of the log', [...PAGE, ...CALL])),
      snapshotImage: async (options) => {
        const { signal } = only(options, 'a snapshot', CALL)
        return imageOf(await db.primaryExportSnapshotAsync(endedBy(signal)))
      },
      logBinary: async (asked) => {
        const given = only(asked, 'a page of the log', [...STREAM, ...CALL])
        const { frames, ...page } = await logAsync(db, { ...given, includePayload: true })
        return { ...page, body: encodeReplicationFrames(frames) }
      },
      pages: (asked) => pages(db, only(asked, 'pages of the log', [...PAGE, ...CALL])),
      frames: (asked) => frames(db, only(asked, 'frames of the log', [...STREAM, ...CALL])),
    }
  }

  return { readReplicationSnapshotTransport, readReplicationLogTransport, createReplicationTransportAdapter }
}

async function logAsync(
  db: ReplicationTransportDatabase,
  asked: ReplicationLogTransportOptions & ReplicationTransportCallOptions,
): Promise<ReplicationLogTransportPage> {
  const text = await db.exportReplicationLogTransportJsonAsync(...argumentsOf(asked), endedBy(asked.signal))
  return parseReplicationLogTransport(text)
}

async function* pages(
  db: ReplicationTransportDatabase,
  asked: ReplicationLogTransportOptions & ReplicationTransportCallOptions,
): AsyncGenerator<ReplicationLogTransportPage, void, undefined> {
  let { cursor } = asked
  for (;;) {
    const page = await logAsync(db, { ...asked, cursor })
    if (page.frame_count > 0) yield page
    if (page.gap !== null) throw new ReplicationTransportGapError(page.gap)
    if (page.eof) return
    if (page.next_cursor === null) throw new ReplicationTransportError('an empty page of the log is not its end')
    cursor = page.next_cursor
  }
}

async function* frames(
  db: ReplicationTransportDatabase,
  asked: ReplicationLogStreamOptions,
): AsyncGenerator<ReplicationLogFrame, void, undefined> {
  for await (const page of pages(db, { ...asked, includePayload: true })) {
    for (const frame of page.frames) yield frameOf(frame, page.next_cursor)
  }
}

function argumentsOf(options: ReplicationLogTransportOptions): [string | null, number, number, boolean] {
  const { cursor, maxFrames = MAX_FRAMES, maxBytes = MAX_BYTES, includePayload = true } = options
  return [cursor ?? null, maxFrames, maxBytes, includePayload]
}

function endedBy(signal: ReplicationAbortSignal | undefined): { signal?: ReplicationAbortSignal } {
  return signal === undefined ? {} : { signal }
}

function frameOf(frame: ReplicationLogTransportFrame, nextCursor: string | null): ReplicationLogFrame {
  return { epoch: frame.epoch, logIndex: frame.log_index, data: replicationFrameBytes(frame), nextCursor }
}

/** A renderer that does not know of `authEnabled` would call a guarded host open. */
function requireToldAuth(text: string, authEnabled: boolean): void {
  const said = /^kitedb_replication_auth_enabled(?:\{[^\n]*\})? ([01])$/m.exec(text)?.[1]
  if (said !== undefined && (said === '1') !== authEnabled) {
    throw new ReplicationTransportError(
      `kitedb_replication_auth_enabled is ${said} in the metrics of a host whose authorization is ${authEnabled ? 'on' : 'off'}: ` +
        'collectReplicationMetricsPrometheus does not take authEnabled',
    )
  }
}
