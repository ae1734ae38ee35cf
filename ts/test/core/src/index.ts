/**
 * What the templates use of `@kitedb/core`, over a process that holds the real engine: see `test/host`. Calls are answered
 * before they return, as those of the native module are, by way of two named pipes.
 */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface OpenOptions {
  replicationRole?: 'disabled' | 'primary' | 'replica' | null
  replicationSidecarPath?: string | null
  replicationSourceDbPath?: string | null
  replicationSegmentMaxBytes?: number | null
  replicationRetentionMinEntries?: number | null
}

export interface ReplicaLag {
  replicaId: string
  path: string | null
  epoch: number
  appliedLogIndex: number
}

export interface PrimaryReplicationStatus {
  role: 'primary'
  epoch: number
  headLogIndex: number
  retainedFloor: number
  replicaLags: ReplicaLag[]
  sidecarPath: string
  lastToken: string | null
  appendAttempts: number
  appendFailures: number
  appendSuccesses: number
}

export interface ReplicaReplicationStatus {
  role: 'replica'
  sourceDbPath: string | null
  sourceSidecarPath: string | null
  appliedEpoch: number
  appliedLogIndex: number
  lastError: string | null
  needsReseed: boolean
  state: string
}

export class KiteDbError extends Error {
  override name = 'KiteDbError'
  constructor(
    readonly code: string,
    readonly kind: string,
    message: string,
  ) {
    super(message)
  }
}

export interface CallOptions {
  signal?: { readonly aborted: boolean; readonly reason?: unknown }
}

interface ImageInfo {
  generatedAtMs: number
  epoch: number
  headLogIndex: number
  retainedFloor: number
  checkpointLogIndex: number
  byteLength: number
  digest: string
  startCursor: string
}

/** Not before the caller has gone on, and not at all where that has ended it by then. */
async function later<T>({ signal }: CallOptions = {}, call: () => T): Promise<T> {
  await new Promise((resolve) => setImmediate(resolve))
  if (signal?.aborted === true) {
    const error = new KiteDbError('CANCELLED', 'cancelled', 'cancelled: its caller ended it')
    throw Object.assign(error, { name: 'AbortError', cause: signal.reason })
  }
  return call()
}

type Answer = { ok: unknown } | { error: { code: string; kind: string; message: string } }

export class Database {
  readonly #to: number
  readonly #from: number
  #open = true

  private constructor() {
    const host = process.env['KITEDB_TEST_HOST']
    if (host === undefined) throw new Error('KITEDB_TEST_HOST names no host: run scripts/test-ts.sh')
    const pipes = mkdtempSync(join(tmpdir(), 'kitedb-pipes-'))
    const [to, from] = [join(pipes, 'to'), join(pipes, 'from')]
    execFileSync('mkfifo', [to, from])
    spawn('sh', ['-c', 'exec "$0" <"$1" >"$2"', host, to, from], { stdio: ['ignore', 'ignore', 'inherit'] }).unref()
    this.#to = openSync(to, 'w')
    this.#from = openSync(from, 'r')
    rmSync(pipes, { recursive: true })
  }

  static open(path: string, options: OpenOptions = {}): Database {
    const db = new Database()
    db.call(
      'open',
      path,
      options.replicationRole,
      options.replicationSidecarPath,
      options.replicationSourceDbPath,
      options.replicationSegmentMaxBytes,
      options.replicationRetentionMinEntries,
    )
    return db
  }

  primaryReplicationStatus(): PrimaryReplicationStatus | null {
    return this.call('primaryStatus') as PrimaryReplicationStatus | null
  }

  replicaReplicationStatus(): ReplicaReplicationStatus | null {
    return this.call('replicaStatus') as ReplicaReplicationStatus | null
  }

  async replicaCatchUpOnceAsync(maxFrames: number): Promise<number> {
    return this.call('catchUp', maxFrames) as number
  }

  async replicaReseedFromSnapshotAsync(): Promise<void> {
    this.call('reseed')
  }

  async primaryPromoteToNextEpochAsync(): Promise<number> {
    return this.call('promote') as number
  }

  async exportReplicationSnapshotTransportJsonAsync(includeData = false, options?: CallOptions): Promise<string> {
    return later(options, () => collectReplicationSnapshotTransportJson(this, includeData))
  }

  async exportReplicationLogTransportJsonAsync(
    cursor?: string | null,
    maxFrames?: number,
    maxBytes?: number,
    includePayload?: boolean,
    options?: CallOptions,
  ): Promise<string> {
    return later(options, () => collectReplicationLogTransportJson(this, cursor, maxFrames, maxBytes, includePayload))
  }

  async primaryExportSnapshotAsync(options?: CallOptions): Promise<ExportedSnapshot> {
    return later(options, () => new ExportedSnapshot(this, this.call('imageOpen') as ImageInfo))
  }

  close(): void {
    if (!this.#open) return
    this.call('close')
    this.#open = false
    closeSync(this.#to)
    closeSync(this.#from)
  }

  /** For tests: whatever the host can be asked. */
  call(call: string, ...args: unknown[]): unknown {
    if (!this.#open) throw new KiteDbError('CLOSED', 'reopen', 'Database is closed')
    writeSync(this.#to, `${JSON.stringify({ call, args: args.map((arg) => arg ?? null) })}\n`)
    const pieces: Buffer[] = []
    const piece = Buffer.alloc(1 << 16)
    for (;;) {
      const count = readSync(this.#from, piece)
      if (count === 0) throw new Error(`the host ended during ${call}`)
      pieces.push(Buffer.from(piece.subarray(0, count)))
      if (piece[count - 1] === 0x0a) break
    }
    const answer = JSON.parse(Buffer.concat(pieces).toString()) as Answer
    if ('ok' in answer) return answer.ok
    throw new KiteDbError(answer.error.code, answer.error.kind, answer.error.message)
  }
}

export class ExportedSnapshot implements ImageInfo {
  declare readonly generatedAtMs: number
  declare readonly epoch: number
  declare readonly headLogIndex: number
  declare readonly retainedFloor: number
  declare readonly checkpointLogIndex: number
  declare readonly byteLength: number
  declare readonly digest: string
  declare readonly startCursor: string
  readonly #db: Database

  constructor(db: Database, info: ImageInfo) {
    this.#db = db
    Object.assign(this, info)
  }

  read(offset: number, length: number): Uint8Array {
    return Buffer.from(this.#db.call('imageRead', offset, length) as string, 'hex')
  }

  release(): void {
    this.#db.call('imageRelease')
  }
}

export function collectReplicationSnapshotTransportJson(db: Database, includeData = false): string {
  return db.call('snapshotJson', includeData) as string
}

export function collectReplicationLogTransportJson(
  db: Database,
  cursor: string | null = null,
  maxFrames = 128,
  maxBytes = 1_048_576,
  includePayload = true,
): string {
  return db.call('logJson', cursor, maxFrames, maxBytes, includePayload) as string
}

export function collectReplicationMetricsPrometheus(db: Database, options: { authEnabled?: boolean } = {}): string {
  return db.call('prometheus', options.authEnabled ?? false) as string
}

export function collectReplicationMetricsOtelJson(db: Database): string {
  return db.call('otelJson') as string
}
