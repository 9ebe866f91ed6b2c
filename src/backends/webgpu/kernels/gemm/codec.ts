import { itemSize } from "../../../../tensor/dtype.js"
import { packedRowBytes } from "../../../../tensor/quantization.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { type Accessor, type ElementType, reads, type View } from "../../dispatch.js"
import { E2M1_PAIRS, MAGNITUDES, SIGNS } from "../../wgsl/e2m1_pairs.js"

/** A weight, `[N, ...]` or `[E, N, ...]`. */
export type Weight = WeightOf<Operand>

/**
 * How a kernel reads a weight's elements: in units of `unit` consecutive elements of a row, loaded as a struct `Raw`
 * (packed words, scale, bias), later decoded as octets.
 */
export interface Codec {
  /** "mxfp4", "affine8", "bfloat16". */
  readonly name: string
  readonly unit: number
  /** Decoded f16 octets come as elements 0 4 1 5 2 6 3 7: the activations must be staged alike. */
  readonly paired: boolean
  /** Loads may start anywhere: elements beyond K are read as the last one. Else units lie within K. */
  readonly bounded: boolean
  /** The text of `struct Raw` and of the functions `w_octet0`, `w_octet1`... from Raw to Octet. */
  readonly declarations: string
  /** The bindings of one weight under a name, as entries of a dispatch's views. */
  views(name: string, weight: Weight): Record<string, View>
  /** The text of a function `load_<name>(e, n, k) -> Raw`: expert, row, first element. */
  loader(name: string, weight: Weight, accessors: Readonly<Record<string, Accessor>>): string
}

/** Elements of a format in 16 bytes. */
export function elementsPerLoad(weight: Weight): number {
  return 16 / (bitsOf(weight) / 8)
}

function bitsOf({ quantization, weight }: Weight): number {
  return quantization?.bits ?? 8 * itemSize(weight.dtype)
}

/**
 * The codec of a format that tiled kernels decode fast: affine of 4 or 8 bits, mxfp4, dense floats. Null for others,
 * and for rows that do not lie on whole units.
 */
export function codec(of: Weight, K: number, unit: number, element: "f32" | "f16"): Codec | null {
  const { quantization, weight } = of
  const bits = bitsOf(of)
  if (
    quantization &&
    !(quantization.mode === "mxfp4" || (quantization.mode === "affine" && bits % 4 === 0 && bits !== 6))
  )
    return null
  const words = (unit * bits) / 32
  const size = Math.min(4, words)
  const outer = weight.strides.slice(0, -1).map((stride) => stride * itemSize(weight.dtype))
  const aligned = K % unit === 0 && [weight.offset, ...outer].every((bytes) => bytes % (4 * size) === 0)
  if (quantization) {
    if (!aligned || weight.shape[weight.shape.length - 1] * itemSize(weight.dtype) !== packedRowBytes(quantization, K))
      return null
  } else if (!aligned) return element === "f32" && unit === 8 ? elementwise(weight.dtype) : null
  const type = (size === 1 ? "u32" : `vec${size}<u32>`) as ElementType
  const vectors = words / size
  const word = (i: number) => (size === 1 ? `r.q${i}` : `r.q${Math.floor(i / size)}.${"xyzw"[i % size]}`)
  const group = quantization?.group_size ?? 0
  const affine = quantization?.mode === "affine"
  const paired = quantization?.mode === "mxfp4" && element === "f16"
  const wordsPerOctet = bits / 4
  const octets = Array.from({ length: unit / 8 }, (_, o) => {
    const at = Array.from({ length: wordsPerOctet }, (_, i) => word(o * wordsPerOctet + i))
    return `fn w_octet${o}(r: Raw) -> Octet { ${decode(weight.dtype, quantization?.mode ?? null, bits, at, element)} }`
  })
  const fields = [
    ...Array.from({ length: vectors }, (_, i) => `q${i}: ${type}`),
    ...(quantization ? ["scale: f32"] : []),
    ...(affine ? ["bias: f32"] : []),
  ]
  return {
    name: quantization ? (affine ? `affine${bits}` : "mxfp4") : weight.dtype,
    unit,
    paired,
    bounded: false,
    declarations: `struct Raw { ${fields.join(", ")} }\n${octets.join("\n")}`,
    views: (name, w) => ({
      [name]: reads(w.weight, type),
      ...(w.scales && { [`${name}_scales`]: reads(w.scales, "u32") }),
      ...(w.biases && { [`${name}_biases`]: reads(w.biases, "u32") }),
    }),
    loader: (name, w, accessors) => {
      const [rowBytes, expertBytes = 0] = w.weight.strides
        .slice(0, -1)
        .map((stride) => stride * itemSize(w.weight.dtype))
        .reverse()
      const [perRow, perExpert] = [rowBytes, expertBytes].map((bytes) => bytes / (4 * size))
      const grouped = (operand: Operand, array: string) => {
        const [row, expert = 0] = operand.strides.slice(0, -1).reverse()
        return accessors[array].load(`e * ${expert}u + n * ${row}u + k / ${group}u`)
      }
      const values = [
        ...Array.from({ length: vectors }, (_, i) => accessors[name].at(`at + ${i}u`)),
        ...(w.scales
          ? [affine ? grouped(w.scales, `${name}_scales`) : `e8m0(${grouped(w.scales, `${name}_scales`)})`]
          : []),
        ...(w.biases ? [grouped(w.biases, `${name}_biases`)] : []),
      ]
      return `fn load_${name}(e: u32, n: u32, k: u32) -> Raw {
  let at = e * ${perExpert}u + n * ${perRow}u + k / ${unit / vectors}u;
  return Raw(${values.join(", ")});
}`
    },
  }
}

/** Dense rows of any length and alignment. */
function elementwise(dtype: string): Codec {
  return {
    name: dtype,
    unit: 8,
    paired: false,
    bounded: true,
    declarations: `struct Raw { lo: vec4<f32>, hi: vec4<f32> }
fn w_octet0(r: Raw) -> Octet { return Octet(r.lo, r.hi); }`,
    views: (name, { weight }) => ({ [name]: reads(weight, "u32") }),
    loader: (name, { weight }, accessors) => {
      const [row, expert = 0] = weight.strides.slice(0, -1).reverse()
      const at = (i: number) => accessors[name].load(`at + min(k + ${i}u, K - 1u)`)
      return `fn load_${name}(e: u32, n: u32, k: u32) -> Raw {
  let at = e * ${expert}u + n * ${row}u;
  return Raw(vec4<f32>(${[0, 1, 2, 3].map(at)}), vec4<f32>(${[4, 5, 6, 7].map(at)}));
}`
    },
  }
}

/** 2^(byte - 127), at least the smallest normal number. */
const E8M0 = "fn e8m0(byte: u32) -> f32 { return bitcast<f32>(max(byte, 1u) << 23u); }"

/**
 * Twice the magnitudes of E2M1 are the integers 0 1 2 3 4 6 8 12: nibbles of one constant. Nothing here passes through
 * a subnormal number, which shaders may flush.
 */
const E2M1 = `fn e2m1(q: u32) -> vec4<f32> {
  let code = vec4<u32>(q, q >> 4u, q >> 8u, q >> 12u);
  let twice = vec4<f32>((vec4<u32>(0xc8643210u) >> ((code & vec4<u32>(7u)) << vec4<u32>(2u))) & vec4<u32>(15u));
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(twice) | ((code & vec4<u32>(8u)) << vec4<u32>(28u)));
}
fn nibbles(q: u32) -> vec4<f32> {
  return vec4<f32>(vec4<u32>(q, q >> 4u, q >> 8u, q >> 12u) & vec4<u32>(15u));
}
fn bytes(q: u32) -> vec4<f32> {
  return vec4<f32>(vec4<u32>(q, q >> 8u, q >> 16u, q >> 24u) & vec4<u32>(255u));
}
fn bf16(a: u32, b: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u));
}`

/** Helpers that the decoders call; Octet holds eight consecutive elements. */
export function decoders(element: "f32" | "f16"): string {
  return `struct Octet { lo: vec4<${element}>, hi: vec4<${element}> }
${E8M0}
${E2M1}${element === "f16" ? E2M1_F16 : ""}`
}

/** Pairs of nibbles, four apart, as f16 bits: their value times 2^-14. In vec2 throughout: other widths are slow on NVIDIA. */
const E2M1_F16 = `
fn pair(magnitudes: u32, signs: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((magnitudes & ${MAGNITUDES}) | (signs & ${SIGNS}));
}`

function decode(
  dtype: string,
  mode: string | null,
  bits: number,
  q: readonly string[],
  element: "f32" | "f16",
): string {
  const octet = (lo: string, hi: string) => `return Octet(vec4<${element}>(${lo}), vec4<${element}>(${hi}));`
  if (mode === "mxfp4" && element === "f16") {
    const q0 = q[0]
    return `let s = vec2<f16>(f16(16384.0 * min(r.scale, 2.0)));
  ${E2M1_PAIRS.map(([magnitudes, signs], i) => `var ${"abcd"[i]} = pair(${q0} ${magnitudes}, ${q0} ${signs}) * s;`).join("\n  ")}
  if (r.scale > 2.0) {
    let rest = vec2<f16>(f16(min(0.5 * r.scale, 16384.0)));
    a *= rest; b *= rest; c *= rest; d *= rest;
  }
  return Octet(vec4<f16>(a, b), vec4<f16>(c, d));`
  }
  if (mode === "mxfp4") return `let s = 0.5 * r.scale; ${octet(`e2m1(${q[0]}) * s`, `e2m1(${q[0]} >> 16u) * s`)}`
  if (mode === "affine") {
    const [lo, hi] = bits === 8 ? [`bytes(${q[0]})`, `bytes(${q[1]})`] : [`nibbles(${q[0]})`, `nibbles(${q[0]} >> 16u)`]
    return octet(`${lo} * r.scale + r.bias`, `${hi} * r.scale + r.bias`)
  }
  if (dtype === "bfloat16") return octet(`bf16(${q[0]}, ${q[1]})`, `bf16(${q[2]}, ${q[3]})`)
  if (dtype === "float16") {
    const [a, b, c, d] = q.map((word) => `unpack2x16float(${word})`)
    return octet(`vec4<f32>(${a}, ${b})`, `vec4<f32>(${c}, ${d})`)
  }
  const floats = (words: readonly string[]) => `bitcast<vec4<f32>>(vec4<u32>(${words.join(", ")}))`
  return octet(floats(q.slice(0, 4)), floats(q.slice(4)))
}
