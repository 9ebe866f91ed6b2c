import { type GatedActivation, gluCoefficients } from "../../ir/activation.js"
import type { FusedKind, KernelKind, KernelOf, OperandsOf, ResultsOf } from "../../ir/operations.js"
import type { BinaryFn, UnaryFn } from "../../ir/specs/elementwise.js"
import type { ReduceFn } from "../../ir/specs/rows.js"
import type { WeightOf } from "../../ir/type.js"
import { itemSize } from "../../tensor/dtype.js"
import { sizeOf } from "../../tensor/shape.js"
import { BackendError, type Precision } from "../backend.js"
import { type Count, elementsOf, most, rowsOf } from "./counts.js"
import { dtypeCode, floatCode, kvFormatCode, type Placed, weightDescriptor, windowDescriptor } from "./descriptors.js"

/** A call of an exported kernel, before it is known where its scratch memory lies. */
export interface KernelCall {
  readonly kernel: string
  readonly args: readonly Count[]
  /** Bytes each thread needs to itself; null if the kernel takes no scratch argument. */
  readonly scratch: number | null
}

export interface CallContext {
  /** Puts a descriptor into the kernel's memory; returns its address. */
  describe(words: readonly Count[]): number
  /** Memory for this operation that all threads share; returns its address. */
  share(byteLength: number): number
  /** A 32-bit word that is zero when a replay starts; returns its address. */
  counter(): number
  readonly precision: Precision
}

type Lower<K extends KernelKind> = (
  op: KernelOf<K>,
  operands: OperandsOf<K, Placed>,
  results: ResultsOf<K, Placed>,
  at: CallContext,
) => KernelCall | KernelCall[]

const UNARY: readonly UnaryFn[] = ["neg", "abs", "exp", "log", "sqrt", "rsqrt", "sigmoid", "silu"]
const BINARY: readonly BinaryFn[] = ["add", "subtract", "multiply", "divide", "maximum", "minimum"]
const REDUCE: readonly ReduceFn[] = ["sum", "mean", "max"]

/** BLOCK and TILE_BYTES in wasm/attention_tile.ts, ROWS in wasm/attention.ts. */
const ATTENTION_BLOCK = 32
const TILE_BYTES = 64
const ATTENTION_ROWS = 8

/** BLOCK and ROOM in wasm/products.ts. */
const MATMUL_BLOCK = 64
const MATMUL_ROOM = 256

/** BINS in wasm/sample.ts. */
const SAMPLE_BINS = 2048

const launch = (kernel: string, ...args: Count[]): KernelCall => ({ kernel, args, scratch: null })
const withScratch = (scratch: number, call: KernelCall): KernelCall => ({ ...call, scratch })

function floats(kind: KernelKind, ...operands: readonly Placed[]): void {
  const other = operands.find(({ dtype }) => dtype !== "float32")
  if (other) throw new BackendError(`${kind} on the cpu backend takes float32, found ${other.dtype}: cast it first`)
}

function rowsAndColumns(x: Placed): [Count, number] {
  const n = x.shape[x.shape.length - 1]
  return [elementsOf(x, n), n]
}

function rowBytes({ shape, dtype }: Placed): number {
  return (sizeOf(shape) / shape[0]) * itemSize(dtype)
}

/** An upper bound of what `begin` in wasm/products.ts and `gather_glu` take of a thread's scratch, in bytes. */
function matmulScratch(pairs: number, K: number): number {
  return 4 * K * 4 + 2 * 4 * scalesBytes(K) + MATMUL_ROOM + pairs * (3 * 4 + 4 * MATMUL_BLOCK) + 16 * 64
}

/** A row of scales, padded, when groups are as small as they get. */
const scalesBytes = (K: number) => K / 8 + 32

/** What `Tile` in wasm/attention_tile.ts points to, and itself, in bytes. */
function attentionScratch(rows: number, shared: number, D: number): number {
  const width = Math.ceil(D / 4) * 4
  const lanes = Math.min(rows, ATTENTION_ROWS) * Math.ceil(shared / 4) * 4
  return TILE_BYTES + 4 * (lanes * (D + ATTENTION_BLOCK + 2 + width) + 2 * ATTENTION_BLOCK * width)
}

/**
 * Bits of the integers that a product takes activations as; 0: float32. Bytes are precise enough for weights of four bits
 * with a scale per 32, and twice as fast; for affine weights memory is the limit anyway.
 */
function activationBits({ quantization }: WeightOf<Placed>, precision: Precision): 0 | 8 | 16 {
  if (precision === "exact") return 0
  if (quantization?.mode === "mxfp4") return precision === "fast" ? 8 : 16
  return quantization?.mode === "affine" ? 16 : 0
}

/**
 * The product `call`, given where the rows of `x` lie quantized, after the one that quantizes them; or given 0, for float32.
 *
 * @param bits of the activations: see `activationBits`
 */
function product(
  bits: number,
  descriptor: number,
  x: Placed,
  at: CallContext,
  call: (quantized: number) => KernelCall,
): KernelCall[] {
  if (bits === 0) return [call(0)]
  const [rows, K] = rowsAndColumns(x)
  const quantized = at.share(most(rows) * (2 * K + 2 * scalesBytes(K)) + 16)
  return [launch("quantize", x.address, rows, descriptor, quantized), call(quantized)]
}

/** The activation, in the order that the kernels take it. */
function gluNumbers(activation: GatedActivation): number[] {
  const { alpha, cubic, limit, offset } = gluCoefficients(activation)
  return [alpha, cubic, limit, offset]
}

const sameFormat = (a: WeightOf<Placed>, b: WeightOf<Placed>) =>
  JSON.stringify(a.quantization) === JSON.stringify(b.quantization)

/** The operations that this backend runs: it asks for no fused ones. */
export type CpuKind = Exclude<KernelKind, FusedKind>

/** How each operation becomes a call: the argument lists of the functions exported by wasm/index.ts. */
export const CALLS: { readonly [K in CpuKind]: Lower<K> } = {
  copy: (_, { x }, { y }, at) => {
    const window = at.describe(windowDescriptor(y, [x]))
    if (x.dtype === y.dtype) return launch("copy", x.address, itemSize(x.dtype), window, y.address)
    return launch("cast", x.address, dtypeCode(x.dtype), window, y.address, dtypeCode(y.dtype))
  },
  unary: ({ kind, fn }, { x }, { y }) => {
    floats(kind, x)
    return launch("unary", x.address, elementsOf(x), UNARY.indexOf(fn), y.address)
  },
  binary: ({ kind, fn }, { a, b }, { y }, at) => {
    floats(kind, a, b)
    const window = at.describe(windowDescriptor(y, [a, b]))
    return launch("binary", a.address, b.address, BINARY.indexOf(fn), window, y.address)
  },
  reduce: ({ kind, fn }, { x }, { y }) => {
    floats(kind, x)
    return launch("reduce", x.address, ...rowsAndColumns(x), REDUCE.indexOf(fn), y.address)
  },
  softmax: ({ kind }, { x }, { y }) => {
    floats(kind, x)
    return launch("softmax", x.address, ...rowsAndColumns(x), y.address)
  },
  argmax: ({ kind }, { x }, { ids }) => {
    floats(kind, x)
    return launch("argmax", x.address, ...rowsAndColumns(x), ids.address)
  },
  top_k: ({ kind, k }, { x }, { ids }) => {
    floats(kind, x)
    return launch("top_k", x.address, ...rowsAndColumns(x), k, ids.address)
  },
  take_along_axis: ({ kind }, { x, indices }, { y }) => {
    if (itemSize(x.dtype) !== 4)
      throw new BackendError(`${kind} on the cpu backend takes 4-byte types, found ${x.dtype}`)
    const k = indices.shape[indices.shape.length - 1]
    return launch("take_along_axis", x.address, ...rowsAndColumns(x), indices.address, k, y.address)
  },
  take: (_, { x, indices, otherwise }, { y }) => {
    const from = [x.address, rowsOf(x), rowBytes(x)]
    return launch("take", ...from, indices.address, rowsOf(indices), otherwise?.address ?? 0, y.address)
  },
  put: (_, { state, x, indices }) => {
    const to = [state.address, state.shape[0], rowBytes(state)]
    return launch("put", ...to, x.address, indices.address, rowsOf(indices))
  },
  sample: (_, { logits, temperature, top_k, top_p, min_p, uniform, mask }, { ids }) => {
    const choices = [temperature, top_k, top_p, min_p, uniform].map(({ address }) => address)
    const [rows, n] = rowsAndColumns(logits)
    const scratch = 8 * SAMPLE_BINS + 12 * Math.ceil(n / 4) * 4
    return withScratch(scratch, launch("sample", logits.address, rows, n, ...choices, mask?.address ?? 0, ids.address))
  },
  adjust_logits: (_, { logits, rows, ids, bias, factor, shift }, { y }) => {
    const entries = [rows.address, ids.address, rowsOf(rows), bias.address, factor.address, shift.address]
    return launch("adjust_logits", logits.address, ...rowsAndColumns(logits), ...entries, y.address)
  },
  embedding: (_, { ids, weight }, { y }, at) => {
    const descriptor = at.describe(weightDescriptor(weight, y.shape[1]))
    return launch("embedding", ids.address, rowsOf(ids), descriptor, weight.weight.shape[0], y.address)
  },
  matmul: (_, { x, weight, residual }, { y }, at) => {
    const [L, K] = x.shape
    const bits = activationBits(weight, at.precision)
    const descriptor = at.describe(weightDescriptor(weight, K, bits))
    const args = [x.address, rowsOf(x), descriptor, y.shape[1], residual?.address ?? 0, y.address]
    return product(bits, descriptor, x, at, (quantized) =>
      withScratch(matmulScratch(L, K), launch("matmul", ...args, quantized, at.counter())),
    )
  },
  gather_matmul: (_, { x, ids, weight }, { y }, at) => {
    const [L, k] = ids.shape
    const K = x.shape[x.shape.length - 1]
    const perSlot = Number(x.shape.length === 3)
    const bits = activationBits(weight, at.precision)
    const descriptor = at.describe(weightDescriptor(weight, K, bits))
    const sizes = [weight.weight.shape[0], y.shape[2]]
    const args = [x.address, rowsOf(ids), k, perSlot, ids.address, descriptor, ...sizes, y.address]
    return product(bits, descriptor, x, at, (quantized) =>
      withScratch(matmulScratch(L * k, K), launch("gather_matmul", ...args, quantized, at.counter())),
    )
  },
  gather_glu: ({ activation }, { x, ids, gate, up }, { y }, at) => {
    const [L, k] = ids.shape
    const K = x.shape[1]
    // The activations are quantized once, as the gate's weights want them.
    const bits = sameFormat(gate, up) ? activationBits(gate, at.precision) : 0
    const descriptor = at.describe(weightDescriptor(gate, K, bits))
    const ups = at.describe(weightDescriptor(up, K, bits))
    const sizes = [gate.weight.shape[0], y.shape[2], ...gluNumbers(activation)]
    const args = [x.address, rowsOf(x), k, ids.address, descriptor, ups, ...sizes, y.address]
    return product(bits, descriptor, x, at, (quantized) =>
      withScratch(matmulScratch(L * k, K), launch("gather_glu", ...args, quantized, at.counter())),
    )
  },
  rms_norm: ({ kind, eps }, { x, weight }, { y }) => {
    floats(kind, x)
    const type = floatCode("the weight of rms_norm", weight)
    return launch("rms_norm", x.address, ...rowsAndColumns(x), weight.address, type, eps, y.address)
  },
  rope: ({ scale }, { x, positions, inv_freq }, { y }) => {
    const [, heads, D] = x.shape
    const xs = [x.address, rowsOf(x), heads, D]
    return withScratch(4 * D, launch("rope", ...xs, positions.address, inv_freq.address, scale, y.address))
  },
  kv_append: (_, { cache, x, slots }) => {
    const [, heads, D] = x.shape
    const kept = [cache.address, cache.shape[0], heads, D, kvFormatCode(cache, D)]
    return withScratch(14 * D, launch("kv_append", ...kept, x.address, rowsOf(x), slots.address))
  },
  attention: ({ scale, window, page_size }, operands, { y }, at) => {
    const { q, keys, values, positions, sequences, tables, sinks } = operands
    const [L, heads, D] = q.shape
    const [slots, kvHeads] = keys.shape
    const caches = [keys.address, values.address, slots, kvHeads, D, kvFormatCode(keys, D)]
    const pages = at.describe([...caches, tables.address, rowsOf(tables), tables.shape[1], page_size])
    const rows = [q.address, rowsOf(q), heads, pages, positions.address, sequences.address]
    const sunk = sinks ? [sinks.address, floatCode("sinks", sinks)] : [0, 0]
    const call = launch("attention", ...rows, ...sunk, scale, window ?? 0, y.address, at.counter())
    return withScratch(attentionScratch(L, heads / kvHeads, D), call)
  },
  glu: ({ kind, activation }, { gate, up }, { y }) => {
    floats(kind, gate, up)
    return launch("glu", gate.address, up.address, elementsOf(gate), ...gluNumbers(activation), y.address)
  },
  weighted_sum: (_, { x, weights }, { y }) => {
    const [, k, n] = x.shape
    return launch("weighted_sum", x.address, rowsOf(x), k, n, weights.address, y.address)
  },
}
