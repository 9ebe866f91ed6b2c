import { type Dim, fixed, largest, upper } from "../dim.js"
import { sizeOf } from "../../tensor/shape.js"
import { cacheDims, expectType, last } from "../expect.js"
import { spec } from "../op_spec.js"
import { GraphError } from "../graph_error.js"
import type { Type } from "../type.js"

/**
 * Attention and the pages it reads. A cache `[slots, heads, words]` holds a vector a slot and head: float32 or float16 elements, or
 * quantized in uint32 words (`tensor/kv_format.ts`). Position p of a sequence lies in slot
 * `tables[sequence, p / page_size] * page_size + p % page_size`; tables are `[sequences, pages]`, and entries that no row sees are
 * not read. Rows `[L]` each name their sequence, slot and position, in any order.
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

export const kv_append = spec<unknown, { cache: Type; x: Type; slots: Type }, "cache">({
  summary:
    "the cache [slots, heads, words] (float32, float16, or quantized in uint32) with rows x [L, H, D] in slots (uint32) [L], each its own",
  operands: { cache: "state", x: "value", slots: "value" },
  writes: { cache: "cache" },
  infer: (_, { cache, x, slots }) => {
    const [, heads] = cacheDims("kv_append", cache, last(x.shape))
    expectType("kv_append: x", x, [-1, heads, -1], "float32")
    expectType("kv_append: slots", slots, [x.shape[0]], "uint32")
    return { cache }
  },
  indices: { operand: "slots", what: "slot", of: ["cache"] },
  tolerance: "exact",
})

export interface Visible {
  /** Positions seen before and including a row's own; null for all. */
  readonly window: number | null
  /** Multiplies the dot products. */
  readonly scale: number
  /** Positions of a page. */
  readonly page_size: number
}

export interface Paged {
  positions: Type
  sequences: Type
  tables: Type
  keys: Type
  values: Type
  sinks?: Type
}

export const attention = spec<Visible, Paged & { q: Type }, "y">({
  summary:
    "causal attention of q [L, Hq, D] with grouped heads over the pages (uint32) tables [S, pages] of each row's sequence (uint32) [L], at positions (uint32) [L]; keys and values [slots, Hkv, words] float32, float16 or quantized; sinks [Hq] (any float dtype) join the softmax and bring no value -> [L, Hq, D]",
  operands: {
    q: "value",
    keys: "value",
    values: "value",
    positions: "value",
    sequences: "value",
    tables: "value",
    sinks: "optional",
  },
  infer: (_, operands) => {
    const { q } = operands
    expectType("attention: q", q, [-1, -1, -1], "float32")
    checkPages("attention", operands, q.shape[0], fixed(q.shape[1], "attention: heads"), last(q.shape))
    return { y: q }
  },
  reads: cachesRead,
  flops: (op, operands) => attentionFlops(op, operands, sizeOf(largest(operands.q.shape))),
  tolerance: "attention",
})

export const rope_attention = spec<
  Visible & { readonly rope_scale: number },
  Paged & { qkv: Type; inv_freq: Type; slots: Type },
  "y" | "keys" | "values"
>({
  summary:
    "queries, keys and values side by side, qkv [L, (Hq + 2 Hkv) * D]: queries and keys rotated at positions (uint32) [L], keys and values appended to the caches in slots (uint32) [L], then attention -> [L, Hq, D]",
  operands: {
    qkv: "value",
    positions: "value",
    inv_freq: "value",
    slots: "value",
    sequences: "value",
    tables: "value",
    keys: "state",
    values: "state",
    sinks: "optional",
  },
  writes: { keys: "keys", values: "values" },
  infer: (_, operands) => {
    const { qkv, inv_freq, keys, values, slots } = operands
    const D = 2 * last(inv_freq.shape)
    expectType("rope_attention: inv_freq", inv_freq, [-1], "float32")
    const [, kvHeads] = cacheDims("rope_attention", keys, D)
    expectType("rope_attention: qkv", qkv, [-1, -1], "float32")
    const [L] = qkv.shape
    const width = last(qkv.shape)
    const heads = width / D - 2 * kvHeads
    if (!Number.isInteger(heads) || heads < 1) {
      throw new GraphError(`rope_attention: rows of ${width} are not heads of ${D} with ${kvHeads} key-value heads`)
    }
    expectType("rope_attention: slots", slots, [L], "uint32")
    checkPages("rope_attention", operands, L, heads, D)
    return { y: { shape: [L, heads, D], dtype: "float32" }, keys, values }
  },
  indices: { operand: "slots", what: "slot", of: ["keys", "values"] },
  reads: cachesRead,
  flops: (op, operands) => {
    const { qkv, keys, inv_freq } = operands
    const D = 2 * last(inv_freq.shape)
    const kvHeads = fixed(keys.shape[1], "rope_attention: heads")
    return attentionFlops(op, operands, upper(qkv.shape[0]) * (last(qkv.shape) - 2 * kvHeads * D))
  },
  tolerance: "attention",
})

/** Each sequence's positions once, as many as its table has or its rows see. */
function cachesRead({ window, page_size }: Visible, { tables, positions, keys }: Paged) {
  const [sequences, pages] = tables.shape.map(upper)
  const seen = Math.min(pages * page_size, window === null ? Infinity : window - 1 + upper(positions.shape[0]))
  const share = Math.min(1, (sequences * seen) / upper(keys.shape[0]))
  return { keys: share, values: share }
}

function checkPages(kind: string, operands: Paged, L: Dim, heads: number, D: number): void {
  const { positions, sequences, tables, keys, values, sinks } = operands
  const [, kvHeads] = cacheDims(kind, keys, D)
  expectType(`${kind}: values`, values, keys.shape, keys.dtype)
  if (heads % kvHeads !== 0) {
    throw new GraphError(`${kind}: ${heads} query heads do not share ${kvHeads} key-value heads evenly`)
  }
  expectType(`${kind}: positions`, positions, [L], "uint32")
  expectType(`${kind}: sequences`, sequences, [L], "uint32")
  expectType(`${kind}: tables`, tables, [-1, -1], "uint32")
  if (sinks) expectType(`${kind}: sinks`, sinks, [heads])
}

/** Keys and values, an operation each for the dot product and the sum: of all positions that tables have room for, or of the window. */
function attentionFlops({ window, page_size }: Visible, { tables }: Paged, queryElements: number): number {
  const most = last(tables.shape) * page_size
  return 4 * queryElements * Math.min(most, window ?? most)
}
