import { itemSize } from "../tensor/dtype.js"
import { sizeOf } from "../tensor/shape.js"
import type { OpSpec, Tolerance } from "./op_spec.js"
import { type AnyOperands, listOperands, type Roles } from "./operands.js"
import { type KernelKind, type KernelOp, OPERATIONS } from "./operations.js"
import type { Instruction, Operand } from "./program.js"
import type { Type, WeightOf } from "./type.js"

/** Questions about operations of any kind, answered from their descriptions. */

/** A description of whatever operation. */
type AnySpec = Omit<OpSpec<unknown, AnyOperands<Type>, string>, "operands"> & { readonly operands: Roles }

export function specOf({ kind }: { readonly kind: KernelKind }): AnySpec {
  return OPERATIONS[kind] as unknown as AnySpec
}

export function toleranceOf(kind: KernelKind): Tolerance {
  return OPERATIONS[kind].tolerance
}

/** Names of the operands that are updated in place, by the result they become. */
export function writesOf(op: { readonly kind: string }): Readonly<Record<string, string>> {
  const spec = (OPERATIONS as Record<string, unknown>)[op.kind] as AnySpec | undefined
  return (spec?.writes ?? {}) as Record<string, string>
}

/** Whether kernels take this operand in any strides. */
export function isStridedAnywhere(op: KernelOp, name: string): boolean {
  return specOf(op).strided?.includes(name) ?? false
}

/** Ids that an instruction picks with, what they are, and how many there are to pick from; null if it picks nothing. */
export interface Picks {
  readonly ids: Operand
  readonly what: string
  readonly limit: number
  /** The operands that only chosen rows are read of. */
  readonly of: readonly string[]
}

export function picksOf({ op, operands }: Instruction): Picks | null {
  const { indices, operands: roles } = specOf(op)
  if (!indices) return null
  const [name] = indices.of
  const isWeight = roles[name] === "weight"
  const limit = isWeight
    ? (operands[name] as WeightOf<Operand>).weight.shape[0]
    : (operands[name] as Operand).shape.at(-1)!
  return { ids: operands[indices.operand] as Operand, what: indices.what, limit, of: indices.of }
}

/** What running an instruction takes, whatever runs it. */
export interface Work {
  /** Bytes that it reads and writes. */
  readonly bytes: number
  /** Floating-point operations of products and attention. */
  readonly flops: number
}

/** An estimate from shapes alone: of experts and embeddings it counts the chosen rows, of caches every row. */
export function workOf(instruction: Instruction): Work {
  const { op, operands, results } = instruction
  const spec = specOf(op)
  const picks = picksOf(instruction)
  const written = Object.values(writesOf(op))
  const read = listOperands(spec.operands, operands).map(({ name, part, operand }) => {
    const isChosen = part !== "value" && picks?.of.includes(name)
    const share = isChosen ? Math.min(1, sizeOf(picks!.ids.shape) / picks!.limit) : 1
    return byteLength(operand) * share
  })
  const fresh = Object.entries(results).filter(([name]) => !(name in writesOf(op)))
  // Appends write what they are given, not the whole state.
  const isUpdate = fresh.length === 0
  const updated = isUpdate ? written.reduce((sum, name) => sum + byteLength(operands[name] as Operand), 0) : 0
  const given = isUpdate && "x" in operands ? byteLength(operands.x as Operand) : 0
  const bytes =
    read.reduce((sum, bytes) => sum + bytes, 0) -
    updated +
    given +
    fresh.reduce((sum, [, result]) => sum + byteLength(result), 0)
  return { bytes, flops: spec.flops?.(op, operands) ?? 0 }
}

function byteLength({ shape, dtype }: Type): number {
  return sizeOf(shape) * itemSize(dtype)
}
