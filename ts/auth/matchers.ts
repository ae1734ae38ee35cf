import { member } from './member.js'
import type { ReplicationAdminAuthRequest } from './request.js'

/** What a certificate comes to: `refused` is one that was shown and believed, and is not admitted. */
export type CertificateVerdict = 'admitted' | 'refused' | 'absent'

type Rule = (request: never) => CertificateVerdict

/** The rules behind our own matchers, which can tell more than a boolean. */
const rules = new WeakMap<object, Rule>()

/** Makes a rule into a matcher, as configurations take it. */
export function matcherOf<Request extends ReplicationAdminAuthRequest>(
  rule: (request: Request) => CertificateVerdict,
): (request: Request) => boolean {
  const matcher = (request: Request): boolean => rule(request) === 'admitted'
  rules.set(matcher, rule)
  return matcher
}

/** Makes a matcher into a rule. */
export function ruleOf<Request extends ReplicationAdminAuthRequest>(
  matcher: (request: Request) => boolean,
): (request: Request) => CertificateVerdict {
  const known = rules.get(matcher) as ((request: Request) => CertificateVerdict) | undefined
  if (known !== undefined) return known
  return (request) => {
    const answer: unknown = matcher(request)
    if (typeof member(answer, 'then') === 'function') {
      // What it comes to is asked by nobody, so that a rejection would end the process.
      ;(answer as PromiseLike<unknown>).then(undefined, () => undefined)
      throw new TypeError('mtlsMatcher returned a promise: it must answer at once, by true or false')
    }
    return answer === true ? 'admitted' : 'absent'
  }
}
