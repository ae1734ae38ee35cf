import { ReplicationAdminConfigError } from './error.js'
import { type ReplicationAdminAuthRequest, readHeader } from './request.js'

/**
 * Tells whether a request has `Authorization: Bearer <token>`, exactly so, once. How long that takes depends on what was
 * presented, and not on how much of it is right or how long the token is.
 */
export function bearerTokenRule(token: string): (request: ReplicationAdminAuthRequest) => boolean {
  // Another character arrives as other bytes, or not at all, depending on who sends it: a token that fails for some clients.
  if (!/^[\x20-\x7e]+$/.test(token)) {
    throw new ReplicationAdminConfigError(
      'the replication admin token has a character that no header carries unchanged: use visible ASCII characters',
    )
  }
  const expected = Uint8Array.from(`Bearer ${token}`, (character) => character.charCodeAt(0))
  return (request) => {
    const header = readHeader(request, 'authorization')
    return equalInConstantTime(header.kind === 'one' ? header.value : '', expected)
  }
}

/** Goes over all of `presented`, whatever is found on the way. `expected` has at least one byte. */
function equalInConstantTime(presented: string, expected: Uint8Array): boolean {
  let difference = presented.length ^ expected.length
  for (let at = 0; at < presented.length; at++) {
    difference |= presented.charCodeAt(at) ^ (expected[at % expected.length] ?? 0)
  }
  return difference === 0
}
