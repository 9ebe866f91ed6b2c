import { fixed, largest } from "../../ir/dim.js"
import { sizeOf } from "../../tensor/shape.js"
import type { WeightOf } from "../../ir/type.js"
import { isNode, type NodeOf, producer, type Value } from "../../ir/value.js"
import { apply } from "../build.js"
import { isPrivate, type Pass, privateProducer, type Readers } from "../rewrite.js"

/**
 * Attention over rotated queries and caches that the same rows were just appended to, where queries, keys and values
 * are all that one `norm_matmul` gives. The appends happen inside.
 */
export const fuseRopeAttention: Pass = {
  name: "fuse_rope_attention",
  makes: "rope_attention",
  rule: () => (node, readers) => (isNode(node, "attention") ? fuse(node, readers) : null),
}

function fuse(attention: NodeOf<"attention">, readers: Readers): ReadonlyMap<Value, Value> | string {
  const { op, operands } = attention
  const { q, positions, sequences, tables } = operands
  const [keys, values] = [operands.keys, operands.values].map((cache) => appendOf(cache, readers))
  if (!keys || !values) return "the caches are not those that its rows are appended to, or read by others too"
  const [rotatedQ, rotatedK] = [q, keys.operands.x].map((x) => privateProducer(x, "rope", readers))
  if (!rotatedQ || !rotatedK) return "something stands between the rotation and the attention, or no rotation"
  const { slots } = keys.operands
  if (values.operands.slots !== slots) return "keys and values are appended in different slots"
  const { inv_freq } = rotatedQ.operands
  const isSame = (rope: NodeOf<"rope">) =>
    rope.operands.positions === positions && rope.operands.inv_freq === inv_freq && rope.op.scale === rotatedQ.op.scale
  if (!isSame(rotatedQ) || !isSame(rotatedK)) return "queries and keys are rotated in different ways"
  const qkv = sideBySide([rotatedQ.operands.x, rotatedK.operands.x, values.operands.x], readers)
  if (typeof qkv === "string") return qkv
  const { sinks } = operands
  const states = { keys: keys.operands.cache, values: values.operands.cache }
  const fused = apply(
    { ...op, kind: "rope_attention", rope_scale: rotatedQ.op.scale },
    { qkv, positions, inv_freq, slots, ...states, sequences, tables, sinks },
  )
  return new Map([
    [attention.results.y, fused.y],
    [operands.keys, fused.keys],
    [operands.values, fused.values],
  ])
}

/** The append that only the attention reads; it may be an effect beside. */
function appendOf(cache: Value, readers: Readers): NodeOf<"kv_append"> | null {
  const append = producer(cache, "kv_append")
  return append && readers.get(cache)!.filter((reader) => reader !== "effect").length === 1 ? append : null
}

/**
 * The `norm_matmul` whose products `parts` are, in their order, if they are all of them and nothing else reads them:
 * heads `[L, H, D]` of slices. Its weights are put into that order where the graph happened to have another.
 */
function sideBySide(parts: readonly Value[], readers: Readers): Value | string {
  const slices: { source: Value; start: number }[] = []
  for (const part of parts) {
    const [cut] = part.node.inputs
    if (part.node.op.kind !== "reshape" || cut.node.op.kind !== "slice") {
      return "something stands between the products and their heads, or they are no norm's products side by side"
    }
    if (!isPrivate(part, readers) || !isPrivate(cut, readers)) return "queries, keys or values are read by others too"
    slices.push({ source: cut.node.inputs[0], start: cut.node.op.start[1] })
  }
  const [{ source }] = slices
  const product = producer(source, "norm_matmul")
  if (!product || slices.some((slice) => slice.source !== source)) return "q, k and v are not products of one norm"
  if (readers.get(source)!.length !== parts.length) return "the norm has other products"
  const products = productsOf(product)
  const wanted = slices.map(({ start }) => products.find((one) => one.start === start))
  const isAll = products.length === parts.length && new Set(wanted).size === parts.length
  if (!isAll || wanted.some((one, i) => one?.N !== width(parts[i]))) {
    return "q, k and v are parts of the norm's products"
  }
  if (wanted.every((one, i) => one === products[i])) return source
  return apply(product.op, { ...product.operands, weights: wanted.map((one) => one!.weight) }).y
}

/** Elements of a row of heads `[L, H, D]`. */
function width({ shape }: Value): number {
  return sizeOf(largest(shape.slice(1)))
}

/** The products of a `norm_matmul`: the columns they start at, how many they have, and their weights. */
function productsOf({ operands }: NodeOf<"norm_matmul">): { weight: WeightOf<Value>; start: number; N: number }[] {
  let start = 0
  return operands.weights.map((weight) => {
    const N = fixed(weight.weight.shape[0], "the rows of a weight")
    const product = { weight, start, N }
    start += N
    return product
  })
}
