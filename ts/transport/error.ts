import type { ReplicationLogTransportGap } from './json.js'

/** A text of the transport that is not what it should be: another version, or one that was changed on its way. */
export class ReplicationTransportError extends Error {
  override readonly name: string = 'ReplicationTransportError'
  readonly code: string = 'INVALID_TRANSPORT'
}

/** What should come next is not in the log: whoever reads it must begin anew, from a snapshot. */
export class ReplicationTransportGapError extends ReplicationTransportError {
  override readonly name = 'ReplicationTransportGapError'
  override readonly code = 'NEEDS_RESEED'
  readonly gap: ReplicationLogTransportGap

  constructor(gap: ReplicationLogTransportGap) {
    const missing =
      gap.first_missing === null
        ? ''
        : `, frames ${gap.first_missing} to ${gap.last_missing ?? 'the one asked for'} are missing`
    super(`the log has a gap (${gap.reason})${missing}: needs reseed, begin anew from a snapshot`)
    this.gap = gap
  }
}
