import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import * as core from '@kitedb/core'
import {
  type ReplicationTransportAdapter,
  ReplicationTransportError,
  ReplicationTransportGapError,
  bindReplicationTransport,
  createReplicationAdminAuthorizer,
  createReplicationTransportAdapter,
  decodeReplicationFrames,
  encodeReplicationFrames,
  parseReplicationLogTransport,
  parseReplicationSnapshotTransport,
  readReplicationLogTransport,
  readReplicationSnapshotTransport,
  replicationFrameBytes,
  replicationSnapshotBytes,
} from '@kitedb/core/replication'
import { imagesOf, opened, primary, scratch } from './scratch.js'

test('a snapshot travels as text, and opens elsewhere as the same graph', async (t) => {
  const folder = scratch(t)
  const db = primary(t, folder, 5)
  const adapter = createReplicationTransportAdapter(db)
  const without = adapter.snapshot()
  assert.equal(without.format, 'single-file-db-copy')
  assert.equal(without.db_path, join(folder, 'primary.kitedb'))
  assert.equal(without.data_base64, null)
  assert.equal(without.head_log_index, 5)
  assert.equal(without.start_cursor, '1:0:0:6')
  assert.match(without.checksum_crc32c, /^[0-9a-f]{8}$/)
  assert.throws(() => replicationSnapshotBytes(without), /has no data: ask for it with its data/)
  assert.deepEqual(Object.keys(readReplicationSnapshotTransport(db)), Object.keys(without))

  const snapshot = adapter.snapshot(true)
  const body = replicationSnapshotBytes(snapshot)
  assert.equal(body.length, snapshot.byte_length)
  assert.deepEqual(body, new Uint8Array(Buffer.from(snapshot.data_base64 ?? '', 'base64')))
  const { generated_at_ms: _then, ...later } = await adapter.snapshotAsync(true)
  const { generated_at_ms: _now, ...told } = snapshot
  assert.deepEqual(later, told)
  writeFileSync(join(folder, 'copy.kitedb'), body)
  const copy = opened(t, join(folder, 'copy.kitedb'))
  assert.equal(copy.digest(), snapshot.digest)
  assert.equal(copy.digest(), db.digest())
  assert.equal(copy.nodeWithKey('node 5')?.key, 'node 5')
})

test('a snapshot of any size is read in pieces, and let go at the end or before it', async (t) => {
  const folder = scratch(t)
  const db = primary(t, folder, 5)
  const { handedOut, areHeld: held } = imagesOf(t, db)
  const adapter = createReplicationTransportAdapter(db)
  const image = await adapter.snapshotImage()
  const { byte_length, digest, start_cursor, format } = image.snapshot
  assert.deepEqual([format, start_cursor, digest], ['single-file-db-copy', '1:0:0:6', db.digest()])
  const pieces: Uint8Array[] = []
  for await (const piece of image.pieces(1000)) {
    pieces.push(piece)
    assert.equal(held(), true)
  }
  assert.deepEqual([...new Set(pieces.slice(0, -1).map((piece) => piece.length))], [1000])
  assert.equal(Buffer.concat(pieces).length, byte_length)
  assert.equal(held(), false)
  writeFileSync(join(folder, 'copy.kitedb'), Buffer.concat(pieces))
  assert.equal(opened(t, join(folder, 'copy.kitedb')).digest(), digest)

  for (const leave of [
    async () => {
      for await (const _ of (await adapter.snapshotImage()).pieces(10)) break
    },
    async () => {
      const reading = (await adapter.snapshotImage()).pieces(10)
      await reading.next()
      await assert.rejects(async () => {
        for await (const _ of reading) throw new Error('enough')
      }, /enough/)
    },
    // Before the first piece, as where the client is gone already.
    async () => (await adapter.snapshotImage()).pieces().return?.(),
    async () => (await adapter.snapshotImage()).release(),
    async () => {
      const reading = (await adapter.snapshotImage()).pieces(10)
      handedOut.at(-1)?.release()
      await assert.rejects(reading.next(), { code: 'FINISHED' })
      assert.deepEqual(await reading.next(), { done: true, value: undefined })
    },
  ]) {
    await leave()
    assert.equal(held(), false)
  }
  for (const bytes of [0, -1, 1.5, Number.NaN]) {
    const unread = await adapter.snapshotImage()
    assert.throws(() => unread.pieces(bytes), RangeError)
    unread.release()
  }
})

test('calls that do not hold up the event loop end with their signal', async (t) => {
  const adapter = createReplicationTransportAdapter(primary(t, scratch(t), 1))
  const ended = AbortSignal.abort(new Error('enough'))
  await assert.rejects(adapter.snapshotAsync(false, { signal: ended }), { name: 'AbortError' })
  await assert.rejects(adapter.snapshotImage({ signal: ended }), { name: 'AbortError' })
  await assert.rejects(adapter.logAsync({ signal: ended }), { name: 'AbortError' })
  await assert.rejects(adapter.logBinary({ signal: ended }), { name: 'AbortError' })
  await assert.rejects(adapter.pages({ signal: ended }).next(), { name: 'AbortError' })
  await assert.rejects(adapter.frames({ signal: ended }).next(), { name: 'AbortError' })
  const { signal } = new AbortController()
  assert.equal((await adapter.logAsync({ signal })).frame_count, 1)
})

test('pages follow each other to the end, by their cursors', async (t) => {
  const db = primary(t, scratch(t), 5)
  const adapter = createReplicationTransportAdapter(db)
  const first = adapter.log({ maxFrames: 2 })
  assert.deepEqual(first, readReplicationLogTransport(db, { maxFrames: 2 }))
  assert.deepEqual([first.cursor, first.frame_count, first.eof, first.gap], [null, 2, false, null])
  assert.deepEqual(await adapter.logAsync({ maxFrames: 2 }), first)
  const second = adapter.log({ cursor: first.next_cursor, maxFrames: 2 })
  assert.equal(second.cursor, first.next_cursor)
  assert.deepEqual(
    second.frames.map((frame) => frame.log_index),
    [3, 4],
  )
  const last = adapter.log({ cursor: second.next_cursor })
  assert.deepEqual([last.frames.map((frame) => frame.log_index), last.eof], [[5], true])
  const beyond = adapter.log({ cursor: last.next_cursor })
  assert.deepEqual([beyond.frame_count, beyond.eof, beyond.next_cursor], [0, true, null])

  const whole = adapter.log()
  assert.equal(whole.frame_count, 5)
  for (const frame of whole.frames) assert.equal(replicationFrameBytes(frame).length, frame.bytes)
  const bare = adapter.log({ includePayload: false })
  assert.deepEqual(
    bare.frames,
    whole.frames.map((frame) => ({ ...frame, payload_base64: null })),
  )
  assert.throws(
    () => encodeReplicationFrames(bare.frames),
    /frame 1 has no payload: ask for the page with its payloads/,
  )
  const one = adapter.log({ maxBytes: whole.frames[0]?.bytes })
  assert.equal(one.frame_count, 1)
  for (const cursor of ['', '  ', null, undefined]) assert.equal(adapter.log({ cursor }).frame_count, 5)
})

test('the defaults are 128 frames, of at most 1 MiB', (t) => {
  const asked: unknown[] = []
  const { createReplicationTransportAdapter: make } = bindReplicationTransport<core.Database>({
    ...core,
    collectReplicationLogTransportJson: (db, ...args) => {
      asked.push(args)
      return core.collectReplicationLogTransportJson(db, ...args)
    },
  })
  const adapter = make(primary(t, scratch(t), 130))
  const page = adapter.log()
  assert.deepEqual([page.frame_count, page.eof], [128, false])
  adapter.log({ cursor: undefined, maxFrames: undefined, maxBytes: undefined, includePayload: undefined })
  assert.deepEqual(asked, [
    [null, 128, 1048576, true],
    [null, 128, 1048576, true],
  ])
})

test('what the database refuses comes through as it said it', async (t) => {
  const folder = scratch(t)
  const adapter = createReplicationTransportAdapter(primary(t, folder, 1))
  assert.throws(() => adapter.log({ cursor: 'bad-cursor' }), { code: 'INVALID_CURSOR', message: /invalid cursor/ })
  assert.throws(() => adapter.log({ maxFrames: 0 }), {
    code: 'INVALID_ARGUMENT',
    message: /maxFrames must be positive|max_frames must be > 0/,
  })
  assert.throws(() => adapter.log({ maxBytes: 1 }), { message: /max_?bytes.*smaller than frame size/i })
  await assert.rejects(adapter.logAsync({ cursor: 'bad-cursor' }), { code: 'INVALID_CURSOR' })
  const alone = opened(t, join(folder, 'alone.kitedb'))
  assert.throws(() => createReplicationTransportAdapter(alone).snapshot(), {
    code: 'NOT_PRIMARY',
    message: /not opened in primary role/,
  })
})

test('a binary page has the frames of the text, as the log holds them', async (t) => {
  const db = primary(t, scratch(t), 4)
  const adapter = createReplicationTransportAdapter(db)
  const { body, ...page } = await adapter.logBinary({ maxFrames: 3 })
  const { frames, ...text } = adapter.log({ maxFrames: 3 })
  assert.deepEqual(page, text)
  const decoded = decodeReplicationFrames(body)
  assert.deepEqual(decoded, frames.map(replicationFrameBytes))
  assert.deepEqual(
    decoded.map((frame) => frame.length),
    frames.map((frame) => frame.bytes),
  )
  assert.equal(body.length, page.total_bytes + 4 * page.frame_count)
  // What was cut on its way is no shorter page.
  for (let cut = 1; cut < body.length; cut++) {
    const left = body.subarray(0, cut)
    const ends = new Set(
      decoded.map((_, at) => decoded.slice(0, at + 1).reduce((sum, frame) => sum + 4 + frame.length, 0)),
    )
    if (ends.has(cut)) assert.ok(decodeReplicationFrames(left).length < decoded.length)
    else assert.throws(() => decodeReplicationFrames(left), ReplicationTransportError)
  }
  assert.deepEqual(decodeReplicationFrames(new Uint8Array()), [])
  assert.deepEqual(decodeReplicationFrames(body.slice().buffer), decoded)
  const inside = new Uint8Array(body.length + 7)
  inside.set(body, 7)
  assert.deepEqual(decodeReplicationFrames(inside.subarray(7)), decoded)
})

test('a body of frames is bytes, and each frame of it has some', () => {
  for (const at of [0, 5]) {
    const body = new Uint8Array(at + 4 * 1024)
    if (at > 0) body[0] = 1
    assert.throws(
      () => decodeReplicationFrames(body),
      (error: unknown) =>
        error instanceof ReplicationTransportError && /frame [12] of the body has no bytes/.test(error.message),
    )
  }
  assert.deepEqual(decodeReplicationFrames(new ArrayBuffer(0)), [])
  for (const given of [undefined, null, 'abcd', [1, 0, 0, 0, 7], new Uint16Array(4), new Float32Array(2), new DataView(new ArrayBuffer(8)), {}]) {
    assert.throws(() => decodeReplicationFrames(given as never), {
      name: 'TypeError',
      message: /the body of frames is of type .*: give a Uint8Array or an ArrayBuffer/,
    })
  }
})

test('a stream of pages or frames asks for the next one when this one was taken', async (t) => {
  const db = primary(t, scratch(t), 7)
  const adapter = createReplicationTransportAdapter(db)
  const counts: number[] = []
  for await (const page of adapter.pages({ maxFrames: 3 })) {
    counts.push(page.frame_count)
    // It goes on to the end that the log has when that is reached.
    if (counts.length === 1) db.createNode('meanwhile')
  }
  assert.deepEqual(counts, [3, 3, 2])
  const indexes: number[] = []
  let resume: string | undefined
  for await (const frame of adapter.frames({ maxFrames: 2 })) {
    indexes.push(frame.logIndex)
    assert.ok(frame.data.length > 0)
    resume = frame.nextCursor ?? undefined
    if (frame.logIndex === 4) break
  }
  assert.deepEqual(indexes, [1, 2, 3, 4])
  const rest: number[] = []
  for await (const frame of adapter.frames({ cursor: resume })) rest.push(frame.logIndex)
  assert.deepEqual(rest, [5, 6, 7, 8])
  for await (const _ of adapter.pages({ cursor: adapter.log().next_cursor }))
    assert.fail('there is nothing after the end')

  const controller = new AbortController()
  const seen: number[] = []
  const reading = async (): Promise<void> => {
    for await (const page of adapter.pages({ maxFrames: 1, signal: controller.signal })) {
      seen.push(page.frame_count)
      if (seen.length === 2) controller.abort(new Error('enough'))
    }
  }
  await assert.rejects(reading(), { name: 'AbortError' })
  assert.deepEqual(seen, [1, 1])
})

test('a gap ends a stream, and is no end of the log', async (t) => {
  const db = primary(t, scratch(t), 6, { replicationSegmentMaxBytes: 1, replicationRetentionMinEntries: 2 })
  db.checkpoint()
  db.primaryRunRetention()
  const adapter = createReplicationTransportAdapter(db)
  const page = adapter.log({ cursor: '1:0:0:1' })
  assert.equal(page.gap?.reason, 'below_floor')
  const reading = async (): Promise<void> => {
    for await (const _ of adapter.frames({ cursor: '1:0:0:1' }));
  }
  await assert.rejects(reading(), (error: unknown) => {
    assert.ok(error instanceof ReplicationTransportGapError)
    assert.equal(error.code, 'NEEDS_RESEED')
    assert.deepEqual(error.gap, page.gap)
    assert.match(error.message, /below_floor.*frames 1 to \d+ are missing.*needs reseed/)
    return true
  })
})

test('the metrics say whether the host asks for authorization', (t) => {
  const db = primary(t, scratch(t), 3)
  const auth = (text: string): string | undefined => /^kitedb_replication_auth_enabled\{.*\} (\d)$/m.exec(text)?.[1]
  const guarded = createReplicationAdminAuthorizer({ mode: 'token', token: 'x' })
  const open = createReplicationAdminAuthorizer({ mode: 'none' })
  for (const [authEnabled, said] of [
    [undefined, '0'],
    [false, '0'],
    [true, '1'],
    [open, '0'],
    [guarded, '1'],
  ] as const) {
    const adapter = createReplicationTransportAdapter(db, { authEnabled })
    const text = adapter.metricsPrometheus()
    assert.equal(auth(text), said, inspect(authEnabled))
    assert.match(text, /^kitedb_replication_primary_head_log_index\{.*\} 3$/m)
  }
  const otel = JSON.parse(createReplicationTransportAdapter(db).metricsOtelJson()) as { resourceMetrics: unknown[] }
  assert.equal(otel.resourceMetrics.length, 1)
  // A renderer of another version would call the host open.
  const deaf = bindReplicationTransport<core.Database>({
    ...core,
    collectReplicationMetricsPrometheus: (of) => core.collectReplicationMetricsPrometheus(of),
  })
  const adapter = deaf.createReplicationTransportAdapter(db, { authEnabled: guarded })
  assert.throws(
    () => adapter.metricsPrometheus(),
    /auth_enabled is 0 in the metrics of a host whose authorization is on/,
  )
})

test('an option that is misspelt is refused, and null is none', async (t) => {
  const db = primary(t, scratch(t), 2)
  const make = createReplicationTransportAdapter as (db: core.Database, options?: unknown) => ReplicationTransportAdapter
  for (const [options, says] of [
    [{ authEnabld: true }, /the transport adapter has no option 'authEnabld': there are authEnabled/],
    [5, /the options of the transport adapter must be an object/],
    [{ authEnabled: 1 }, /authEnabled must be true, false, or the authorizer/],
    [{ authEnabled: {} }, /authEnabled must be true, false, or the authorizer/],
  ] as const) {
    assert.throws(() => make(db, options), { name: 'TypeError', message: says })
  }
  const adapter = make(db, null)
  const wrong = { maxFrame: 1, sgnal: 1 } as object
  const says = { name: 'TypeError', message: /has no option 'maxFrame': there are cursor, maxFrames/ }
  assert.throws(() => adapter.log(wrong), says)
  assert.throws(() => readReplicationLogTransport(db, wrong), says)
  await assert.rejects(adapter.logAsync(wrong), says)
  await assert.rejects(adapter.logBinary(wrong), says)
  assert.throws(() => adapter.pages(wrong), says)
  assert.throws(() => adapter.frames(wrong), says)
  for (const call of [adapter.snapshotAsync(false, wrong), adapter.snapshotImage(wrong)]) {
    await assert.rejects(call, { name: 'TypeError', message: /a snapshot has no option 'maxFrame': there are signal/ })
  }
  assert.equal(adapter.log().frame_count, 2)
})

test('a text that was changed on its way is refused, and not shown', (t) => {
  const db = primary(t, scratch(t), 3)
  const page = core.collectReplicationLogTransportJson(db)
  const snapshot = core.collectReplicationSnapshotTransportJson(db, true)
  assert.equal(parseReplicationLogTransport(page).frame_count, 3)
  const both = [
    ['"version":1', '"version":2', /it has version 2, and 1 is read here/],
    ['"version":1', '"version":"1"', /version must be an integer/],
    ['"version":1,', '', /version must be an integer/],
    ['"epoch":1', '"epoch":-1', /epoch must be an integer/],
    ['"epoch":1', '"epoch":1.5', /epoch must be an integer/],
    // Where a number would be rounded, another frame would be meant.
    ['"head_log_index":3', '"head_log_index":9007199254740993', /head_log_index must be an integer up to 2\^53 - 1/],
    ['"retained_floor":0', '"retained_floor":null', /retained_floor must be an integer/],
    ['{', '[', /it is not JSON/],
  ] as const
  const cases: [
    typeof parseReplicationLogTransport | typeof parseReplicationSnapshotTransport,
    string,
    string,
    string,
    RegExp,
  ][] = []
  for (const [from, to, says] of both) {
    cases.push(
      [parseReplicationLogTransport, page, from, to, says],
      [parseReplicationSnapshotTransport, snapshot, from, to, says],
    )
  }
  cases.push(
    [parseReplicationLogTransport, page, '"frame_count":3', '"frame_count":4', /it has 3 frames, where 4 with/],
    [parseReplicationLogTransport, page, '"total_bytes":', '"total_bytes":1', /it has 3 frames, where 3 with/],
    [parseReplicationLogTransport, page, '"frames":[{', '"frames":[7,{', /frames\[\]\. is no object/],
    [
      parseReplicationLogTransport,
      page,
      '"payload_base64":"',
      '"payload_base64":7,"x":"',
      /frames\[\]\.payload_base64 must be of kind string or null/,
    ],
    [parseReplicationLogTransport, page, '"gap":null', '"gap":{}', /gap\.reason must be of kind string/],
    [parseReplicationLogTransport, page, '"eof":true', '"eof":1', /eof must be of kind boolean/],
    [parseReplicationLogTransport, page, '"frames":[', '"frames":null,"was":[', /frames must be of kind list/],
    [parseReplicationSnapshotTransport, snapshot, 'single-file-db-copy', 'other', /its format is not known/],
  )
  for (const [parse, text, from, to, says] of cases) {
    assert.ok(text.includes(from), from)
    assert.throws(
      () => parse(text.replace(from, to)),
      (error: unknown) => {
        assert.ok(error instanceof ReplicationTransportError)
        assert.match(error.message, /^Failed to parse replication (snapshot|log) transport JSON: /)
        assert.match(error.message, says)
        assert.ok(!inspect(error).includes('base64":"'), 'it shows what it read')
        return true
      },
    )
  }
  for (const text of ['', 'null', '7', '[]', '"x"', '{}', '{"__proto__":{"version":1}}']) {
    assert.throws(() => parseReplicationLogTransport(text), ReplicationTransportError, text)
    assert.throws(() => parseReplicationSnapshotTransport(text), ReplicationTransportError, text)
  }
  assert.throws(() => parseReplicationLogTransport(undefined as unknown as string), /it is no text/)
  // What a later version adds is passed over.
  assert.equal(parseReplicationLogTransport(page.replace('{', '{"later":[1],')).frame_count, 3)
})

test('bytes are those that were said, or refused', (t) => {
  const folder = scratch(t)
  const db = primary(t, folder, 3)
  const snapshot = readReplicationSnapshotTransport(db, true)
  const data = snapshot.data_base64 ?? ''
  for (const [change, says] of [
    [
      { data_base64: `${data.slice(0, 40)}${data[40] === 'A' ? 'B' : 'A'}${data.slice(41)}` },
      /have \d+ bytes and the CRC-32C [0-9a-f]{8}, where/,
    ],
    [{ byte_length: snapshot.byte_length + 1 }, /where \d+ and [0-9a-f]{8} are said: ask for it again/],
    [{ checksum_crc32c: '00000000' }, /and 00000000 are said/],
    [{ data_base64: `${data}\n` }, /no base64/],
    [{ data_base64: data.slice(0, -1) }, /no base64/],
    [{ data_base64: `-${data.slice(1)}` }, /no base64/],
    [{ data_base64: `\u0441${data.slice(1)}` }, /no base64/],
    [{ data_base64: `=${data.slice(1)}` }, /no base64/],
  ] as const) {
    assert.throws(() => replicationSnapshotBytes({ ...snapshot, ...change }), says)
  }
  const [frame] = readReplicationLogTransport(db).frames
  assert.ok(frame)
  for (const payload_base64 of ['', '????', 'AAAA', `${frame.payload_base64}AAAA`]) {
    assert.throws(() => replicationFrameBytes({ ...frame, payload_base64 }), /frame 1 is not \d+ bytes in base64/)
  }
  // Every length of padding, and a second text for the same bytes.
  const of = (payload_base64: string, bytes: number): number[] => [
    ...replicationFrameBytes({ ...frame, payload_base64, bytes }),
  ]
  assert.deepEqual(of('', 0), [])
  assert.deepEqual(of('AP8=', 2), [0, 255])
  assert.deepEqual(of('+/8B', 3), [251, 255, 1])
  assert.deepEqual(of('gA==', 1), [128])
  assert.throws(() => of('gB==', 1), ReplicationTransportError)
  assert.throws(() => of('AP9=', 2), ReplicationTransportError)
  const random = Uint8Array.from(readFileSync(join(folder, 'primary.kitedb')).subarray(0, 70_001))
  assert.deepEqual(of(Buffer.from(random).toString('base64'), random.length), [...random])
})
