import { type ReplicationLogBinaryPage, encodeReplicationFrames, replicationFrameBytes, replicationSnapshotBytes } from './binary.js'
import { ReplicationTransportError, ReplicationTransportGapError } from './error.js'
import {
  type ReplicationLogTransportFrame,
  type ReplicationLogTransportPage,
  type ReplicationSnapshotTransport,
  parseReplicationLogTransport,
  parseReplicationSnapshotTransport,
} from './json.js'

/** The functions of `@kitedb/core` that this is made of. Each asks the primary, and throws what that says. */
export interface ReplicationTransportFunctions<Db> {
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

/** Which frames, a page at a time. */
export interface ReplicationLogStreamOptions extends Omit<ReplicationLogTransportOptions, 'includePayload'> {
  /** Ends the stream before its next page, with the signal's reason. */
  signal?: { readonly aborted: boolean; readonly reason?: unknown } | undefined
}

/** A frame with its bytes, as the log holds it. */
export interface ReplicationLogFrame {
  readonly epoch: number
  readonly logIndex: number
  readonly data: Uint8Array
  /** Where to go on after this page of frames. */
  readonly nextCursor: string
}

export interface ReplicationTransportAdapterOptions {
  /** Whether the host asks for authorization, or the authorizer that does; the metrics say so. Default `false`. */
  authEnabled?: boolean | { readonly authEnabled: boolean } | undefined
}

/** What a host serves of a primary. Everything is asked anew at each call. */
export interface ReplicationTransportAdapter {
  /** A snapshot; with `includeData` (default `false`) its bytes, of at most 32 MiB. */
  snapshot(includeData?: boolean): ReplicationSnapshotTransport
  log(options?: ReplicationLogTransportOptions): ReplicationLogTransportPage
  /** Prometheus text 0.0.4. */
  metricsPrometheus(): string
  metricsOtelJson(): string
  /** A snapshot and the bytes of its copy, verified. */
  snapshotBinary(): { readonly snapshot: ReplicationSnapshotTransport; readonly body: Uint8Array }
  /** A page whose frames are bytes: see `decodeReplicationFrames`. */
  logBinary(options?: Omit<ReplicationLogTransportOptions, 'includePayload'>): ReplicationLogBinaryPage
  /**
   * All pages from `cursor` to the end of the log, the next one asked for when this one was taken. A gap ends it with
   * `ReplicationTransportGapError`.
   */
  pages(options?: ReplicationLogStreamOptions & { includePayload?: boolean | undefined }): AsyncGenerator<ReplicationLogTransportPage, void, undefined>
  /** All frames from `cursor` to the end of the log, as {@link ReplicationTransportAdapter.pages} brings them. */
  frames(options?: ReplicationLogStreamOptions): AsyncGenerator<ReplicationLogFrame, void, undefined>
}

/** The functions of the runbook, for one kind of database. */
export interface ReplicationTransport<Db> {
  readReplicationSnapshotTransport(db: Db, includeData?: boolean): ReplicationSnapshotTransport
  readReplicationLogTransport(db: Db, options?: ReplicationLogTransportOptions): ReplicationLogTransportPage
  createReplicationTransportAdapter(db: Db, options?: ReplicationTransportAdapterOptions): ReplicationTransportAdapter
}

const MAX_FRAMES = 128
const MAX_BYTES = 1_048_576

/** Makes the runbook's functions from those of the native module: `@kitedb/core/replication` exports what comes of it. */
export function bindReplicationTransport<Db>(functions: ReplicationTransportFunctions<Db>): ReplicationTransport<Db> {
  const readReplicationSnapshotTransport = (db: Db, includeData = false): ReplicationSnapshotTransport =>
    parseReplicationSnapshotTransport(functions.collectReplicationSnapshotTransportJson(db, includeData))

  const readReplicationLogTransport = (db: Db, options: ReplicationLogTransportOptions = {}): ReplicationLogTransportPage => {
    const { cursor = null, maxFrames = MAX_FRAMES, maxBytes = MAX_BYTES, includePayload = true } = options
    const text = functions.collectReplicationLogTransportJson(db, cursor, maxFrames, maxBytes, includePayload)
    return parseReplicationLogTransport(text)
  }

  const createReplicationTransportAdapter = (
    db: Db,
    options: ReplicationTransportAdapterOptions = {},
  ): ReplicationTransportAdapter => {
    const { authEnabled: told = false } = options
    const authEnabled = typeof told === 'boolean' ? told : told.authEnabled
    const log = (asked: ReplicationLogTransportOptions = {}) => readReplicationLogTransport(db, asked)

    async function* pages(
      asked: ReplicationLogStreamOptions & { includePayload?: boolean | undefined } = {},
    ): AsyncGenerator<ReplicationLogTransportPage, void, undefined> {
      const { signal, ...first } = asked
      let { cursor } = first
      for (;;) {
        if (signal?.aborted === true) throw signal.reason ?? new Error('aborted')
        const page = log({ ...first, cursor })
        if (page.frame_count > 0) yield page
        if (page.gap !== null) throw new ReplicationTransportGapError(page.gap)
        if (page.eof) return
        if (page.next_cursor === null) throw new ReplicationTransportError('an empty page of the log is not its end')
        cursor = page.next_cursor
      }
    }

    async function* frames(asked: ReplicationLogStreamOptions = {}): AsyncGenerator<ReplicationLogFrame, void, undefined> {
      for await (const page of pages({ ...asked, includePayload: true })) {
        const nextCursor = page.next_cursor ?? page.cursor ?? ''
        for (const frame of page.frames) yield frameOf(frame, nextCursor)
      }
    }

    return {
      snapshot: (includeData = false) => readReplicationSnapshotTransport(db, includeData),
      log,
      metricsPrometheus: () => {
        const text = functions.collectReplicationMetricsPrometheus(db, { authEnabled })
        requireToldAuth(text, authEnabled)
        return text
      },
      metricsOtelJson: () => functions.collectReplicationMetricsOtelJson(db),
      snapshotBinary: () => {
        const snapshot = readReplicationSnapshotTransport(db, true)
        return { snapshot: { ...snapshot, data_base64: null }, body: replicationSnapshotBytes(snapshot) }
      },
      logBinary: (asked = {}) => {
        const { frames: taken, ...page } = log({ ...asked, includePayload: true })
        return { ...page, body: encodeReplicationFrames(taken) }
      },
      pages,
      frames,
    }
  }

  return { readReplicationSnapshotTransport, readReplicationLogTransport, createReplicationTransportAdapter }
}

function frameOf(frame: ReplicationLogTransportFrame, nextCursor: string): ReplicationLogFrame {
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
