import { float32ToBfloat16 } from "../tensor/floats.js"
import type { ByteReader } from "../tensor/storage.js"
import type { LayoutTensor, TensorRole } from "./layout.js"

/** Standard deviation of the sixteen E2M1 values, each as likely. */
const E2M1_DEVIATION = Math.sqrt((0.25 + 1 + 2.25 + 4 + 9 + 16 + 36) / 8)

/**
 * Random contents for one tensor of a checkpoint, the same for the same seed and name however they are read. Weights have a
 * standard deviation of about `1 / sqrt(input_dims)`, so that layers keep the size of what passes through them.
 *
 * Words come from a counter, not from a state: any piece can be made alone. Stored values are looked up by 16 (or 8) random
 * bits, so that writing costs little more than the words.
 */
export function randomTensor(tensor: LayoutTensor, seed: number): ByteReader {
  // A group's bias goes with its scale, so both are drawn from the same words.
  const key = hash(`${seed}:${tensor.name.replace(/\.biases$/, ".scales")}`)
  const table = tableOf(tensor)
  return {
    async read(offset, into) {
      const skip = offset % 4
      const inPlace = skip === 0 && into.byteOffset % 4 === 0 && into.byteLength % 4 === 0
      const count = Math.ceil((skip + into.byteLength) / 4)
      const words = inPlace ? new Uint32Array(into.buffer, into.byteOffset, count) : new Uint32Array(count)
      fillWords(words, (offset - skip) / 4, key)
      if (table) translate(words, table)
      if (!inPlace) into.set(new Uint8Array(words.buffer, skip, into.byteLength))
    },
  }
}

/** What a decided router adds to its favourites' logits, whose deviation is about one. */
const DECIDED = 16

/**
 * A router's bias that decides: the same `count` experts answer whatever the token, others for each name and seed. Routers of
 * random weights choose by margins down to nothing, where rounding alone changes which experts answer.
 */
export function decidedRouterBias({ name, shape: [experts] }: LayoutTensor, seed: number, count: number): ByteReader {
  const words = new Uint32Array(experts)
  fillWords(words, 0, hash(`${seed}:${name}`))
  const favourites = [...words.keys()].sort((a, b) => words[a] - words[b]).slice(0, count)
  const values = new Uint16Array(experts)
  for (const expert of favourites) values[expert] = float32ToBfloat16(DECIDED)
  const bytes = new Uint8Array(values.buffer)
  return { read: async (offset, into) => into.set(bytes.subarray(offset, offset + into.byteLength)) }
}

/** Word `i` is MurmurHash3's finaliser of `i` times an odd constant, keyed. */
function fillWords(words: Uint32Array, first: number, key: number): void {
  for (let i = 0; i < words.length; i++) {
    let h = Math.imul(first + i, 0x9e3779b1) ^ key
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    words[i] = h ^ (h >>> 16)
  }
}

function translate({ buffer, byteOffset, byteLength }: Uint32Array, table: Uint8Array | Uint16Array): void {
  const values =
    table instanceof Uint16Array
      ? new Uint16Array(buffer, byteOffset, byteLength / 2)
      : new Uint8Array(buffer, byteOffset, byteLength)
  for (let i = 0; i < values.length; i++) values[i] = table[values[i]]
}

/** Center and half width of the uniform distribution that vectors are drawn from. */
const VECTORS: Record<Exclude<TensorRole, "scales" | "biases" | "weight">, [center: number, width: number]> = {
  bias: [0, 0.05],
  norm: [1, 0.1],
  sinks: [0, 1],
}

/** What random bits become when stored; null where any bits will do. */
function tableOf({ role, dtype, quantization, input_dims }: LayoutTensor): Uint16Array | Uint8Array | null {
  const deviation = 1 / Math.sqrt(input_dims)
  if (role === "weight") return quantization ? null : bfloat16s(0, deviation * Math.sqrt(3))
  if (role !== "scales" && role !== "biases") return bfloat16s(...VECTORS[role])
  if (dtype === "uint8") {
    const exponent = Math.round(Math.log2(deviation / E2M1_DEVIATION))
    return Uint8Array.from({ length: 256 }, (_, bits) => 127 + exponent - (bits & 1))
  }
  const levels = 2 ** quantization!.bits
  const scale = (deviation * Math.sqrt(12)) / levels
  // The bias puts zero in the middle; minus half the levels is a power of two, hence exact in bfloat16 too.
  return role === "scales" ? bfloat16s(scale, scale / 4) : bfloat16s(scale, scale / 4, -levels / 2)
}

/** By 16 random bits, bfloat16 values uniform in `center +- width`, times `factor`. */
function bfloat16s(center: number, width: number, factor = 1): Uint16Array {
  const step = (2 * width) / 65536
  return Uint16Array.from({ length: 65536 }, (_, bits) =>
    float32ToBfloat16(factor * Math.fround(center - width + (bits + 0.5) * step)),
  )
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h
}
