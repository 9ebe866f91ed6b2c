import { float16ToFloat32, float32ToFloat16 } from "./floats.js"

/**
 * How a cached key or value vector (one head of one token, D values, D a multiple of 8) is stored: in 32, 16, 8 or 4 bits a value,
 * in whole uint32 words, with nothing beside them.
 *
 * float32, float16: as they are (float16 two to a word, the even one low).
 *
 * int8, int4: vectors are rotated first (`hadamard`); rotate queries likewise and the output of attention once, and attention reads
 * the words as they are. Value i is `level(code_i) * scale`:
 *
 *     int4   code_i = (words[i / 8] >> 4 (i % 8)) & 15      level = c (450 + c c) with c = 2 code_i - 15
 *     int8   code_i = byte i % 4 of words[i / 4], signed    level = code_i
 *
 * The scale is an 8-bit float hidden in the codes' lowest bits: bit k of it is the parity (exclusive or) of the lowest bits of all codes
 * i with i % 8 = k. With x the exclusive or of all words at 4 bits, and of the even (e) and of the odd words (o) at 8:
 *
 *     int4   scaleCode = gather(x, 4)
 *     int8   scaleCode = gather(e, 8) | gather(o, 8) << 4   gather(x, n): bits 0, n, 2n ... of x side by side
 *     scale  = 0 if scaleCode = 0, NaN if 255, otherwise the float32 of bits (scaleCode + 8 E) << 20, with E = 98 (int4), 105 (int8)
 *
 * So the scale has five bits of exponent and three of mantissa, and words of zeros are a vector of zeros. Where a parity is wrong the
 * encoder moves that one of its D / 8 codes by one for which this costs least. At D = 64 that adds 7 % to the squared error of four-bit
 * codes, where taking a bit from each of the last eight codes adds 34 %. The trick is HEVC's sign data hiding (Clare, Henry and Jung, JCTVC-G271, 2011).
 *
 * After the rotation values are near Gaussian (QuaRot, https://arxiv.org/abs/2404.00456), so that levels fixed beforehand
 * serve every model (TurboQuant, https://arxiv.org/abs/2504.19874): the cubic is within 1 % of the error of the exact Lloyd-Max levels,
 * and it needs no table and is exact in float32 and int16. Measurements: docs/kv-cache.md.
 */
export type KvFormat = "float32" | "float16" | "int8" | "int4"

const BITS: Record<KvFormat, number> = { float32: 32, float16: 16, int8: 8, int4: 4 }

/** uint32 words that a vector of `size` values takes. Throws RangeError unless `size` is a positive multiple of 8. */
export function kvVectorWords(format: KvFormat, size: number): number {
  if (size <= 0 || size % 8 !== 0) {
    throw new RangeError(`cached vectors hold a multiple of 8 values, but head_dim is ${size}`)
  }
  return (size * BITS[format]) / 32
}

/** Whether vectors of this format are stored rotated by `hadamard`. */
export function isRotated(format: KvFormat): format is "int8" | "int4" {
  return format === "int8" || format === "int4"
}

/**
 * Rotates in place by the orthonormal Walsh-Hadamard transform, its own inverse, in blocks of the largest power of two that divides the
 * length (64 for a head of 64, 16 for one of 80): dot products stay, and what one value held is spread over its block.
 */
export function hadamard(x: Float32Array): void {
  const block = x.length & -x.length
  for (let half = 1; half < block; half *= 2) {
    for (let i = 0; i < x.length; i++) {
      if (i & half) continue
      const [a, b] = [x[i], x[i + half]]
      x[i] = a + b
      x[i + half] = a - b
    }
  }
  const norm = 1 / Math.sqrt(block)
  for (let i = 0; i < x.length; i++) x[i] *= norm
}

/**
 * Writes `vector` (rotated already where `isRotated`) to `words`, of `kvVectorWords` length; throws RangeError for another.
 *
 * int8 and int4: a vector with a value that is not finite or too large (beyond 113,792 in int8, 70,875 in int4; float16 ends
 * at 65,504) decodes to NaNs throughout, so that it is noticed. Of candidates with equal error the first is taken, in the order tried.
 */
export function encodeVector(format: KvFormat, vector: Float32Array, words: Uint32Array): void {
  checkWords(format, vector, words)
  if (format === "float32") words.set(new Uint32Array(vector.buffer, vector.byteOffset, vector.length))
  else if (format === "float16") {
    for (let i = 0; i < words.length; i++) {
      words[i] = float32ToFloat16(vector[2 * i]) | (float32ToFloat16(vector[2 * i + 1]) << 16)
    }
  } else {
    const codes = chooseCodes(GRIDS[format], vector)
    words.fill(0)
    const { bits } = GRIDS[format]
    const perWord = 32 / bits
    codes.forEach((code, i) => {
      words[Math.floor(i / perWord)] |= (code & (2 ** bits - 1)) << (bits * (i % perWord))
    })
  }
}

/** Reads what `encodeVector` wrote, still rotated where `isRotated`. Throws RangeError where lengths do not fit. */
export function decodeVector(format: KvFormat, words: Uint32Array, vector: Float32Array): void {
  checkWords(format, vector, words)
  if (format === "float32") vector.set(new Float32Array(words.buffer, words.byteOffset, words.length))
  else if (format === "float16") {
    for (let i = 0; i < vector.length; i++) vector[i] = float16ToFloat32((words[i >> 1] >>> (16 * (i & 1))) & 0xffff)
  } else {
    const grid = GRIDS[format]
    const codes = Int8Array.from(vector, (_, i) => grid.codeAt(words, i))
    const scale = scaleOf(grid, scaleCodeOf(codes))
    for (let i = 0; i < vector.length; i++) vector[i] = grid.level(codes[i]) * scale
  }
}

function checkWords(format: KvFormat, vector: Float32Array, words: Uint32Array): void {
  const needed = kvVectorWords(format, vector.length)
  if (words.length !== needed) {
    throw new RangeError(`${vector.length} values of ${format} take ${needed} words, but ${words.length} were given`)
  }
}

/** The codes of a format, the levels they stand for, and the scales that may multiply these. */
interface Grid {
  readonly bits: number
  readonly lowest: number
  readonly highest: number
  /** Scales go from 2^(exponent - 127), float32's way of writing exponents. */
  readonly exponent: number
  level(code: number): number
  /** The code of the nearest level; of two equally near, the lower. */
  nearest(value: number): number
  codeAt(words: Uint32Array, i: number): number
  /** Scale codes worth trying, any integers, beside the least that clips nothing. */
  candidates(rootMeanSquare: number): number[]
}

const CUBIC = Float32Array.from({ length: 16 }, (_, code) => {
  const c = 2 * code - 15
  return c * (450 + c * c)
})

const INT4: Grid = {
  bits: 4,
  lowest: 0,
  highest: 15,
  exponent: 98,
  level: (code) => CUBIC[code],
  nearest(value) {
    let code = 0
    while (code < 15 && value > (CUBIC[code] + CUBIC[code + 1]) / 2) code++
    return code
  },
  codeAt: (words, i) => (words[i >> 3] >>> (4 * (i & 7))) & 15,
  // Levels fit a Gaussian of root mean square 4000. Scales near that differ in luck: trying five takes a fifth off the error.
  candidates(rootMeanSquare) {
    const typical = scaleCode(INT4, rootMeanSquare / 4000, 0x80000)
    return [typical - 2, typical - 1, typical, typical + 1, typical + 2]
  },
}

const INT8: Grid = {
  bits: 8,
  lowest: -127,
  highest: 127,
  exponent: 105,
  level: (code) => code,
  nearest: (value) => Math.min(Math.max(Math.ceil(value - 0.5), -127), 127),
  codeAt: (words, i) => (words[i >> 2] << (24 - 8 * (i & 3))) >> 24,
  candidates: () => [],
}

const GRIDS = { int4: INT4, int8: INT8 }

const f32 = new Float32Array(1)
const u32 = new Uint32Array(f32.buffer)

/** The code of a scale, not yet held to 0 ... 255; `rounding` is added below the bits that stay: half of their unit, or nearly all. */
function scaleCode({ exponent }: Grid, scale: number, rounding: number): number {
  f32[0] = scale
  return ((u32[0] + rounding) >>> 20) - 8 * exponent
}

function scaleOf({ exponent }: Grid, code: number): number {
  if (code === 0) return 0
  if (code === 255) return Number.NaN
  u32[0] = (code + 8 * exponent) << 20
  return f32[0]
}

function scaleCodeOf(codes: Int8Array): number {
  let scale = 0
  codes.forEach((code, i) => {
    scale ^= (code & 1) << (i & 7)
  })
  return scale
}

/** The codes, parities included, of least squared error among the candidate scales. */
function chooseCodes(grid: Grid, vector: Float32Array): Int8Array {
  let squares = 0
  let largest = 0
  for (const value of vector) {
    squares += value * value
    largest = Math.max(largest, Math.abs(value))
  }
  const whole = scaleCode(grid, largest / grid.level(grid.highest), 0xfffff)
  let best = new Int8Array(vector.length)
  if (whole > 254) return best.fill(1, 0, 8)
  let leastError = squares
  for (const candidate of [...grid.candidates(Math.sqrt(squares / vector.length)), whole]) {
    // Scale 0, where codes are zeros: what `best` starts with.
    if (candidate <= 0) continue
    const codes = new Int8Array(vector.length)
    const error = quantize(grid, vector, Math.min(candidate, 254), codes)
    if (error < leastError) {
      best = codes
      leastError = error
    }
  }
  return best
}

/** Writes the nearest codes whose parities spell `code`, and returns their squared error. */
function quantize(grid: Grid, vector: Float32Array, code: number, codes: Int8Array): number {
  const scale = scaleOf(grid, code)
  let error = 0
  for (let column = 0; column < 8; column++) {
    let parity = (code >> column) & 1
    let cheapest = column
    let moved = 0
    let cost = Number.POSITIVE_INFINITY
    for (let i = column; i < vector.length; i += 8) {
      const value = vector[i] / scale
      codes[i] = grid.nearest(value)
      parity ^= codes[i] & 1
      const rest = value - grid.level(codes[i])
      // The second nearest level, on the side where the value lies or, at the ends, inside.
      const outward = rest > 0 ? codes[i] + 1 : codes[i] - 1
      const other = outward > grid.highest || outward < grid.lowest ? 2 * codes[i] - outward : outward
      const more = (value - grid.level(other)) ** 2 - rest * rest
      error += rest * rest
      if (more < cost) {
        cheapest = i
        moved = other
        cost = more
      }
    }
    if (parity === 0) continue
    codes[cheapest] = moved
    error += cost
  }
  return error * scale * scale
}
