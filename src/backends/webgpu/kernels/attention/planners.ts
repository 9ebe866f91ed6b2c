import type { KernelOf, OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import type { Dispatch, KernelContext } from "../../dispatch.js"
import { append } from "./append.js"
import { fewRows } from "./few_rows.js"
import { flash, mathFor } from "./flash.js"
import { type Attention, attentionOf, isShared } from "./problem.js"

/** Whether rows each stream the cache for themselves: more do where they are likely of sequences of their own. */
function isFew(of: Attention): boolean {
  return of.rows <= (isShared(of) ? 64 : 16)
}

export function attention(
  op: KernelOf<"attention">,
  operands: OperandsOf<"attention", Operand>,
  { y }: { y: Operand },
  context: KernelContext,
): Dispatch[] {
  const of = attentionOf(op, operands, y)
  const { q } = operands
  const math = isFew(of) ? null : mathFor(of, context)
  return math ? [flash(of, q, math)] : fewRows(of, { x: q, rotate: null, slots: null }, context)
}

/** A single row appends and attends in one dispatch; of several, one may see another, so all are appended first. */
export function ropeAttention(
  op: KernelOf<"rope_attention">,
  operands: OperandsOf<"rope_attention", Operand>,
  { y }: { y: Operand },
  context: KernelContext,
): Dispatch[] {
  const of = attentionOf(op, operands, y)
  const { qkv, inv_freq, slots } = operands
  const rotate = { frequencies: inv_freq, scale: op.rope_scale }
  if (of.rows === 1) return fewRows(of, { x: qkv, rotate, slots }, context)
  const math = isFew(of) ? null : mathFor(of, context)
  if (!math) return [append(of, qkv, slots, rotate, null), ...fewRows(of, { x: qkv, rotate, slots: null }, context)]
  const queries = context.scratch(math.enable.includes("f16") ? "float16" : "float32", y.shape)
  return [append(of, qkv, slots, rotate, queries), flash(of, queries, math)]
}
