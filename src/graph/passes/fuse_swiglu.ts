import { apply } from "../build.js"
import type { Value } from "../ir.js"
import { isPrivate, type Pass, type Readers, rewrite } from "../rewrite.js"

/** `swiglu(gather_matmul(x, gate), gather_matmul(x, up))` becomes one kernel that reads `x` and the expert ids once. */
export const fuseSwiglu: Pass = (roots) => rewrite(roots, fuse)

function fuse(value: Value, readers: Readers): Value | null {
  if (value.op.kind !== "swiglu") return null
  const [gate, up] = value.inputs
  if (gate.op.kind !== "gather_matmul" || up.op.kind !== "gather_matmul") return null
  const sameRows =
    gate.inputs[0] === up.inputs[0] && gate.inputs[1] === up.inputs[1] && gate.inputs[0].shape.length === 2
  if (!sameRows || !isPrivate(gate, readers) || !isPrivate(up, readers)) return null
  const { alpha, limit } = value.op
  return apply({ kind: "gather_swiglu", gate: gate.op.format, up: up.op.format, alpha, limit }, [
    ...gate.inputs,
    ...up.inputs.slice(2),
  ])
}
