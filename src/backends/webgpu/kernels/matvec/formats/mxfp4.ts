import { E2M1_PAIRS, MAGNITUDES, SIGNS } from "../../../wgsl/e2m1_pairs.js"
import { range } from "../../../wgsl/range.js"
import { type ChunkFormat, COMPONENTS, neighbours, stageFloats } from "../chunk.js"

/** An E8M0 scale as two factors: 2^-127 is too small for a float that may flush subnormals. */
const E8M0 = `
fn e8m0(s: u32) -> vec2f {
  return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u));
}`

/**
 * MXFP4 in f16: nibbles k and k + 4 of a word make a pair. A chunk's activations are scaled by a power of two to fill
 * f16's range, which the weights' 2^-14 brings back; a chunk's sums are f16, everything beyond f32. The pad holds the
 * exponent, to which the weights' is added.
 */
export const mxfp4Half: ChunkFormat = {
  name: "mxfp4 f16",
  elements: 32,
  stride: 5,
  staged: "vec4<u32>",
  stage: (u) => `
let largest = max(abs(v0), abs(v1));
var own = max(max(largest.x, largest.y), max(largest.z, largest.w));
${neighbours(4, "own", "max")}
let exponent = clamp(bitcast<u32>(own) >> 23u, 14u, 253u);
let fit = bitcast<f32>((267u - exponent) << 23u);
let at = base + ((${u}) / 4u) * 5u;
xs[at + (${u}) % 4u] = vec4u(${COMPONENTS.map((c) => `pack2x16float(fit * vec2f(v0.${c}, v1.${c}))`).join(", ")});
if ((${u}) % 4u == 0u) { xs[at + 4u].x = exponent; }`,
  load: (p, at) =>
    `${range(4)
      .map((i) => `let ${p}${i} = xs[${at} + ${i}u];`)
      .join("\n")} let ${p}exponent = xs[${at} + 4u].x;`,
  functions: `
fn pair_sum(pair: vec2<f16>, exponent: u32) -> f32 {
  return (f32(pair.x) + f32(pair.y)) * bitcast<f32>((clamp(exponent, 126u, 380u) - 126u) << 23u);
}`,
  decode: (p, w) =>
    COMPONENTS.flatMap((c, i) =>
      E2M1_PAIRS.map(([magnitude, sign], j) => {
        const q = `${w}.${c}`
        return `let ${p}${i}${j} = bitcast<vec2<f16>>(((${q} ${magnitude}) & ${MAGNITUDES}) | ((${q} ${sign}) & ${SIGNS}));`
      }),
    ).join("\n"),
  dot: (w, x, s) => {
    const half = (words: readonly number[]) =>
      words
        .flatMap((i) => COMPONENTS.map((c, j) => [`${w}${i}${j}`, `bitcast<vec2<f16>>(${x}${i}.${c})`]))
        .reduce((sum, [a, b]) => (sum ? `fma(${a}, ${b}, ${sum})` : `${a} * ${b}`), "")
    return `pair_sum(${half([0, 1])} + ${half([2, 3])}, ${s} + ${x}exponent)`
  },
  scaleType: "u32",
  scales: ({ scales }, row, _, chunk) => scales!.load(`${row} + ${chunk}`),
}

/** MXFP4 in f32, for devices without f16: twice the value from a table of nibbles, so it is exact. */
export const mxfp4Float: ChunkFormat = {
  name: "mxfp4",
  elements: 32,
  stride: 9,
  staged: "vec4<f32>",
  stage: stageFloats({ elements: 32, stride: 9 }),
  load: (p, at) =>
    range(8)
      .map((i) => `let ${p}${i} = xs[${at} + ${i}u];`)
      .join("\n"),
  functions: `${E8M0}
fn e2m1(q: u32) -> vec4f {
  let m = (vec4u(q, q >> 4u, q >> 8u, q >> 12u) & vec4u(7u)) << vec4u(2u);
  let v = vec4f((vec4u(0xC8643210u) >> m) & vec4u(15u));
  return select(v, -v, (vec4u(q) & vec4u(0x8u, 0x80u, 0x800u, 0x8000u)) != vec4u(0u));
}`,
  decode: (p, w) =>
    range(8)
      .map((i) => `let ${p}${i} = e2m1(${w}.${COMPONENTS[i >> 1]}${i % 2 ? " >> 16u" : ""});`)
      .join("\n"),
  dot: (w, x, s) =>
    `(${range(8)
      .map((i) => `dot(${w}${i}, ${x}${i})`)
      .join(" + ")}) * 0.5 * ${s}.x * ${s}.y`,
  scaleType: "vec2f",
  scales: ({ scales }, row, _, chunk) => `e8m0(${scales!.load(`${row} + ${chunk}`)})`,
}
