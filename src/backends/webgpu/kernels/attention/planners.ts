import type { KernelOf } from "../../../ops.js"
import type { Operand } from "../../../program.js"
import type { Dispatch, KernelContext } from "../../dispatch.js"
import { append } from "./append.js"
import { fewRows } from "./few_rows.js"
import { attentionOf } from "./problem.js"

export function attention(
  op: KernelOf<"attention">,
  [q, keys, values, positions, ...tail]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const of = attentionOf(op, [positions, keys, values, ...tail], output)
  return fewRows(of, { x: q, rotate: null, append: false }, context)
}

/** A single row appends and attends in one dispatch; of several, one may see another, so all are appended first. */
export function ropeAttention(
  op: KernelOf<"rope_attention">,
  [qkv, positions, frequencies, keys, values, ...tail]: readonly Operand[],
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const of = attentionOf(op, [positions, keys, values, ...tail], output)
  const rotate = { frequencies, scale: op.rope_scale }
  if (of.rows === 1) return fewRows(of, { x: qkv, rotate, append: true }, context)
  return [append(of, qkv, rotate, null), ...fewRows(of, { x: qkv, rotate, append: false }, context)]
}
