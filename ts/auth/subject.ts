import { ReplicationAdminConfigError } from './error.js'
import { member } from './member.js'

/** Longer ones, and those of more attributes, are nobody's: what is matched here was sent by somebody else. */
const MAX_LENGTH = 4096
const MAX_ATTRIBUTES = 32

/** `CN=`, `2.5.4.3=`, with blanks around it as OpenSSL may write it. */
const ATTRIBUTE = /[ ]*([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*)[ ]*=[ ]*/y
const COMMON_NAME = new Set(['cn', 'commonname', '2.5.4.3'])
/** What Envoy writes into `x-forwarded-client-cert`. */
const ENVOY_KEY = /^(by|hash|cert|chain|subject|uri|dns)=/i

/** Where an attribute of a subject lies in its text. */
interface Attribute {
  readonly type: string
  readonly from: number
  readonly value: number
  readonly to: number
}

/**
 * Makes a pattern into a rule about subjects. It must match whole attributes: from the beginning of an attribute, or of a value
 * (where that has no `=` in it), to the end of one. `/CN=admin/` admits `CN=admin,O=KiteDB`, and neither `CN=administrator` nor
 * an organisation that calls itself `x,CN=admin`. `^` and `$` are the ends of the whole subject.
 */
export function subjectRule(regex: RegExp, name: string): (subject: string) => boolean {
  // By name, as one from another realm is an instance of another class.
  if (Object.prototype.toString.call(regex) !== '[object RegExp]') {
    throw new ReplicationAdminConfigError(`${name} must be a RegExp`)
  }
  // A copy: what the caller does with his own, and the place where a g or y left off, do not matter. No line ends are let in.
  const { source } = regex
  const flags = regex.flags.replace(/[dgmy]/g, '')
  if (new RegExp(source, flags).test('')) {
    throw new ReplicationAdminConfigError(
      `${name} matches an empty subject, and so admits everybody: say whom it is to admit`,
    )
  }
  if (looksAround(source)) {
    throw new ReplicationAdminConfigError(
      `${name} looks at what stands before or after it ((?=, (?!, (?<=, (?<!), and so beyond whole attributes: match them`,
    )
  }
  const endings = new Map<number, RegExp>()
  /** The pattern, to be followed by so many characters until the end. */
  const endingBefore = (rest: number): RegExp => {
    const known = endings.get(rest)
    if (known !== undefined) return known
    const made = new RegExp(`(?:${source})(?=[\\s\\S]{${rest}}$)`, `${flags}y`)
    if (endings.size < 256) endings.set(rest, made)
    return made
  }
  const length = /[uv]/.test(flags) ? (text: string) => [...text].length : (text: string) => text.length
  return (subject) => {
    const attributes = attributesOf(subject)
    if (attributes === undefined) return false
    const starts = attributes.flatMap((attribute) => startsOf(subject, attribute))
    const ends = attributes.flatMap((attribute) => endsOf(subject, attribute))
    return starts.some((from) =>
      ends.some((to) => {
        if (to <= from) return false
        const pattern = endingBefore(length(subject.slice(to)))
        pattern.lastIndex = from
        return pattern.test(subject)
      }),
    )
  }
}

/** Whether a pattern has a lookahead or a lookbehind. */
function looksAround(source: string): boolean {
  const rest = source.replace(/\\[\s\S]/g, 'x').replace(/\[[^\]]*\]/g, 'x')
  return /\(\?<?[=!]/.test(rest)
}

/** The subject that a header tells: the value itself, or what Envoy wrote about one certificate. */
export function subjectOfHeader(value: string): string | undefined {
  if (!ENVOY_KEY.test(value)) return value
  const [element, ...others] = splitOutsideQuotes(value, ',')
  // More than one: a chain of proxies, or a client who sent one of his own before the proxy's.
  if (element === undefined || others.length > 0) return undefined
  const pairs = splitOutsideQuotes(element, ';').map((pair) => pair.trim())
  const [subject, ...more] = pairs.filter((pair) => /^subject=/i.test(pair))
  if (subject === undefined || more.length > 0 || !pairs.every((pair) => ENVOY_KEY.test(pair))) return undefined
  const text = subject.slice('subject='.length)
  const quoted = /^"([^"]*)"$/.exec(text)
  return quoted === null ? (text.includes('"') ? undefined : text) : quoted[1]
}

/** A subject as Node tells it, one entry for each type, as RFC 4514 writes it and nginx and Envoy send it: the last one first. */
export function subjectOfCertificate(certificate: unknown): string | undefined {
  const subject = member(certificate, 'subject')
  if (typeof subject !== 'object' || subject === null) return undefined
  const attributes: string[] = []
  for (const [type, given] of Object.entries(subject)) {
    for (const value of Array.isArray(given) ? (given as readonly unknown[]) : [given]) {
      if (typeof value !== 'string') return undefined
      attributes.push(`${type}=${escaped(value)}`)
    }
  }
  return attributes.length === 0 ? undefined : attributes.reverse().join(',')
}

function escaped(value: string): string {
  return value
    .replace(/[\\,+"<>;]/g, '\\$&')
    .replace(/^[ #]/, '\\$&')
    .replace(/ $/, '\\ ')
}

/** Where the attributes are; `undefined` if it is not known what the text says. */
function attributesOf(subject: string): readonly Attribute[] | undefined {
  // A line end is in no subject that means well.
  if (subject.length > MAX_LENGTH || /[\x00-\x1f\x7f\u2028\u2029]/.test(subject)) return undefined
  // A name, a fingerprint: one value, that is matched as a whole.
  if (!subject.includes('=')) return [{ type: '', from: 0, value: 0, to: subject.length }]
  const slashes = subject.startsWith('/')
  const attributes: Attribute[] = []
  let open = attributeAt(subject, slashes ? 1 : 0)
  if (open === undefined) return undefined
  let [quoted, whole] = [false, false]
  for (let at = open.value; at <= subject.length; at++) {
    const character = subject[at]
    if (character === '\\' && !slashes) at++
    else if (character === '"' && !slashes) {
      // It opens a value, or it should have been escaped.
      if (!quoted && at !== open.value) return undefined
      quoted = !quoted
    } else if (character === undefined || (!quoted && (slashes ? character === '/' : ',;+'.includes(character)))) {
      // What no attribute follows is part of the value, as in `O=Smith, Sons`.
      const next = character === undefined ? undefined : attributeAt(subject, at + 1)
      if (character !== undefined && next === undefined) continue
      attributes.push({ ...open, to: at })
      whole = next === undefined
      open = next ?? open
      at = next === undefined ? at : next.value - 1
    }
  }
  // It ends within quotes or after a backslash.
  if (quoted || !whole || attributes.length > MAX_ATTRIBUTES) return undefined
  // Two names: headers of two senders that were joined, or (where slashes are not escaped) one that is written into another value.
  const names = attributes.filter(({ type }) => COMMON_NAME.has(type))
  return names.length > 1 ? undefined : attributes
}

function attributeAt(subject: string, at: number): Omit<Attribute, 'to'> | undefined {
  ATTRIBUTE.lastIndex = at
  const found = ATTRIBUTE.exec(subject)
  if (found === null) return undefined
  const [all, type = ''] = found
  const blanks = all.length - all.trimStart().length
  return { type: type.toLowerCase(), from: at + blanks, value: at + all.length }
}

function startsOf(subject: string, attribute: Attribute): number[] {
  const value = subject.slice(attribute.value, attribute.to)
  // A value may look like another attribute.
  if (value.includes('=')) return [attribute.from]
  return [attribute.from, attribute.value, ...(value.startsWith('"') ? [attribute.value + 1] : [])]
}

function endsOf(subject: string, attribute: Attribute): number[] {
  const quoted = subject[attribute.value] === '"' && subject[attribute.to - 1] === '"'
  return quoted ? [attribute.to - 1, attribute.to] : [attribute.to]
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = []
  let [from, quoted] = [0, false]
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\' && quoted) at++
    else if (text[at] === '"') quoted = !quoted
    else if (text[at] === separator && !quoted) {
      parts.push(text.slice(from, at))
      from = at + 1
    }
  }
  return [...parts, text.slice(from)]
}
