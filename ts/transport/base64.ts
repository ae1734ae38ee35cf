const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
/** The six bits of each character; 64 for what is none. */
const BITS = new Uint8Array(128).fill(64)
for (let at = 0; at < 64; at++) BITS[ALPHABET.charCodeAt(at)] = at

/** Reads base64 of the standard alphabet, padded, without line breaks. `undefined` for everything else, which others skip over. */
export function bytesOfBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const characters = text.length - padding
  const bytes = new Uint8Array((text.length / 4) * 3 - padding)
  let [bits, held, to] = [0, 0, 0]
  for (let at = 0; at < characters; at++) {
    const code = text.charCodeAt(at)
    const six = code < 128 ? (BITS[code] ?? 64) : 64
    if (six === 64) return undefined
    bits = ((bits << 6) | six) & 0xffff
    held += 6
    if (held >= 8) {
      held -= 8
      bytes[to++] = (bits >> held) & 0xff
    }
  }
  // What is left over of the last character says nothing: bits in it are another text for the same bytes.
  return (bits & ((1 << held) - 1)) === 0 ? bytes : undefined
}
