import type { GpuFeatures } from "../../../features.js"
import { range } from "../../../wgsl/range.js"
import { type ChunkFormat, COMPONENTS, neighbours, stageFloats, UNIT } from "../chunk.js"

/**
 * Affine: `scale * (q . x) + bias * sum(x)`. Where the two that stage a chunk can tell each other, its pad holds the sum
 * of its activations.
 */
export function affine(bits: 4 | 8, groupSize: number, { subgroups }: GpuFeatures): ChunkFormat {
  const elements = 128 / bits
  const vectors = elements / 4
  const perWord = 32 / bits / 4
  const group = (chunk: string) => `(${chunk}) / ${groupSize / elements}u`
  const floats = stageFloats({ elements, stride: vectors + 1 })
  const isSummed = elements === 2 * UNIT && subgroups !== null
  return {
    name: `affine${bits}`,
    elements,
    stride: vectors + 1,
    staged: "vec4<f32>",
    stage: (u) =>
      isSummed
        ? `${floats(u)}
var sum = dot(v0 + v1, vec4f(1.0));
${neighbours(2, "sum", "sum")}
if ((${u}) % 2u == 0u) { xs[base + ((${u}) / 2u) * 5u + 4u] = vec4f(sum); }`
        : floats(u),
    load: (p, at) =>
      [
        ...range(vectors).map((i) => `let ${p}${i} = xs[${at} + ${i}u];`),
        isSummed
          ? `let ${p}sum = xs[${at} + ${vectors}u].x;`
          : `let ${p}sum = dot(${range(vectors)
              .map((i) => `${p}${i}`)
              .join(" + ")}, vec4f(1.0));`,
      ].join("\n"),
    // A byte below an exponent of 2^23 is 2^23 plus the byte: cheaper than a conversion.
    functions:
      bits === 8
        ? `fn quants${bits}(q: u32) -> vec4f {
  let v = vec4u(q & 0xffu, (q >> 8u) & 0xffu, (q >> 16u) & 0xffu, q >> 24u);
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}`
        : `fn quants${bits}(q: u32) -> vec4f {
  let v = vec4u(q, q >> 4u, q >> 8u, q >> 12u) & vec4u(15u);
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}`,
    decode: (p, w) =>
      range(vectors)
        .map((i) => {
          const word = `${w}.${COMPONENTS[Math.floor(i / perWord)]}`
          return `let ${p}${i} = quants${bits}(${i % perWord ? `${word} >> 16u` : word});`
        })
        .join("\n"),
    dot: (w, x, s) =>
      `fma(${range(vectors)
        .map((i) => `dot(${w}${i}, ${x}${i})`)
        .join(" + ")}, ${s}.x, ${s}.y * ${x}sum)`,
    scaleType: "vec2f",
    scales: ({ scales, biases }, scaleRow, biasRow, chunk) =>
      `vec2f(${scales!.load(`${scaleRow} + ${group(chunk)}`)}, ${biases!.load(`${biasRow} + ${group(chunk)}`)})`,
  }
}

/**
 * Affine 8-bit in f16: bytes 0, 2 and 1, 3 of a word make pairs. Below the bits of 1024 a byte is 1024 plus itself, and
 * 128 less keeps the sums small. Activations are scaled as for {@link mxfp4Half}, to where 16 products cannot overflow;
 * the pad holds the exponent and the sum of the chunk.
 */
export function affine8Half(groupSize: number, features: GpuFeatures): ChunkFormat {
  const float = affine(8, groupSize, features)
  return {
    ...float,
    name: "affine8 f16",
    stride: 3,
    staged: "vec4<u32>",
    stage: (u) => {
      const pairs = (v: number) => `pack2x16float(fit * v${v}.xz), pack2x16float(fit * v${v}.yw)`
      return `
let largest = max(abs(v0), abs(v1));
var own = max(max(largest.x, largest.y), max(largest.z, largest.w));
${neighbours(2, "own", "max")}
var sum = dot(v0 + v1, vec4f(1.0));
${neighbours(2, "sum", "sum")}
let exponent = clamp(bitcast<u32>(own) >> 23u, 14u, 253u);
let fit = bitcast<f32>((258u - exponent) << 23u);
let at = base + ((${u}) / 2u) * 3u;
xs[at + (${u}) % 2u] = vec4u(${pairs(0)}, ${pairs(1)});
if ((${u}) % 2u == 0u) { xs[at + 2u] = vec4u((exponent - 4u) << 23u, bitcast<u32>(sum), 0u, 0u); }`
    },
    load: (p, at) =>
      `${range(2)
        .map((i) => `let ${p}${i} = xs[${at} + ${i}u];`)
        .join("\n")} let ${p}pad = bitcast<vec2f>(xs[${at} + 2u].xy);`,
    functions: `
fn quant_pair(q: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((q & 0x00ff00ffu) | 0x64006400u) - vec2<f16>(1152.0h);
}`,
    decode: (p, w) =>
      COMPONENTS.map(
        (c, i) => `let ${p}${i}0 = quant_pair(${w}.${c}); let ${p}${i}1 = quant_pair(${w}.${c} >> 8u);`,
      ).join("\n"),
    dot: (w, x, s) => {
      const half = (words: readonly number[]) =>
        words
          .flatMap((i) =>
            [0, 1].map((j) => [`${w}${i}${j}`, `bitcast<vec2<f16>>(${x}${i >> 1}.${COMPONENTS[2 * (i % 2) + j]})`]),
          )
          .reduce((sum, [a, b]) => (sum ? `fma(${a}, ${b}, ${sum})` : `${a} * ${b}`), "")
      return `fma(dot(vec2f(${half([0, 1])} + ${half([2, 3])}), vec2f(${x}pad.x)), ${s}.x, fma(${s}.x, 128.0, ${s}.y) * ${x}pad.y)`
    },
  }
}
