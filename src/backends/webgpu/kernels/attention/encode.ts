import { range } from "../../wgsl/range.js"
import type { Codes } from "./codes.js"

/** Middles between the positive levels of 4 bits: see `tensor/kv_format.ts`. */
const MIDDLES = [914, 1876, 2934, 4136, 5530, 7164, 9086]

/** Scales tried: five near what is typical, at 4 bits, and the least that clips nothing. */
const TRIED = 6

/** Words of workgroup memory for a column: its squares, its largest magnitude, and the error of each scale. */
const TALLIES = 8

/** Words for a vector: its squares; and of each scale the code and the error. */
const TRIALS = 1 + 2 * TRIED

/** Vectors that lie, rotated, in workgroup memory `array` (f32), one after the other from element `first` on. */
export interface Encoded {
  readonly array: string
  readonly first: number
  readonly count: number
  readonly headDim: number
}

/**
 * WGSL declarations for {@link encode}: `encodeVector` of `tensor/kv_format.ts` in float32, an eighth of a vector, a column,
 * a thread. `params.head_dim` is the vectors' size: compilers would unroll loops over a constant, and what runs once takes longer to
 * fetch than to run.
 */
export function encoder(codes: Codes, { array, count, headDim }: Encoded): string {
  const { bits, lowest, highest, top, exponent } = codes
  const beyond = (test: string) => MIDDLES.map((middle) => `i32(${test.replace("?", `${middle}.0`)})`).join(" + ")
  const nearest =
    bits === 8
      ? "return i32(clamp(ceil(value - 0.5), -127.0, 127.0));"
      : `let m = abs(value);
  if (value > 0.0) { return 8 + ${beyond("m > ?")}; }
  return 7 - (${beyond("m >= ?")});`
  const level = bits === 8 ? "return f32(code);" : "let c = f32(2 * code - 15); return c * (450.0 + c * c);"
  return /* wgsl */ `
var<workgroup> tallies: array<f32, ${count * 8 * TALLIES}>;
var<workgroup> trials: array<f32, ${count * TRIALS}>;
var<workgroup> scales: array<f32, ${count}>;
fn nearest_code(value: f32) -> i32 {
  ${nearest}
}
fn level_of(code: i32) -> f32 { ${level} }
fn scale_code(scale: f32, rounding: u32) -> i32 { return i32((bitcast<u32>(scale) + rounding) >> 20u) - ${8 * exponent}; }
// The nearest codes of a column whose parity is that of the scale's code, kept in the values' place; and their squared error.
fn quantize(first: u32, code_of_scale: u32, keep: bool) -> f32 {
  let scale = scale_of_code(code_of_scale);
  let inverse = 1.0 / scale;
  var parity = (code_of_scale >> (first % 8u)) & 1u;
  var error = 0.0;
  var cost = 3e38;
  var cheapest = first;
  var moved = 0;
  for (var i = first; i < first + params.head_dim; i += 8u) {
    let value = ${array}[i] * inverse;
    let code = nearest_code(value);
    parity ^= u32(code) & 1u;
    let rest = value - level_of(code);
    // The second nearest level, on the side where the value lies or, at the ends, inside.
    let outward = select(code - 1, code + 1, rest > 0.0);
    let other = select(outward, 2 * code - outward, outward > ${highest} || outward < ${lowest});
    let away = value - level_of(other);
    let more = away * away - rest * rest;
    error += rest * rest;
    if (more < cost) {
      cost = more;
      cheapest = i;
      moved = other;
    }
    if (keep) { ${array}[i] = f32(code); }
  }
  if (parity == 1u) {
    error += cost;
    if (keep) { ${array}[cheapest] = f32(moved); }
  }
  return error * scale * scale;
}
// The code of the scale to try: the last one's clips nothing; it is not above 254 unless a value is not finite or too large.
fn scale_to_try(k: u32, squares: f32, largest: u32) -> i32 {
  if (k == ${TRIED - 1}u) {
    return select(scale_code(bitcast<f32>(largest) / ${top}.0, 0xfffffu), 255, largest >= 0x7f800000u);
  }
  return ${bits === 8 ? "0" : `scale_code(sqrt(squares / ${headDim}.0) / 4000.0, 0x80000u) + i32(k) - 2`};
}`
}

/**
 * WGSL statements that leave codes, as floats, in the place of vectors in workgroup memory, and their `scales`. There has to
 * be a barrier before; they end with one.
 */
export function encode({ array, first, count, headDim }: Encoded, threads: number): string {
  const each = (jobs: number, body: string) => /* wgsl */ `
  for (var t = lid; t < ${jobs}u; t += ${threads}u) {${body}
  }
  workgroupBarrier();`
  const columns = 8 * count
  const start = (column: string) => `${first}u + ${column} / 8u * ${headDim}u + ${column} % 8u`
  const tally = (column: string, i: string) => `tallies[(${column}) * ${TALLIES}u + ${i}]`
  const trial = (vector: string, i: string) => `trials[(${vector}) * ${TRIALS}u + ${i}]`
  return /* wgsl */ `
  ${each(
    columns,
    `
    var squares = 0.0;
    var largest = 0u;
    let first = ${start("t")};
    for (var i = first; i < first + params.head_dim; i += 8u) {
      squares += ${array}[i] * ${array}[i];
      largest = max(largest, bitcast<u32>(${array}[i]) & 0x7fffffffu);
    }
    ${tally("t", "0u")} = squares;
    ${tally("t", "1u")} = bitcast<f32>(largest);`,
  )}
  ${each(
    columns * TRIED,
    `
    let column = t % ${columns}u;
    let vector = column / 8u;
    let k = t / ${columns}u;
    var squares = 0.0;
    var largest = 0u;
    for (var c = 0u; c < 8u; c++) {
      squares += ${tally("vector * 8u + c", "0u")};
      largest = max(largest, bitcast<u32>(${tally("vector * 8u + c", "1u")}));
    }
    let tried = scale_to_try(k, squares, largest);
    if (tried > 0) { ${tally("column", "2u + k")} = quantize(${start("column")}, u32(min(tried, 254)), false); }
    if (column % 8u == 0u) {
      ${trial("vector", "0u")} = squares;
      ${trial("vector", "1u + k")} = f32(tried);
    }`,
  )}
  ${each(
    count * TRIED,
    `
    let vector = t / ${TRIED}u;
    let k = t % ${TRIED}u;
    var error = 0.0;
    for (var c = 0u; c < 8u; c++) { error += ${tally("vector * 8u + c", "2u + k")}; }
    ${trial("vector", `${1 + TRIED}u + k`)} = error;`,
  )}
  ${each(
    columns,
    `
    let vector = t / 8u;
    var best = 0;
    var least = ${trial("vector", "0u")};
    for (var k = 0u; k < ${TRIED}u; k++) {
      let tried = i32(${trial("vector", "1u + k")});
      let error = ${trial("vector", `${1 + TRIED}u + k`)};
      if (tried > 0 && error < least) {
        least = error;
        best = min(tried, 254);
      }
    }
    // A scale that is not a number: all parities odd.
    let is_lost = i32(${trial("vector", `${TRIED}u`)}) > 254;
    let first = ${start("t")};
    if (is_lost || best == 0) {
      for (var i = first; i < first + params.head_dim; i += 8u) { ${array}[i] = select(0.0, 1.0, is_lost && i == first); }
    } else {
      let error = quantize(first, u32(best), true);
    }
    scales[vector] = scale_of_code(select(u32(best), 255u, is_lost));`,
  )}`
}

/** WGSL for the unit that 8 codes from `first` on make: see `cacheLayout`. */
export function packedCodes({ bits }: Codes, array: string, first: string): string {
  const code = (i: number, shift: number) =>
    `((u32(i32(${array}[${first} + ${i}u])) & ${2 ** bits - 1}u) << ${bits * shift}u)`
  const word = (from: number, count: number) =>
    range(count)
      .map((i) => code(from + i, i))
      .join(" | ")
  return bits === 4 ? word(0, 8) : `vec2u(${word(0, 4)}, ${word(4, 4)})`
}
