import { range } from "../../wgsl/range.js"
import type { Codes } from "./codes.js"

/** Middles between the positive levels of 4 bits: see `tensor/kv_format.ts`. */
const MIDDLES = [914, 1876, 2934, 4136, 5530, 7164, 9086]

/** Scales tried: five near what is typical, at 4 bits, and the least that clips nothing. */
const TRIED = 6

/** Words of workgroup memory for a column: its squares, its largest magnitude, and the error of each scale. */
const TALLIES = 8

/**
 * WGSL declarations for {@link encode}: `encodeVector` of `tensor/kv_format.ts` in float32, an eighth of a vector, a column,
 * a thread. Vectors lie, rotated, in workgroup memory `array`, `count` of them.
 */
export function encoder(codes: Codes, array: string, count: number, headDim: number): string {
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
var<workgroup> scales: array<f32, ${count}>;
fn nearest_code(value: f32) -> i32 {
  ${nearest}
}
fn level_of(code: i32) -> f32 { ${level} }
fn scale_code(scale: f32, rounding: u32) -> i32 { return i32((bitcast<u32>(scale) + rounding) >> 20u) - ${8 * exponent}; }
// The nearest codes of a column whose parity is that of the scale's code, kept in the values' place; and their squared error.
fn quantize(first: u32, code_of_scale: u32, keep: bool) -> f32 {
  let scale = scale_of_code(code_of_scale);
  var parity = (code_of_scale >> (first % 8u)) & 1u;
  var error = 0.0;
  var cost = 3e38;
  var cheapest = first;
  var moved = 0;
  for (var i = first; i < first + ${headDim}u; i += 8u) {
    let value = ${array}[i] / scale;
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
// Codes of the scales to try, beside the last, which clips nothing; not above 254 that one, or a value is not finite or too large.
fn scales_of(vector: u32) -> array<i32, ${TRIED}> {
  var squares = 0.0;
  var largest = 0u;
  for (var c = 0u; c < 8u; c++) {
    squares += tallies[(vector * 8u + c) * ${TALLIES}u];
    largest = max(largest, bitcast<u32>(tallies[(vector * 8u + c) * ${TALLIES}u + 1u]));
  }
  let typical = scale_code(sqrt(squares / ${headDim}.0) / 4000.0, 0x80000u);
  let whole = select(scale_code(bitcast<f32>(largest) / ${top}.0, 0xfffffu), 255, largest >= 0x7f800000u);
  return array<i32, ${TRIED}>(${bits === 8 ? range(5).map(() => "0") : "typical - 2, typical - 1, typical, typical + 1, typical + 2"}, whole);
}`
}

/**
 * WGSL statements that leave codes, as floats, in the place of vectors in workgroup memory, and their `scales`. There has to
 * be a barrier before; they end with one.
 */
export function encode(array: string, count: number, headDim: number, threads: number): string {
  const columns = (body: string) => /* wgsl */ `
  for (var t = lid; t < ${8 * count}u; t += ${threads}u) {
    let first = t / 8u * ${headDim}u + t % 8u;
    ${body}
  }
  workgroupBarrier();`
  return /* wgsl */ `
  ${columns(`
    var squares = 0.0;
    var largest = 0u;
    for (var i = first; i < first + ${headDim}u; i += 8u) {
      squares += ${array}[i] * ${array}[i];
      largest = max(largest, bitcast<u32>(${array}[i]) & 0x7fffffffu);
    }
    tallies[t * ${TALLIES}u] = squares;
    tallies[t * ${TALLIES}u + 1u] = bitcast<f32>(largest);`)}
  for (var t = lid; t < ${8 * count * TRIED}u; t += ${threads}u) {
    let column = t % ${8 * count}u;
    let first = column / 8u * ${headDim}u + column % 8u;
    let k = t / ${8 * count}u;
    var tried = scales_of(column / 8u);
    if (tried[k] > 0) { tallies[column * ${TALLIES}u + 2u + k] = quantize(first, u32(min(tried[k], 254)), false); }
  }
  workgroupBarrier();
  ${columns(`
    var tried = scales_of(t / 8u);
    var best = 0;
    var least = 0.0;
    for (var c = 0u; c < 8u; c++) { least += tallies[(t / 8u * 8u + c) * ${TALLIES}u]; }
    for (var k = 0u; k < ${TRIED}u; k++) {
      if (tried[k] > 0) {
        var error = 0.0;
        for (var c = 0u; c < 8u; c++) { error += tallies[(t / 8u * 8u + c) * ${TALLIES}u + 2u + k]; }
        if (error < least) {
          least = error;
          best = min(tried[k], 254);
        }
      }
    }
    // A scale that is not a number: all parities odd.
    let is_lost = tried[${TRIED - 1}u] > 254;
    if (is_lost || best == 0) {
      for (var i = first; i < first + ${headDim}u; i += 8u) { ${array}[i] = select(0.0, 1.0, is_lost && i == first); }
    } else {
      let error = quantize(first, u32(best), true);
    }
    scales[t / 8u] = scale_of_code(select(u32(best), 255u, is_lost));`)}`
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
