import { weightRoles } from "../../backends/ops.js"
import { apply } from "../build.js"
import type { Op, Value } from "../ir.js"
import { isPrivate, type Pass, type Readers, rewrite } from "../rewrite.js"

/**
 * Attention over rotated queries and caches that the same rows were just appended to, where queries, keys and values
 * are all that one `norm_matmul` gives. The appends happen inside, so they are no effects of their own any more.
 */
export const fuseRopeAttention: Pass = (roots) => {
  const absorbed = new Map<Value, Value>()
  const { outputs, effects } = rewrite(roots, (value, readers) => {
    const match = matchAttention(value, readers)
    if (!match) return null
    for (const append of match.appends) absorbed.set(append, match.fused)
    return match.fused
  })
  return { outputs, effects: [...new Set(effects.map((effect) => absorbed.get(effect) ?? effect))] }
}

function matchAttention(value: Value, readers: Readers): { fused: Value; appends: readonly Value[] } | null {
  const { op, inputs } = value
  if (op.kind !== "attention") return null
  const [rotatedQ, keys, values, positions, ...tail] = inputs
  const sequences = op.sequences ? tail[tail.length - 1] : undefined
  const appends = [keys, values]
  if (!appends.every((append) => isAppend(append, positions, sequences, readers))) return null
  const rotatedK = keys.inputs[1]
  if (rotatedQ.op.kind !== "rope" || rotatedK.op.kind !== "rope" || rotatedQ.op.scale !== rotatedK.op.scale) return null
  const [, , invFreq] = rotatedQ.inputs
  const sameRope = [rotatedQ, rotatedK].every(
    (rope) => rope.inputs[1] === positions && rope.inputs[2] === invFreq && isPrivate(rope, readers),
  )
  const qkv = sameRope ? sideBySide([rotatedQ.inputs[0], rotatedK.inputs[0], values.inputs[1]], readers) : null
  if (!qkv) return null
  const { scale, window, sinks } = op
  const fused = apply(
    { kind: "rope_attention", rope_scale: rotatedQ.op.scale, scale, window, sinks, sequences: sequences !== undefined },
    [qkv, positions, invFreq, keys.inputs[0], values.inputs[0], ...tail],
  )
  return { fused, appends }
}

/** An append of the rows that only their attention reads; it may be an effect beside. */
function isAppend(append: Value, positions: Value, sequences: Value | undefined, readers: Readers): boolean {
  const all = readers.get(append)!
  return (
    append.op.kind === "kv_append" &&
    append.inputs[2] === positions &&
    append.inputs[3] === sequences &&
    all.filter((reader) => reader !== "effect").length === 1
  )
}

type NormMatmul = Value & { op: Extract<Op, { kind: "norm_matmul" }> }

/**
 * The `norm_matmul` whose products `parts` are, in their order, if they are all of them and nothing else reads them:
 * heads `[L, H, D]` of slices. Its weights are put into that order where the graph happened to have another.
 */
function sideBySide(parts: readonly Value[], readers: Readers): Value | null {
  const slices: { source: Value; start: number }[] = []
  for (const part of parts) {
    const [cut] = part.inputs
    if (part.op.kind !== "reshape" || cut.op.kind !== "slice") return null
    if (!isPrivate(part, readers) || !isPrivate(cut, readers)) return null
    slices.push({ source: cut.inputs[0], start: cut.op.start[1] })
  }
  const [{ source }] = slices
  if (!isNormMatmul(source) || slices.some((slice) => slice.source !== source)) return null
  if (readers.get(source)!.length !== parts.length) return null
  const products = productsOf(source)
  const wanted = slices.map(({ start }) => products.find((product) => product.start === start))
  const isAll = products.length === parts.length && new Set(wanted).size === parts.length
  if (!isAll || wanted.some((product, i) => product?.N !== parts[i].shape[1] * parts[i].shape[2])) return null
  if (wanted.every((product, i) => product === products[i])) return source
  const formats = wanted.map((product) => product!.format)
  return apply({ ...source.op, formats }, [
    ...source.inputs.slice(0, 2),
    ...wanted.flatMap((product) => product!.operands),
  ])
}

function isNormMatmul(value: Value): value is NormMatmul {
  return value.op.kind === "norm_matmul"
}

/** The products of a `norm_matmul`: the columns they start at, how many they have, and their weights. */
function productsOf({ op, inputs }: NormMatmul) {
  let [at, start] = [2, 0]
  return op.formats.map((format) => {
    const operands = inputs.slice(at, at + weightRoles(format).length)
    const [N] = operands[0].shape
    const product = { format, operands, start, N }
    at += operands.length
    start += N
    return product
  })
}
