import { itemSize } from "../../../../tensor/dtype.js"
import { packedRowBytes } from "../../../../tensor/quantization.js"
import type { WeightOf } from "../../../../ir/type.js"
import type { Operand } from "../../../../ir/program.js"
import { type Accessor, type ElementType, reads, type View } from "../../dispatch.js"
import type { Declaration } from "../../wgsl/declaration.js"
import { octet } from "../../wgsl/formats/format.js"
import { formatOf } from "../../wgsl/formats/formats.js"
import { range } from "../../wgsl/range.js"

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
  /** What the declarations and loaders call; declares `Octet`. */
  readonly uses: readonly Declaration[]
  /** The text of `struct Raw` and of the functions `w_octet0`, `w_octet1`... from Raw to Octet. */
  readonly declarations: string
  /** The bindings of one weight under a name, as entries of a dispatch's views. */
  views(name: string, weight: Weight): Record<string, View>
  /** The text of a function `load_<name>(e, n, k) -> Raw`: expert, row, first element. */
  loader(name: string, weight: Weight, accessors: Readonly<Record<string, Accessor>>): string
}

/** Elements of a format in 16 bytes. */
export function elementsPerLoad(weight: Weight): number {
  return 128 / formatOf(weight).bits
}

/**
 * The codec of a format that tiles decode, see `WeightFormat.octets`. Null for others, and for rows that do not lie on whole
 * units.
 */
export function codec(of: Weight, K: number, unit: number, element: "f32" | "f16"): Codec | null {
  const { quantization, weight } = of
  const format = formatOf(of)
  const octets = format.octets(element)
  // A unit is loaded with one scale.
  if (!octets || (format.groupSize !== null && format.groupSize % unit !== 0)) return null
  const words = (unit * format.bits) / 32
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
  const wordsPerOctet = format.bits / 4
  const functions = range(unit / 8).map((o) => {
    const own = range(wordsPerOctet).map((i) => word(o * wordsPerOctet + i))
    return `fn w_octet${o}(r: Raw) -> Octet { ${octets.decode(own)} }`
  })
  const fields = [
    ...range(vectors).map((i) => `q${i}: ${type}`),
    ...(of.scales ? ["scale: f32"] : []),
    ...(of.biases ? ["bias: f32"] : []),
  ]
  return {
    name: format.name,
    unit,
    paired: octets.isPaired,
    bounded: false,
    uses: [octet(element), ...octets.uses],
    declarations: `struct Raw { ${fields.join(", ")} }\n${functions.join("\n")}`,
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
        return accessors[array].load(`e * ${expert}u + n * ${row}u + k / ${format.groupSize}u`)
      }
      const values = [
        ...range(vectors).map((i) => accessors[name].at(`at + ${i}u`)),
        ...(w.scales ? [octets.scale(grouped(w.scales, `${name}_scales`))] : []),
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
    uses: [octet("f32")],
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
