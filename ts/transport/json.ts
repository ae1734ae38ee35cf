import { ReplicationTransportError } from './error.js'

/** The version of both texts that is read here. */
const VERSION = 1

/** A copy of the primary at a checkpoint, and where in its log it stands. Times in ms since 1970, lengths in bytes. */
export interface ReplicationSnapshotTransport {
  readonly version: number
  readonly format: 'single-file-db-copy'
  /** Where the file is, on the primary's machine. */
  readonly db_path: string
  readonly byte_length: number
  /** The CRC-32C (Castagnoli) of the copy, as 8 hexadecimal digits. */
  readonly checksum_crc32c: string
  readonly generated_at_ms: number
  readonly epoch: number
  readonly head_log_index: number
  readonly retained_floor: number
  /** The last frame that the copy holds, and the state digest there. */
  readonly checkpoint_log_index: number
  readonly digest: string
  /** The cursor from which the log goes on. */
  readonly start_cursor: string
  /** The bytes of a database file; `null` where they were not asked for. */
  readonly data_base64: string | null
}

/** One committed transaction. */
export interface ReplicationLogTransportFrame {
  readonly epoch: number
  readonly log_index: number
  readonly segment_id: number
  readonly segment_offset: number
  /** How many bytes the frame has. */
  readonly bytes: number
  /** The frame as the log holds it; `null` where it was not asked for. */
  readonly payload_base64: string | null
}

/** Frames that should come next and are gone. */
export interface ReplicationLogTransportGap {
  /** `below_floor`, `missing_segment` or `off_history`; others may come. */
  readonly reason: string
  readonly first_missing: number | null
  readonly last_missing: number | null
}

/** A page of the log. */
export interface ReplicationLogTransportPage {
  readonly version: number
  readonly epoch: number
  readonly head_log_index: number
  readonly retained_floor: number
  /** The cursor that was asked for. */
  readonly cursor: string | null
  /** The cursor to go on with; `null` where the page is empty: then it is the one that was asked for. */
  readonly next_cursor: string | null
  /** Whether nothing that was published is left after this page. */
  readonly eof: boolean
  readonly gap: ReplicationLogTransportGap | null
  readonly frame_count: number
  readonly total_bytes: number
  readonly frames: readonly ReplicationLogTransportFrame[]
}

type Kind = 'integer' | 'integer or null' | 'string' | 'string or null' | 'boolean' | 'object or null' | 'list'
type Shape<T> = { readonly [Key in keyof T]-?: Kind }

const SNAPSHOT: Shape<ReplicationSnapshotTransport> = {
  version: 'integer',
  format: 'string',
  db_path: 'string',
  byte_length: 'integer',
  checksum_crc32c: 'string',
  generated_at_ms: 'integer',
  epoch: 'integer',
  head_log_index: 'integer',
  retained_floor: 'integer',
  checkpoint_log_index: 'integer',
  digest: 'string',
  start_cursor: 'string',
  data_base64: 'string or null',
}
const PAGE: Shape<ReplicationLogTransportPage> = {
  version: 'integer',
  epoch: 'integer',
  head_log_index: 'integer',
  retained_floor: 'integer',
  cursor: 'string or null',
  next_cursor: 'string or null',
  eof: 'boolean',
  gap: 'object or null',
  frame_count: 'integer',
  total_bytes: 'integer',
  frames: 'list',
}
const GAP: Shape<ReplicationLogTransportGap> = {
  reason: 'string',
  first_missing: 'integer or null',
  last_missing: 'integer or null',
}
const FRAME: Shape<ReplicationLogTransportFrame> = {
  epoch: 'integer',
  log_index: 'integer',
  segment_id: 'integer',
  segment_offset: 'integer',
  bytes: 'integer',
  payload_base64: 'string or null',
}

/**
 * Reads a snapshot's text. Members that are not known are passed over.
 *
 * @throws ReplicationTransportError
 */
export function parseReplicationSnapshotTransport(text: string): ReplicationSnapshotTransport {
  const fail = failing('snapshot')
  const snapshot = read<ReplicationSnapshotTransport>(text, SNAPSHOT, fail)
  if (snapshot.format !== 'single-file-db-copy') throw fail('its format is not known')
  return snapshot
}

/**
 * Reads a page's text, of which all frames that it says must be there.
 *
 * @throws ReplicationTransportError
 */
export function parseReplicationLogTransport(text: string): ReplicationLogTransportPage {
  const fail = failing('log')
  const page = read<ReplicationLogTransportPage>(text, PAGE, fail)
  if (page.gap !== null) requireShape(page.gap, GAP, 'gap.', fail)
  let bytes = 0
  for (const frame of page.frames) {
    requireShape(frame, FRAME, 'frames[].', fail)
    bytes += frame.bytes
  }
  if (page.frames.length !== page.frame_count || bytes !== page.total_bytes) {
    throw fail(`it has ${page.frames.length} frames, where ${page.frame_count} with ${page.total_bytes} bytes are said`)
  }
  return page
}

type Fail = (why: string, cause?: unknown) => ReplicationTransportError

/** The text itself is in no message: it holds the graph. */
function failing(what: string): Fail {
  return (why, cause) =>
    new ReplicationTransportError(
      `Failed to parse replication ${what} transport JSON: ${why}`,
      cause === undefined ? undefined : { cause },
    )
}

function read<T>(text: string, shape: Shape<T>, fail: Fail): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Its message may quote the text.
    throw fail(typeof text === 'string' ? 'it is not JSON' : 'it is no text')
  }
  // First: another version may have other members.
  requireShape(value, { version: 'integer' } satisfies Shape<{ version: number }>, '', fail)
  const { version } = value as { version: number }
  if (version !== VERSION)
    throw fail(`it has version ${version}, and ${VERSION} is read here: use the version that wrote it, or a newer one`)
  requireShape(value, shape, '', fail)
  return value as T
}

function requireShape(value: unknown, shape: Readonly<Record<string, Kind>>, at: string, fail: Fail): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail(`${at || 'it'} is no object`)
  for (const [key, kind] of Object.entries(shape)) {
    const member: unknown = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined
    if (!isOf(member, kind))
      throw fail(`${at}${key} must be ${kind === 'integer' ? 'an integer up to 2^53 - 1' : `of kind ${kind}`}`)
  }
}

function isOf(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'integer':
      // A larger one was rounded when it was read.
      return Number.isSafeInteger(value) && (value as number) >= 0
    case 'integer or null':
      return value === null || isOf(value, 'integer')
    case 'string':
      return typeof value === 'string'
    case 'string or null':
      return value === null || typeof value === 'string'
    case 'boolean':
      return typeof value === 'boolean'
    case 'object or null':
      return typeof value === 'object'
    case 'list':
      return Array.isArray(value)
  }
}
