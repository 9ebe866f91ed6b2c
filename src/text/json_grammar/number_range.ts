import { GrammarError } from "../grammar.js"
import { EMPTY_TEXT, either, NO_TEXT, type Regular, sequence, times, writtenAs } from "./regular.js"

/** A bound on numbers; `inclusive` is whether the number itself may be written. */
export interface Bound {
  readonly value: number
  readonly inclusive: boolean
  /** Where in the schema it stands. */
  readonly path: string
}

/** Decimals of up to so many digits are different doubles if they differ. */
const DIGITS = 15

/** Digits after the point that are written where the bounds have fewer, if there is room. */
const FRACTION = 6

/** A bound without its sign: digits before and after the point. */
interface Magnitude {
  readonly whole: string
  readonly fraction: string
  readonly inclusive: boolean
}

/**
 * Numbers between two bounds, without exponent, whose decimal digits are compared with the bounds'. At most 15 digits, so
 * that different texts are different doubles.
 *
 * @throws GrammarError for bounds of more digits
 */
export function numberRange(kind: "integer" | "number", low: Bound | null, high: Bound | null): Regular {
  const places = kind === "integer" ? 0 : placesFor(low, high)
  const parts: Regular[] = []
  if (!high || high.value >= 0) parts.push(between(low && low.value > 0 ? low : zero(low), high, places))
  if (!low || low.value < 0) {
    parts.push(sequence(writtenAs("-"), between(high && high.value < 0 ? high : null, low, places)))
  }
  return either(...parts)

  function zero(bound: Bound | null): Bound {
    return { value: 0, inclusive: bound?.value === 0 ? bound.inclusive : true, path: "" }
  }
}

/** Digits after the point, of numbers with such bounds. */
function placesFor(low: Bound | null, high: Bound | null): number {
  let whole = low && high ? 1 : 9
  let needed = 0
  for (const bound of [low, high]) {
    if (!bound || Math.abs(bound.value) >= 10 ** DIGITS) continue
    const { whole: digits, fraction } = magnitude(bound)
    whole = Math.max(whole, digits.length)
    needed = Math.max(needed, fraction.length)
    if (digits.length + fraction.length > DIGITS) throw tooLong(bound)
  }
  if (whole + needed > DIGITS) throw tooLong((low ?? high)!)
  return Math.min(Math.max(needed, FRACTION), DIGITS - whole)
}

const tooLong = (bound: Bound) =>
  new GrammarError(bound.path, `the bound ${bound.value} has too many digits: write it with at most ${DIGITS}`)

function magnitude(bound: Bound): Magnitude {
  const [digits, exponent = "0"] = String(Math.abs(bound.value)).split("e")
  const [whole, fraction = ""] = digits.split(".")
  const shift = Number(exponent)
  if (shift < -40) throw tooLong(bound)
  const all = shift < 0 ? whole.padStart(1 - shift, "0") + fraction : whole + fraction.padEnd(shift, "0")
  const point = shift < 0 ? Math.max(whole.length, 1 - shift) + shift : whole.length + shift
  return {
    whole: all.slice(0, point).replace(/^0+(?=.)/, ""),
    fraction: all.slice(point).replace(/0+$/, ""),
    inclusive: bound.inclusive,
  }
}

/** Numbers without sign from `near` to `far`, zero left out if `near` is null. */
function between(near: Bound | null, far: Bound | null, places: number): Regular {
  const wholeDigits = places === 0 ? DIGITS : DIGITS - places
  const low = near ? magnitude(near) : { whole: "0", fraction: "", inclusive: false }
  const most: Magnitude = { whole: "9".repeat(wholeDigits), fraction: "9".repeat(places), inclusive: true }
  const high = far && Math.abs(far.value) < 10 ** wholeDigits ? magnitude(far) : most
  if (low.whole.length > wholeDigits) throw tooLong(near!)
  const [a, b] = [BigInt(low.whole), BigInt(high.whole)]
  if (places === 0) {
    const first = low.fraction !== "" || !low.inclusive ? a + 1n : a
    const last = high.fraction === "" && !high.inclusive ? b - 1n : b
    return wholes(first, last)
  }
  if (a > b) return NO_TEXT
  const any = either(EMPTY_TEXT, sequence(writtenAs("."), times(digit, 1, places)))
  if (a === b) return sequence(writtenAs(low.whole), fractions(low, high, places))
  return either(
    sequence(writtenAs(low.whole), fractions(low, null, places)),
    sequence(wholes(a + 1n, b - 1n), any),
    sequence(writtenAs(high.whole), fractions(null, high, places)),
  )
}

/** Whole numbers from `first` to `last`, both at least 0. */
function wholes(first: bigint, last: bigint): Regular {
  if (first > last) return NO_TEXT
  const [low, high] = [String(first), String(last)]
  const parts: Regular[] = []
  for (let length = low.length; length <= high.length; length++) {
    const from = length === low.length ? low : `1${"0".repeat(length - 1)}`
    const to = length === high.length ? high : "9".repeat(length)
    parts.push(sameLength(from, to))
  }
  return either(...parts)
}

/** Digits from `from` to `to`, which are of one length. */
function sameLength(from: string, to: string): Regular {
  if (from === "") return EMPTY_TEXT
  const rest = from.length - 1
  const [a, b] = [Number(from[0]), Number(to[0])]
  const [least, most] = ["0".repeat(rest), "9".repeat(rest)]
  if (a === b) return sequence(writtenAs(from[0]), sameLength(from.slice(1), to.slice(1)))
  const lowIsOpen = from.slice(1) === least
  const highIsOpen = to.slice(1) === most
  const parts: Regular[] = []
  if (!lowIsOpen) parts.push(sequence(writtenAs(from[0]), sameLength(from.slice(1), most)))
  const [first, last] = [lowIsOpen ? a : a + 1, highIsOpen ? b : b - 1]
  if (first <= last) parts.push(sequence(digits(first, last), times(digit, rest, rest)))
  if (!highIsOpen) parts.push(sequence(writtenAs(to[0]), sameLength(least, to.slice(1))))
  return either(...parts)
}

const digit: Regular = { characters: [[0x30, 0x39]] }

const digits = (first: number, last: number) => ({ characters: [[0x30 + first, 0x30 + last]] }) as Regular

/** What may follow a whole part that equals that of the bounds given: nothing, or a point and up to `places` digits. */
function fractions(low: Magnitude | null, high: Magnitude | null, places: number): Regular {
  const mayEnd = (at: number, low: Magnitude | null, high: Magnitude | null) =>
    (!low || (low.inclusive && low.fraction.length <= at)) && (!high || high.inclusive || high.fraction.length > at)

  function after(at: number, low: Magnitude | null, high: Magnitude | null): Regular {
    const parts: Regular[] = []
    if (at > 0 && mayEnd(at, low, high)) parts.push(EMPTY_TEXT)
    if (at === places) return either(...parts)
    if (!low && !high) return either(...parts, times(digit, 1, places - at))
    const [least, most] = [Number(low?.fraction[at] ?? 0), high ? Number(high.fraction[at] ?? 0) : 9]
    const edges = new Set([...(low ? [least] : []), ...(high ? [most] : [])])
    for (const edge of edges) {
      if (edge < least || edge > most) continue
      const next = after(at + 1, low && edge === least ? low : null, high && edge === most ? high : null)
      parts.push(sequence(digits(edge, edge), next))
    }
    const [first, last] = [low ? least + 1 : least, high ? most - 1 : most]
    if (first <= last) parts.push(sequence(digits(first, last), times(digit, 0, places - at - 1)))
    return either(...parts)
  }

  const rest = sequence(writtenAs("."), after(0, low, high))
  return mayEnd(0, low, high) ? either(EMPTY_TEXT, rest) : rest
}
