import { type Dim, fixed, largest, upper } from "../dim.js"
import { sizeOf } from "../../tensor/shape.js"
import { cacheDims, expectType, last } from "../expect.js"
import { spec } from "../op_spec.js"
import { GraphError } from "../graph_error.js"
import type { Type } from "../type.js"

/**
 * Attention and the caches it reads: `[capacity, heads, head_dim]`, float32 or float16, position p in slot
 * `p % capacity`. With `sequences` `[L]` (uint32), caches are `[S, capacity, heads, head_dim]` and each row belongs to the
 * sequence named there; the rows of one sequence ascend in position.
 */

export const rope = spec<{ readonly scale: number }, { x: Type; positions: Type; inv_freq: Type }, "y">({
  summary:
    "the halves of each head of x [L, H, D] rotated by positions (uint32) [L] times inv_freq [D / 2]; cos and sin times scale",
  operands: { x: "value", positions: "value", inv_freq: "value" },
  infer: (_, { x, positions, inv_freq }) => {
    expectType("rope: x", x, [-1, -1, -1], "float32")
    expectType("rope: positions", positions, [x.shape[0]], "uint32")
    expectType("rope: inv_freq", inv_freq, [last(x.shape) / 2], "float32")
    return { y: x }
  },
  tolerance: "float",
})

export const kv_append = spec<unknown, { cache: Type; x: Type; positions: Type; sequences?: Type }, "cache">({
  summary:
    "the cache (float32 or float16) with rows x [L, H, D] in slots positions (uint32) [L] % capacity, rounded to its dtype",
  operands: { cache: "state", x: "value", positions: "value", sequences: "optional" },
  writes: { cache: "cache" },
  infer: (_, { cache, x, positions, sequences }) => {
    const [capacity, heads, D] = cacheDims("kv_append", cache, sequences !== undefined)
    expectType("kv_append: x", x, [-1, heads, D], "float32")
    const [L] = x.shape
    expectType("kv_append: positions", positions, [L], "uint32")
    checkRows("kv_append", L, capacity, sequences)
    return { cache }
  },
  tolerance: "exact",
})

export interface Visible {
  /** Positions seen before and including a row's own; null for all. */
  readonly window: number | null
  /** Multiplies the dot products. */
  readonly scale: number
}

export interface Cached {
  positions: Type
  keys: Type
  values: Type
  sinks?: Type
  sequences?: Type
}

export const attention = spec<Visible, Cached & { q: Type }, "y">({
  summary:
    "causal attention of q [L, Hq, D] over keys and values (float32 or float16) with grouped heads, at positions (uint32) [L]; sinks [Hq] (any float dtype) join the softmax and bring no value -> [L, Hq, D]",
  operands: {
    q: "value",
    keys: "value",
    values: "value",
    positions: "value",
    sinks: "optional",
    sequences: "optional",
  },
  infer: (_, operands) => {
    const { q, keys } = operands
    expectType("attention: q", q, [-1, -1, last(keys.shape)], "float32")
    checkCaches("attention", operands, q.shape[0], fixed(q.shape[1], "attention: heads"))
    return { y: q }
  },
  flops: (op, operands) => attentionFlops(op, operands, sizeOf(largest(operands.q.shape))),
  tolerance: "attention",
})

export const rope_attention = spec<
  Visible & { readonly rope_scale: number },
  Cached & { qkv: Type; inv_freq: Type },
  "y" | "keys" | "values"
>({
  summary:
    "queries, keys and values side by side, qkv [L, (Hq + 2 Hkv) * D]: queries and keys rotated, keys and values appended to caches (float32 or float16) at positions (uint32) [L], then attention -> [L, Hq, D]",
  operands: {
    qkv: "value",
    positions: "value",
    inv_freq: "value",
    keys: "state",
    values: "state",
    sinks: "optional",
    sequences: "optional",
  },
  writes: { keys: "keys", values: "values" },
  infer: (_, operands) => {
    const { qkv, inv_freq, keys, values, sequences } = operands
    const [capacity, kvHeads, D] = cacheDims("rope_attention", keys, sequences !== undefined)
    expectType("rope_attention: qkv", qkv, [-1, -1], "float32")
    const [L] = qkv.shape
    const width = last(qkv.shape)
    const heads = width / D - 2 * kvHeads
    if (!Number.isInteger(heads) || heads < 1) {
      throw new GraphError(`rope_attention: rows of ${width} are not heads of ${D} with ${kvHeads} key-value heads`)
    }
    expectType("rope_attention: inv_freq", inv_freq, [D / 2], "float32")
    checkCaches("rope_attention", operands, L, heads)
    checkRows("rope_attention", L, capacity, sequences)
    return { y: { shape: [L, heads, D], dtype: "float32" }, keys, values }
  },
  flops: (op, operands) => {
    const { qkv, keys } = operands
    const [kvHeads, D] = largest(keys.shape.slice(-2))
    return attentionFlops(op, operands, upper(qkv.shape[0]) * (last(qkv.shape) - 2 * kvHeads * D))
  },
  tolerance: "attention",
})

function checkCaches(kind: string, { positions, keys, values, sinks, sequences }: Cached, L: Dim, heads: number) {
  const [, kvHeads] = cacheDims(kind, keys, sequences !== undefined)
  expectType(`${kind}: values`, values, keys.shape, keys.dtype)
  if (heads % kvHeads !== 0) {
    throw new GraphError(`${kind}: ${heads} query heads do not share ${kvHeads} key-value heads evenly`)
  }
  expectType(`${kind}: positions`, positions, [L], "uint32")
  if (sinks) expectType(`${kind}: sinks`, sinks, [heads])
  if (sequences) expectType(`${kind}: sequences`, sequences, [L], "uint32")
}

/** The rows of one sequence must not overwrite each other. */
function checkRows(kind: string, L: Dim, capacity: number, sequences: Type | undefined): void {
  if (sequences) expectType(`${kind}: sequences`, sequences, [L], "uint32")
  else if (typeof L === "number" && L > capacity) throw new GraphError(`${kind}: ${L} rows into ${capacity} slots`)
}

/** Keys and values, an operation each for the dot product and the sum: of every slot, or of the window. */
function attentionFlops({ window }: Visible, { keys }: Cached, queryElements: number): number {
  const slots = upper(keys.shape[keys.shape.length - 3])
  return 4 * queryElements * Math.min(slots, window ?? slots)
}
