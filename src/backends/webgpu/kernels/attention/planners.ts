import type { KernelOf, OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import type { Dispatch, KernelContext } from "../../dispatch.js"
import { append } from "./append.js"
import { appendCodes, rotateVectors } from "./append_codes.js"
import { cacheLayout } from "./cache_layout.js"
import type { Codes } from "./codes.js"
import { fewRows } from "./few_rows.js"
import { flash, mathFor } from "./flash.js"
import type { FlashMath } from "./flash_tile.js"
import { type Attention, attentionOf, isShared } from "./problem.js"
import type { Rotate } from "./rotated.js"

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
  if (!math) return fewRows(of, { x: q, rotate: null, slots: null }, context)
  if (!cacheLayout(of.keys, of.headDim).codes) return [flash(of, q, math)]
  const queries = queriesFor(of, math, context)
  return [rotateVectors(q, queries), flash(of, queries, math), rotateVectors(y, y)]
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
  const { codes } = cacheLayout(of.keys, of.headDim)
  const appended = (queries: Operand | null) =>
    codes ? appendRotated(codes, of, qkv, slots, rotate, queries) : append(of, qkv, slots, rotate, queries)
  const math = isFew(of) ? null : mathFor(of, context)
  if (!math) return [appended(null), ...fewRows(of, { x: qkv, rotate, slots: null }, context)]
  const queries = queriesFor(of, math, context)
  return [appended(queries), flash(of, queries, math), ...(codes ? [rotateVectors(y, y)] : [])]
}

/** Where queries are put for `math`. */
function queriesFor({ output }: Attention, { enable }: FlashMath, context: KernelContext): Operand {
  return context.scratch(enable.includes("f16") ? "float16" : "float32", output.shape, output.rows)
}

/** As `append`, into quantized caches. */
function appendRotated(
  codes: Codes,
  { heads, kvHeads, headDim, positions, keys, values }: Attention,
  x: Operand,
  slots: Operand,
  rotate: Rotate,
  queries: Operand | null,
): Dispatch {
  const rows = { x, first: queries ? 0 : heads, headDim, slots, positions, rotate }
  return appendCodes(codes, rows, [
    ...(queries ? [{ heads, isTurned: true, to: queries }] : []),
    { heads: kvHeads, isTurned: true, to: keys },
    { heads: kvHeads, isTurned: false, to: values },
  ])
}
