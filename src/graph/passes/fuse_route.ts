import { apply, bitcast, reshape, slice } from "../build.js"
import type { Value } from "../ir.js"
import { isPrivate, type Pass, type Readers, rewrite } from "../rewrite.js"

/**
 * The choice of experts, from the norm of the rows to the weights: `logits = matmul(rms_norm(x), W)`,
 * `ids = top_k(logits)`, `softmax(take_along_axis(logits, ids))`. The norm is computed once more where others read it
 * too: that is cheaper than a launch of its own.
 */
export const fuseRoute: Pass = (roots) => {
  const routes = new Map<Value, Value>() // by logits
  return rewrite(roots, (value, readers) => {
    const [input] = value.inputs
    if (value.op.kind === "top_k") {
      const route = routeOf(input, value.op.k, readers)
      if (!route) return null
      routes.set(input, route)
      return half(route, 0)
    }
    if (value.op.kind !== "softmax" || input.op.kind !== "take_along_axis") return null
    const route = routes.get(input.inputs[0])
    return route ? bitcast(half(route, 1), "float32") : null
  })
}

/** The operation for these logits, if they are read for the choice of experts only. */
function routeOf(logits: Value, k: number, readers: Readers): Value | null {
  if (logits.op.kind !== "matmul" || logits.op.residual) return null
  const [norm, ...weight] = logits.inputs
  if (norm.op.kind !== "rms_norm") return null
  const all = readers.get(logits)!
  const topK = all.find((reader) => typeof reader !== "string" && reader.op.kind === "top_k")
  const taken = all.find((reader) => typeof reader !== "string" && reader.op.kind === "take_along_axis")
  if (all.length !== 2 || !topK || !taken || typeof taken === "string") return null
  const [weights] = readers.get(taken)!
  const isChoice = taken.inputs[1] === topK && isPrivate(taken, readers)
  if (!isChoice || typeof weights === "string" || weights.op.kind !== "softmax") return null
  return apply({ kind: "route", eps: norm.op.eps, k, format: logits.op.format }, [...norm.inputs, ...weight])
}

/** One of the two `[L, k]` in a `route`. */
function half(route: Value, index: 0 | 1): Value {
  const [, L, k] = route.shape
  return reshape(slice(route, [index, 0, 0], [index + 1, L, k]), [L, k])
}
