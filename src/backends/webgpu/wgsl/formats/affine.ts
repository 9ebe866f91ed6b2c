import type { Quantization } from "../../../../tensor/quantization.js"
import type { GpuFeatures } from "../../features.js"
import type { Declaration } from "../declaration.js"
import { range } from "../range.js"
import {
  type ChunkFormat,
  COMPONENTS,
  dotVectors,
  loadVectors,
  neighbours,
  stageFloats,
  sumPairs,
  UNIT,
} from "./chunk.js"
import { type Eights, type Octets, returnOctet, type WeightFormat } from "./format.js"

type Affine = Quantization & { readonly mode: "affine" }

/** `scale * q + bias` per group, of unsigned codes of 2 to 8 bits. */
export function affine({ bits, group_size: groupSize }: Affine): WeightFormat {
  const isFast = bits === 4 || bits === 8
  return {
    name: `affine${bits}`,
    bits,
    groupSize,
    eights: eights(bits),
    octets: (element) => (isFast ? octets(bits, element) : null),
    chunks: (features, isExact) => {
      if (!isFast) return null
      const half = features.f16 && features.subgroups && !isExact
      return bits === 8 && half ? halfChunks(groupSize) : floatChunks(bits, groupSize, features)
    },
    single: 32 % bits === 0 ? (word, i) => single(bits, word, i) : null,
  }
}

/**
 * WGSL `quants4(q)` or `quants8(q)`: the four codes in the low half of a word, or in all of it. A byte below an exponent of 2^23
 * is 2^23 plus the byte: cheaper than a conversion.
 */
function quants(bits: 4 | 8): Declaration {
  const codes =
    bits === 8
      ? "vec4u(q & 0xffu, (q >> 8u) & 0xffu, (q >> 16u) & 0xffu, q >> 24u)"
      : "vec4u(q, q >> 4u, q >> 8u, q >> 12u) & vec4u(15u)"
  return {
    text: /* wgsl */ `
fn quants${bits}(q: u32) -> vec4f {
  let v = ${codes};
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}`,
  }
}

function eights(bits: Affine["bits"]): Eights {
  const isFast = bits === 4 || bits === 8
  return {
    uses: isFast ? [quants(bits)] : [],
    unscaled: isFast ? (word) => fastEight(bits, word) : (word) => unpack(bits, word),
    factors: (stored) => `vec2f(${stored}, 1.0)`,
  }
}

/** WGSL that returns the eight codes at `k` of the row that starts at word `row`, of 4 or 8 bits. */
function fastEight(bits: 4 | 8, word: (i: string) => string): string {
  if (bits === 4) return `let q = ${word("row + k / 8u")};\n  return Eight(quants4(q), quants4(q >> 16u));`
  return `let at = row + k / 4u;\n  return Eight(quants8(${word("at")}), quants8(${word("at + 1u")}));`
}

/** The same of 2, 3, 5 or 6 bits: eight codes are as many bytes, which start anywhere in a word. */
function unpack(bits: number, word: (i: string) => string): string {
  const fields = (source: string, first: number) => {
    const shifts = range(4).map((i) => `${first + bits * i}u`)
    return `vec4f((vec4u(${source}) >> vec4u(${shifts.join(", ")})) & vec4u(${2 ** bits - 1}u))`
  }
  const begin = `let byte = (k / 8u) * ${bits}u;
  let shift = 8u * (byte & 3u);
  var q = ${word("row + byte / 4u")} >> shift;`
  if (bits > 4) {
    // They always reach into the next word, which is then the row's.
    return `${begin}
  let next = ${word("row + byte / 4u + 1u")};
  q |= select(next << (32u - shift), 0u, shift == 0u);
  let high = (q >> ${4 * bits}u) | ((next >> shift) << ${32 - 4 * bits}u);
  return Eight(${fields("q", 0)}, ${fields("high", 0)});`
  }
  const spill = bits === 3 ? `if (shift > 8u) { q |= ${word("row + byte / 4u + 1u")} << (32u - shift); }` : ""
  return `${begin} ${spill}
  return Eight(${fields("q", 0)}, ${fields("q", 4 * bits)});`
}

function single(bits: number, word: (i: string) => string, i: string): string {
  const perWord = 32 / bits
  return `f32(extractBits(${word(`(${i}) / ${perWord}u`)}, (${i}) % ${perWord}u * ${bits}u, ${bits}u))`
}

function octets(bits: 4 | 8, element: "f32" | "f16"): Octets {
  return {
    uses: [quants(bits)],
    isPaired: false,
    scale: (stored) => stored,
    decode: ([q, next]) => {
      const [lo, hi] = bits === 8 ? [`quants8(${q})`, `quants8(${next})`] : [`quants4(${q})`, `quants4(${q} >> 16u)`]
      return returnOctet(element, `${lo} * r.scale + r.bias`, `${hi} * r.scale + r.bias`)
    },
  }
}

/** `ChunkFormat.scales` of affine formats. */
const scalesOf =
  (groupSize: number, elements: number): ChunkFormat["scales"] =>
  ({ scales, biases }, scaleRow, biasRow, chunk) => {
    const group = `(${chunk}) / ${groupSize / elements}u`
    return `vec2f(${scales!.load(`${scaleRow} + ${group}`)}, ${biases!.load(`${biasRow} + ${group}`)})`
  }

/**
 * `scale * (q . x) + bias * sum(x)`, in f32. Where the two that stage a chunk can tell each other, its pad holds the sum of
 * its activations.
 */
function floatChunks(bits: 4 | 8, groupSize: number, { subgroups }: GpuFeatures): ChunkFormat {
  const elements = 128 / bits
  const vectors = elements / 4
  const perWord = 32 / bits / 4
  const floats = stageFloats({ elements, stride: vectors + 1 })
  const isSummed = elements === 2 * UNIT && subgroups !== null
  return {
    name: `affine${bits}`,
    elements,
    stride: vectors + 1,
    staged: "vec4<f32>",
    uses: [{ ...quants(bits), enable: isSummed ? ["subgroups"] : [] }],
    stage: (u) =>
      isSummed
        ? `${floats(u)}
var sum = dot(v0 + v1, vec4f(1.0));
${neighbours(2, "sum", "sum")}
if ((${u}) % 2u == 0u) { xs[base + ((${u}) / 2u) * 5u + 4u] = vec4f(sum); }`
        : floats(u),
    load: (p, at) => {
      const sum = range(vectors).map((i) => `${p}${i}`)
      return `${loadVectors(vectors)(p, at)}
let ${p}sum = ${isSummed ? `xs[${at} + ${vectors}u].x` : `dot(${sum.join(" + ")}, vec4f(1.0))`};`
    },
    decode: (p, w) =>
      range(vectors)
        .map((i) => {
          const word = `${w}.${COMPONENTS[Math.floor(i / perWord)]}`
          return `let ${p}${i} = quants${bits}(${i % perWord ? `${word} >> 16u` : word});`
        })
        .join("\n"),
    dot: (w, x, s) => `fma(${dotVectors(vectors, w, x)}, ${s}.x, ${s}.y * ${x}sum)`,
    scaleType: "vec2f",
    scales: scalesOf(groupSize, elements),
  }
}

/**
 * 8 bits in f16: bytes 0, 2 and 1, 3 of a word make pairs. Below the bits of 1024 a byte is 1024 plus itself, and 128 less
 * keeps the sums small. Activations are scaled as in `mxfp4.ts`, to where 16 products cannot overflow; the pad holds the
 * exponent and the sum of the chunk.
 */
function halfChunks(groupSize: number): ChunkFormat {
  return {
    name: "affine8 f16",
    elements: 16,
    stride: 3,
    staged: "vec4<u32>",
    uses: [
      {
        text: /* wgsl */ `
fn quant_pair(q: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((q & 0x00ff00ffu) | 0x64006400u) - vec2<f16>(1152.0h);
}`,
        enable: ["f16", "subgroups"],
      },
    ],
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
    load: (p, at) => `${loadVectors(2)(p, at)} let ${p}pad = bitcast<vec2f>(xs[${at} + 2u].xy);`,
    decode: (p, w) =>
      COMPONENTS.map(
        (c, i) => `let ${p}${i}0 = quant_pair(${w}.${c}); let ${p}${i}1 = quant_pair(${w}.${c} >> 8u);`,
      ).join("\n"),
    dot: (w, x, s) => {
      const fours = range(4).map((i) =>
        [0, 1].map(
          (j) => [`${w}${i}${j}`, `bitcast<vec2<f16>>(${x}${i >> 1}.${COMPONENTS[2 * (i % 2) + j]})`] as const,
        ),
      )
      return `fma(dot(vec2f(${sumPairs(fours)}), vec2f(${x}pad.x)), ${s}.x, fma(${s}.x, 128.0, ${s}.y) * ${x}pad.y)`
    },
    scaleType: "vec2f",
    scales: scalesOf(groupSize, 16),
  }
}
