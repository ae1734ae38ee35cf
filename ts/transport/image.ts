import { ReplicationTransportError } from './error.js'
import type { ReplicationSnapshotTransport } from './json.js'

/** An image of a primary's database, as `Database.primaryExportSnapshotAsync` gives it. */
export interface ReplicationExportedSnapshot {
  readonly generatedAtMs: number | bigint
  readonly epoch: number | bigint
  readonly headLogIndex: number | bigint
  readonly retainedFloor: number | bigint
  readonly checkpointLogIndex: number | bigint
  readonly byteLength: number | bigint
  readonly digest: string
  readonly startCursor: string
  /** Exactly `length` bytes at `offset`. */
  read(offset: number, length: number): Uint8Array
  /** Lets it go; a second time does nothing. */
  release(): void
}

/** What is known of a snapshot before its bytes were read: not their checksum. */
export type ReplicationSnapshotImageInfo = Omit<
  ReplicationSnapshotTransport,
  'version' | 'db_path' | 'checksum_crc32c' | 'data_base64'
>

/** A snapshot of any size, read a piece at a time. It holds on to what it shows until it is read to its end, or let go. */
export interface ReplicationSnapshotImage {
  readonly snapshot: ReplicationSnapshotImageInfo
  /** Its bytes in pieces of `pieceBytes` (default 1 MiB). What breaks off lets it go. */
  pieces(pieceBytes?: number): AsyncIterableIterator<Uint8Array>
  release(): void
}

const PIECE = 1 << 20

export function imageOf(exported: ReplicationExportedSnapshot): ReplicationSnapshotImage {
  const byteLength = numberOf(exported.byteLength)
  const release = (): void => exported.release()
  return {
    snapshot: {
      format: 'single-file-db-copy',
      byte_length: byteLength,
      generated_at_ms: numberOf(exported.generatedAtMs),
      epoch: numberOf(exported.epoch),
      head_log_index: numberOf(exported.headLogIndex),
      retained_floor: numberOf(exported.retainedFloor),
      checkpoint_log_index: numberOf(exported.checkpointLogIndex),
      digest: exported.digest,
      start_cursor: exported.startCursor,
    },
    pieces: (pieceBytes = PIECE) => {
      if (!Number.isSafeInteger(pieceBytes) || pieceBytes < 1)
        throw new RangeError('pieceBytes must be a whole number above 0')
      let at = 0
      const end = async (): Promise<{ done: true; value: undefined }> => {
        at = byteLength
        release()
        return { done: true, value: undefined }
      }
      // No generator: one that was never begun would not run what lets the image go.
      return {
        next: async () => {
          if (at >= byteLength) return end()
          try {
            const value = exported.read(at, Math.min(pieceBytes, byteLength - at))
            at += value.length
            return { done: false, value }
          } catch (error) {
            await end()
            throw error
          }
        },
        return: end,
        [Symbol.asyncIterator]() {
          return this
        },
      }
    },
    release,
  }
}

/** Handles that were opened with `integers: 'bigint'` tell them so. */
function numberOf(value: number | bigint): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new ReplicationTransportError('a number of the snapshot is beyond 2^53 - 1')
  return number
}
