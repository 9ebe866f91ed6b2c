import { itemSize } from "../../../../tensor/dtype.js"
import type { WeightFormat } from "../../../ops.js"
import { weightRoles } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import { type Accessor, reads, type View } from "../../dispatch.js"
import type { GpuFeatures } from "../../features.js"

/** Activations are staged in units of 8 elements. */
export const UNIT = 8

/**
 * How 16 bytes of a weight row, a chunk, are multiplied with activations staged in workgroup memory. A chunk's
 * activations take `stride` vectors, the last of them a pad against bank conflicts.
 */
export interface ChunkFormat {
  readonly name: string
  /** Elements in 16 bytes. */
  readonly elements: number
  /** Workgroup vectors per chunk of activations, the pad included. */
  readonly stride: number
  /** Element type of the staged activations. */
  readonly staged: "vec4<u32>" | "vec4<f32>"
  /** WGSL that stores unit `u` of activations, given as `v0` and `v1` (vec4<f32>), into `xs`; a row's vectors start at `base`. */
  stage(u: string): string
  /** WGSL that loads the activations of a chunk at vector `at` of `xs` into registers with the given prefix. */
  load(prefix: string, at: string): string
  /** WGSL functions that the expressions below call. */
  readonly functions: string
  /** WGSL statements that decode the chunk `w` (vec4<u32>) into registers with the given prefix. */
  decode(prefix: string, w: string): string
  /** WGSL expression (f32) for the product of a decoded chunk and loaded activations, with scales `s`. */
  dot(weight: string, x: string, s: string): string
  /** WGSL type of the scales of a chunk. */
  readonly scaleType: "vec2f" | "u32"
  /** WGSL expression for what `dot` takes as scales of a chunk; rows are given as the index of their first element. */
  scales(weights: WeightAccessors, scaleRow: string, biasRow: string, chunk: string): string
}

export interface WeightAccessors {
  readonly weight: Accessor
  readonly scales?: Accessor
  readonly biases?: Accessor
  readonly bias?: Accessor
}

/** Vector of the staged activations that holds elements `4v` to `4v + 3` of unit `u`. */
function vectorOf(u: string, v: number, { elements, stride }: { elements: number; stride: number }): string {
  if (elements < UNIT) {
    const perUnit = UNIT / elements
    return `(${u}) * ${perUnit * stride}u + ${Math.floor((4 * v) / elements) * stride + (v % (elements / 4))}u`
  }
  const units = elements / UNIT
  return `((${u}) / ${units}u) * ${stride}u + ((${u}) % ${units}u) * ${UNIT / 4}u + ${v}u`
}

const stageFloats = (layout: { elements: number; stride: number }) => (u: string) =>
  range(UNIT / 4)
    .map((v) => `xs[base + ${vectorOf(u, v, layout)}] = v${v};`)
    .join("\n")

/** E2M1 pairs as f16, times 2^-14: bits 14..12 of each half move to 11..9, the sign stays at the top. */
const E2M1_F16 = [
  ["<< 9u", "<< 12u"],
  ["<< 5u", "<< 8u"],
  ["<< 1u", "<< 4u"],
  [">> 3u", ""],
]

const COMPONENTS = ["x", "y", "z", "w"]

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
const mxfp4Half: ChunkFormat = {
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
      E2M1_F16.map(([magnitude, sign], j) => {
        const q = `${w}.${c}`
        return `let ${p}${i}${j} = bitcast<vec2<f16>>(((${q} ${magnitude}) & 0x0E000E00u) | ((${q} ${sign}) & 0x80008000u));`
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

/** WGSL that combines a variable with those of the neighbours that stage the same chunk. */
function neighbours(count: number, name: string, combine: "max" | "sum"): string {
  return range(Math.log2(count))
    .map((bit) => `subgroupShuffleXor(${name}, ${2 ** bit}u)`)
    .map((other) => `${name} = ${combine === "max" ? `max(${name}, ${other})` : `${name} + ${other}`};`)
    .join("\n")
}

/** MXFP4 in f32, for devices without f16: twice the value from a table of nibbles, so it is exact. */
const mxfp4Float: ChunkFormat = {
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

/**
 * Affine: `scale * (q . x) + bias * sum(x)`. Where the two that stage a chunk can tell each other, its pad holds the sum
 * of its activations.
 */
function affine(bits: 4 | 8, groupSize: number, { subgroups }: GpuFeatures): ChunkFormat {
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
function affine8Half(groupSize: number, features: GpuFeatures): ChunkFormat {
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

/** Dense rows as stored. */
function dense(dtype: "float32" | "bfloat16" | "float16"): ChunkFormat {
  const elements = 16 / itemSize(dtype)
  const vectors = elements / 4
  const halves = (w: string, i: number) => [`${w}.${COMPONENTS[2 * i]}`, `${w}.${COMPONENTS[2 * i + 1]}`]
  const decode = (w: string, i: number): string => {
    if (dtype === "float32") return `bitcast<vec4f>(${w})`
    const [a, b] = halves(w, i)
    if (dtype === "float16") return `vec4f(unpack2x16float(${a}), unpack2x16float(${b}))`
    return `bitcast<vec4f>(vec4u(${a} << 16u, ${a} & 0xffff0000u, ${b} << 16u, ${b} & 0xffff0000u))`
  }
  return {
    name: dtype,
    elements,
    stride: vectors + (vectors > 1 ? 1 : 0),
    staged: "vec4<f32>",
    stage: stageFloats({ elements, stride: vectors + (vectors > 1 ? 1 : 0) }),
    load: (p, at) =>
      range(vectors)
        .map((i) => `let ${p}${i} = xs[${at} + ${i}u];`)
        .join("\n"),
    functions: "",
    decode: (p, w) =>
      range(vectors)
        .map((i) => `let ${p}${i} = ${decode(w, i)};`)
        .join("\n"),
    dot: (w, x) =>
      range(vectors)
        .map((i) => `dot(${w}${i}, ${x}${i})`)
        .join(" + "),
    scaleType: "vec2f",
    scales: () => "vec2f()",
  }
}

export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i)
}

/** The fast format, in float32 if it must be exact, of a weight with rows of `K` elements, or null where the generic kernel has to do. */
export function chunkFormat(
  { quantization }: WeightFormat,
  weight: Operand,
  K: number,
  features: GpuFeatures,
  isExact = false,
): ChunkFormat | null {
  if (K % 32 !== 0 || !isVectorAligned(weight)) return null
  if (!quantization) {
    const { dtype } = weight
    return dtype === "float32" || dtype === "bfloat16" || dtype === "float16" ? dense(dtype) : null
  }
  // Staging in f16 asks the neighbouring lane.
  const half = features.f16 && features.subgroups && !isExact
  if (quantization.mode === "mxfp4") return half ? mxfp4Half : mxfp4Float
  if (quantization.mode !== "affine") return null
  const { bits, group_size } = quantization
  if (bits === 8 && half) return affine8Half(group_size, features)
  return bits === 4 || bits === 8 ? affine(bits, group_size, features) : null
}

/** Rows can be loaded 16 bytes at a time. The offset of its buffer is checked too, as bindings start 256-aligned. */
function isVectorAligned({ offset, strides, shape, dtype }: Operand): boolean {
  const last = shape.length - 1
  const outer = strides.slice(0, -1).every((stride) => (stride * itemSize(dtype)) % 16 === 0)
  return strides[last] === 1 && outer && offset % 16 === 0
}

/** A weight's operands by role. */
export function weightViews(format: WeightFormat, operands: readonly Operand[], suffix: string): Record<string, View> {
  return Object.fromEntries(
    weightRoles(format).map((role, i) => [
      `${role}${suffix}`,
      reads(operands[i], role === "weight" ? "vec4<u32>" : "u32"),
    ]),
  )
}

export function weightAccessors(views: Readonly<Record<string, Accessor>>, suffix: string): WeightAccessors {
  const at = (role: string) => views[`${role}${suffix}`]
  return { weight: at("weight"), scales: at("scales"), biases: at("biases"), bias: at("bias") }
}
