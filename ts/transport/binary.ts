import { bytesOfBase64 } from './base64.js'
import { crc32cOf } from './crc32c.js'
import { ReplicationTransportError } from './error.js'
import type { ReplicationLogTransportFrame, ReplicationLogTransportPage, ReplicationSnapshotTransport } from './json.js'

/**
 * The bytes of a snapshot's copy, which are those of a database file; their length and checksum are those that are said.
 *
 * @throws ReplicationTransportError
 */
export function replicationSnapshotBytes(snapshot: ReplicationSnapshotTransport): Uint8Array {
  if (snapshot.data_base64 === null)
    throw new ReplicationTransportError('the snapshot has no data: ask for it with its data')
  const bytes = bytesOfBase64(snapshot.data_base64)
  if (bytes === undefined)
    throw new ReplicationTransportError('the data of the snapshot are no base64: ask for it again')
  const crc = crc32cOf(bytes)
  if (bytes.length !== snapshot.byte_length || crc !== snapshot.checksum_crc32c.toLowerCase()) {
    throw new ReplicationTransportError(
      `the data of the snapshot have ${bytes.length} bytes and the CRC-32C ${crc}, where ${snapshot.byte_length} and ` +
        `${snapshot.checksum_crc32c} are said: ask for it again`,
    )
  }
  return bytes
}

/**
 * The bytes of a frame, as the log holds it.
 *
 * @throws ReplicationTransportError
 */
export function replicationFrameBytes(frame: ReplicationLogTransportFrame): Uint8Array {
  if (frame.payload_base64 === null) {
    throw new ReplicationTransportError(`frame ${frame.log_index} has no payload: ask for the page with its payloads`)
  }
  const bytes = bytesOfBase64(frame.payload_base64)
  if (bytes?.length !== frame.bytes) {
    throw new ReplicationTransportError(
      `the payload of frame ${frame.log_index} is not ${frame.bytes} bytes in base64: ask for the page again`,
    )
  }
  return bytes
}

/** A page of the log whose frames are bytes: each is its length (4 bytes, little-endian) and the frame as the log holds it. */
export interface ReplicationLogBinaryPage extends Omit<ReplicationLogTransportPage, 'frames'> {
  readonly body: Uint8Array
}

/** The frames of a page as one body, about a quarter shorter than its JSON. */
export function encodeReplicationFrames(frames: readonly ReplicationLogTransportFrame[]): Uint8Array {
  const body = new Uint8Array(frames.reduce((sum, frame) => sum + 4 + frame.bytes, 0))
  const view = new DataView(body.buffer)
  let at = 0
  for (const frame of frames) {
    view.setUint32(at, frame.bytes, true)
    body.set(replicationFrameBytes(frame), at + 4)
    at += 4 + frame.bytes
  }
  return body
}

/**
 * The frames in such a body, as views of it. The body of a `fetch` is an `ArrayBuffer`, which is taken as well.
 *
 * @throws ReplicationTransportError if it ends within one, or one is empty, as none of the log is; TypeError for what is no bytes
 */
export function decodeReplicationFrames(body: Uint8Array | ArrayBuffer): Uint8Array[] {
  const bytes = bytesOf(body)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const frames: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : Number.POSITIVE_INFINITY
    if (at + 4 + length > bytes.length) {
      throw new ReplicationTransportError(`the body ends within its frame ${frames.length + 1}: ask for the page again`)
    }
    if (length === 0) {
      throw new ReplicationTransportError(
        `frame ${frames.length + 1} of the body has no bytes, which no frame of a log has: ask for the page again`,
      )
    }
    frames.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return frames
}

/** By their tags: those of another realm are instances of other classes. */
function bytesOf(body: unknown): Uint8Array {
  const kind = Object.prototype.toString.call(body).slice('[object '.length, -1)
  if (ArrayBuffer.isView(body) && kind === 'Uint8Array') return body as Uint8Array
  if (kind === 'ArrayBuffer' && typeof body === 'object') return new Uint8Array(body as ArrayBuffer)
  const what = typeof body === 'object' && body !== null ? kind : body === null ? 'null' : typeof body
  throw new TypeError(`the body of frames is of type ${what}: give a Uint8Array or an ArrayBuffer`)
}
