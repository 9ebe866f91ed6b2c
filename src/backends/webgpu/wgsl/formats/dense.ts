import { type DType, itemSize } from "../../../../tensor/dtype.js"
import { range } from "../range.js"
import { type ChunkFormat, COMPONENTS, dotVectors, loadVectors, stageFloats } from "./chunk.js"
import { type Octets, returnOctet, type WeightFormat } from "./format.js"
import { type DenseDType, denseFour, isDense } from "./dense_floats.js"

/** Numbers as stored; those that are no floats, for kernels that take any format alone. */
export function dense(dtype: DType): WeightFormat {
  return {
    name: dtype,
    bits: 8 * itemSize(dtype),
    groupSize: null,
    eights: null,
    octets: (element) => (isDense(dtype) ? octets(dtype, element) : null),
    chunks: () => (isDense(dtype) ? chunks(dtype) : null),
    single: null,
  }
}

function octets(dtype: DenseDType, element: "f32" | "f16"): Octets {
  return {
    uses: [],
    isPaired: false,
    scale: (stored) => stored,
    decode: (words) => {
      const half = words.length / 2
      const [lo, hi] = [words.slice(0, half), words.slice(half)].map((four) => denseFour(dtype, four))
      return returnOctet(element, lo, hi)
    },
  }
}

function chunks(dtype: DenseDType): ChunkFormat {
  const elements = 16 / itemSize(dtype)
  const vectors = elements / 4
  const stride = vectors + (vectors > 1 ? 1 : 0)
  const perVector = 4 / vectors
  return {
    name: dtype,
    elements,
    stride,
    staged: "vec4<f32>",
    uses: [],
    stage: stageFloats({ elements, stride }),
    load: loadVectors(vectors),
    decode: (p, w) =>
      range(vectors)
        .map((i) => COMPONENTS.slice(i * perVector, (i + 1) * perVector).map((c) => `${w}.${c}`))
        .map((words, i) => `let ${p}${i} = ${denseFour(dtype, words)};`)
        .join("\n"),
    dot: (w, x) => dotVectors(vectors, w, x),
    scaleType: "vec2f",
    scales: () => "vec2f()",
  }
}
