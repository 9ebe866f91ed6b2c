import { asciiOf, byteOf, type Expression, type Ranges, sequence } from "./ebnf.js"

/** The last code points of one, two, three and four bytes. */
const LAST = [0x7f, 0x7ff, 0xffff, 0x10ffff]

/**
 * The UTF-8 of one character out of `ranges`, as alternatives of bytes. xgrammar's own classes let any bytes through where a
 * range goes beyond ASCII.
 */
export function utf8(ranges: Ranges): Expression[] {
  const ascii = ranges.filter(([from]) => from <= 0x7f).map(([from, to]) => [from, Math.min(to, 0x7f)] as const)
  const found: Expression[] = ascii.length > 0 ? [asciiOf(ascii)] : []
  for (const [from, to] of ranges) {
    for (let length = 2; length <= 4; length++) {
      const [first, last] = [Math.max(from, LAST[length - 2] + 1), Math.min(to, LAST[length - 1])]
      if (first <= last) found.push(...between(encoded(first), encoded(last)))
    }
  }
  return found
}

const encoded = (code: number): number[] => [...new TextEncoder().encode(String.fromCodePoint(code))]

/** Bytes from `low` to `high`, which are of one length. */
function between(low: readonly number[], high: readonly number[]): Expression[] {
  const [a, b] = [low[0], high[0]]
  if (low.length === 1) return [byteOf(a, b)]
  const [lowRest, highRest] = [low.slice(1), high.slice(1)]
  const after = (first: number, rest: readonly Expression[]) => rest.map((part) => sequence(byteOf(first, first), part))
  if (a === b) return after(a, between(lowRest, highRest))
  const [least, most] = [lowRest.map(() => 0x80), lowRest.map(() => 0xbf)]
  const lowIsWhole = lowRest.every((byte) => byte === 0x80)
  const highIsWhole = highRest.every((byte) => byte === 0xbf)
  const found: Expression[] = lowIsWhole ? [] : after(a, between(lowRest, most))
  const [first, last] = [lowIsWhole ? a : a + 1, highIsWhole ? b : b - 1]
  if (first <= last) found.push(sequence(byteOf(first, last), ...lowRest.map(() => byteOf(0x80, 0xbf))))
  return highIsWhole ? found : [...found, ...after(b, between(least, highRest))]
}
