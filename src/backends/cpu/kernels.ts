import { itemSize } from "../../tensor/dtype.js"
import { sizeOf } from "../../tensor/shape.js"
import { BackendError } from "../backend.js"
import type { BinaryFn, FusedKind, KernelKind, KernelOf, ReduceFn, UnaryFn, WeightFormat } from "../ops.js"
import { weightRoles } from "../ops.js"
import { dtypeCode, floatCode, type Placed, weightDescriptor, windowDescriptor } from "./descriptors.js"

/** A call of an exported kernel, before it is known where its scratch memory lies. */
export interface Launch {
  readonly kernel: string
  readonly args: readonly number[]
  /** Bytes each thread needs to itself; null if the kernel takes no scratch argument. */
  readonly scratch: number | null
}

export interface LaunchContext {
  /** Puts a descriptor into the kernel's memory; returns its address. */
  describe(words: Uint32Array): number
  /** Memory for this operation that all threads share; returns its address. */
  share(byteLength: number): number
  /** A 32-bit word that is zero when a replay starts; returns its address. */
  counter(): number
  /** True: float32 products throughout. False: activations as int16 where weights are small integers. */
  readonly exact: boolean
}

type Lower<K extends KernelKind> = (
  op: KernelOf<K>,
  inputs: readonly Placed[],
  output: Placed,
  at: LaunchContext,
) => Launch | Launch[]

const UNARY: readonly UnaryFn[] = ["neg", "abs", "exp", "log", "sqrt", "rsqrt", "sigmoid", "silu"]
const BINARY: readonly BinaryFn[] = ["add", "subtract", "multiply", "divide", "maximum", "minimum"]
const REDUCE: readonly ReduceFn[] = ["sum", "mean", "max"]

/** Positions whose scores attention holds at a time: BLOCK in wasm/attention.ts. */
const ATTENTION_BLOCK = 32

/** BLOCK in wasm/matmul.ts. */
const MATMUL_BLOCK = 64

const launch = (kernel: string, ...args: number[]): Launch => ({ kernel, args, scratch: null })
const withScratch = (scratch: number, call: Launch): Launch => ({ ...call, scratch })

function floats(kind: KernelKind, ...operands: readonly Placed[]): void {
  const other = operands.find(({ dtype }) => dtype !== "float32")
  if (other) throw new BackendError(`${kind} on the cpu backend takes float32, found ${other.dtype}: cast it first`)
}

function floatCaches(kind: KernelKind, ...caches: readonly Placed[]): void {
  const other = caches.find(({ dtype }) => dtype !== "float32")
  if (other) throw new BackendError(`${kind}: the cpu backend keeps float32 caches, found ${other.dtype}`)
}

/** Where the sequence of each row is given, and how many caches there are; zeros if rows share one. */
function sequencesOf(op: { sequences?: boolean }, { shape }: Placed, sequences: Placed): [number, number] {
  return op.sequences ? [sequences.address, shape[0]] : [0, 0]
}

function rowsAndColumns({ shape }: Placed): [number, number] {
  const n = shape[shape.length - 1]
  return [sizeOf(shape) / n, n]
}

/** An upper bound of what `begin` and `gather_swiglu` in wasm/matmul.ts take of a thread's scratch, in bytes. */
function matmulScratch(pairs: number, K: number): number {
  return 4 * K * 4 + 3 * 4 * scalesBytes(K) + pairs * (3 * 4 + 4 * MATMUL_BLOCK) + 16 * 64
}

/** A row of scales, padded, when groups are as small as they get. */
const scalesBytes = (K: number) => K / 8 + 32

/** What the integer products know: weights of 4 or 8 bits. The others are decoded to float32. */
function hasIntegers({ quantization }: WeightFormat): boolean {
  if (quantization?.mode === "affine") return quantization.bits === 4 || quantization.bits === 8
  return quantization?.mode === "mxfp4"
}

/**
 * The product `call`, given where the rows of `x` lie quantized for `weight`, after the step that quantizes them; or
 * given 0, for float32.
 */
function product(
  { format, weight, exact }: { format: WeightFormat; weight: number; exact?: boolean },
  x: Placed,
  at: LaunchContext,
  call: (quantized: number) => Launch,
): Launch[] {
  if (exact || at.exact || !hasIntegers(format)) return [call(0)]
  const [rows, K] = rowsAndColumns(x)
  const quantized = at.share(rows * (2.5 * K + 2 * scalesBytes(K)))
  return [launch("quantize", x.address, rows, weight, quantized), call(quantized)]
}

const sameFormat = (a: WeightFormat, b: WeightFormat) =>
  JSON.stringify(a.quantization) === JSON.stringify(b.quantization)

/** The operations that this backend runs: it asks for no fused ones. */
export type CpuKind = Exclude<KernelKind, FusedKind>

/** How each operation becomes a call: the argument lists of the functions exported by wasm/index.ts. */
export const LAUNCHES: { readonly [K in CpuKind]: Lower<K> } = {
  copy: (_, [x], output, at) => {
    const window = at.describe(windowDescriptor(output.shape, [x]))
    if (x.dtype === output.dtype) return launch("copy", x.address, itemSize(x.dtype), window, output.address)
    return launch("cast", x.address, dtypeCode(x.dtype), window, output.address, dtypeCode(output.dtype))
  },
  assign: (_, [state, x], __, at) => {
    const window = at.describe(windowDescriptor(x.shape, [x]))
    return launch("copy", x.address, itemSize(x.dtype), window, state.address)
  },
  unary: ({ kind, fn }, [x], output) => {
    floats(kind, x)
    return launch("unary", x.address, sizeOf(x.shape), UNARY.indexOf(fn), output.address)
  },
  binary: ({ kind, fn }, [a, b], output, at) => {
    floats(kind, a, b)
    const window = at.describe(windowDescriptor(output.shape, [a, b]))
    return launch("binary", a.address, b.address, BINARY.indexOf(fn), window, output.address)
  },
  reduce: ({ kind, fn }, [x], output) => {
    floats(kind, x)
    return launch("reduce", x.address, ...rowsAndColumns(x), REDUCE.indexOf(fn), output.address)
  },
  softmax: ({ kind }, [x], output) => {
    floats(kind, x)
    return launch("softmax", x.address, ...rowsAndColumns(x), output.address)
  },
  argmax: ({ kind }, [x], output) => {
    floats(kind, x)
    return launch("argmax", x.address, ...rowsAndColumns(x), output.address)
  },
  top_k: ({ kind, k }, [x], output) => {
    floats(kind, x)
    return launch("top_k", x.address, ...rowsAndColumns(x), k, output.address)
  },
  take_along_axis: ({ kind }, [x, indices], output) => {
    if (itemSize(x.dtype) !== 4)
      throw new BackendError(`${kind} on the cpu backend takes 4-byte types, found ${x.dtype}`)
    const k = indices.shape[indices.shape.length - 1]
    return launch("take_along_axis", x.address, ...rowsAndColumns(x), indices.address, k, output.address)
  },
  categorical: (_, [logits, temperature, uniform], output) => {
    const { address } = logits
    return launch(
      "categorical",
      address,
      ...rowsAndColumns(logits),
      temperature.address,
      uniform.address,
      output.address,
    )
  },
  embedding: ({ format }, [ids, ...weight], output, at) => {
    const descriptor = at.describe(weightDescriptor(format, weight, output.shape[1]))
    return launch("embedding", ids.address, ids.shape[0], descriptor, weight[0].shape[0], output.address)
  },
  matmul: ({ format, residual }, [x, ...rest], output, at) => {
    const [L, K] = x.shape
    const weight = at.describe(weightDescriptor(format, rest, K))
    const added = residual ? rest[rest.length - 1].address : 0
    const args = [x.address, L, weight, output.shape[1], added, output.address]
    return product({ format, weight }, x, at, (quantized) =>
      withScratch(matmulScratch(L, K), launch("matmul", ...args, quantized, at.counter())),
    )
  },
  gather_matmul: ({ format }, [x, ids, ...operands], output, at) => {
    const [L, k] = ids.shape
    const K = x.shape[x.shape.length - 1]
    const perSlot = Number(x.shape.length === 3)
    const weight = at.describe(weightDescriptor(format, operands, K))
    const sizes = [operands[0].shape[0], output.shape[2]]
    const args = [x.address, L, k, perSlot, ids.address, weight, ...sizes, output.address]
    return product({ format, weight }, x, at, (quantized) =>
      withScratch(matmulScratch(L * k, K), launch("gather_matmul", ...args, quantized, at.counter())),
    )
  },
  gather_swiglu: ({ gate, up, alpha, limit }, [x, ids, ...operands], output, at) => {
    const [L, k] = ids.shape
    const K = x.shape[1]
    const weight = at.describe(weightDescriptor(gate, operands, K))
    const ups = at.describe(weightDescriptor(up, operands.slice(weightRoles(gate).length), K))
    const sizes = [operands[0].shape[0], output.shape[2], alpha, limit]
    const args = [x.address, L, k, ids.address, weight, ups, ...sizes, output.address]
    // The activations are quantized once, as the gate's weights want them.
    const exact = !sameFormat(gate, up)
    return product({ format: gate, weight, exact }, x, at, (quantized) =>
      withScratch(matmulScratch(L * k, K), launch("gather_swiglu", ...args, quantized, at.counter())),
    )
  },
  rms_norm: ({ kind, eps }, [x, weight], output) => {
    floats(kind, x)
    const type = floatCode("the weight of rms_norm", weight)
    return launch("rms_norm", x.address, ...rowsAndColumns(x), weight.address, type, eps, output.address)
  },
  rope: ({ scale }, [x, positions, invFreq], output) => {
    const [L, heads, D] = x.shape
    const xs = [x.address, L, heads, D]
    const call = launch("rope", ...xs, positions.address, invFreq.address, scale, output.address)
    return withScratch(4 * D, call)
  },
  kv_append: (op, [cache, x, positions, sequences]) => {
    floatCaches(op.kind, cache)
    const [capacity, heads, D] = cache.shape.slice(-3)
    const slots = [cache.address, capacity, heads * D * 4]
    const rows = [x.address, x.shape[0], positions.address]
    return launch("kv_append", ...slots, ...rows, ...sequencesOf(op, cache, sequences))
  },
  attention: (op, [q, keys, values, positions, ...tail], output) => {
    floatCaches(op.kind, keys, values)
    const [L, heads, D] = q.shape
    const [capacity, kvHeads] = keys.shape.slice(-3)
    const cache = [keys.address, values.address, capacity, kvHeads]
    const sinks = op.sinks ? [tail[0].address, floatCode("sinks", tail[0])] : [0, 0]
    const sequences = sequencesOf(op, keys, tail[tail.length - 1])
    const mask = [op.scale, op.window ?? 0]
    const call = launch(
      "attention",
      ...[q.address, L, heads, D, ...cache, positions.address, ...sinks, ...sequences, ...mask, output.address],
    )
    return withScratch(4 * (heads / kvHeads) * (ATTENTION_BLOCK + 2), call)
  },
  swiglu: ({ kind, alpha, limit }, [gate, up], output) => {
    floats(kind, gate, up)
    return launch("swiglu", gate.address, up.address, sizeOf(gate.shape), alpha, limit, output.address)
  },
  weighted_sum: (_, [x, weights], output) => {
    const [L, k, n] = x.shape
    return launch("weighted_sum", x.address, L, k, n, weights.address, output.address)
  },
}
