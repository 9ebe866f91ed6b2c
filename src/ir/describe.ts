import { itemSize } from "../tensor/dtype.js"
import { sizeOf } from "../tensor/shape.js"
import { largest, upper } from "./dim.js"
import { last } from "./expect.js"
import type { Indices, OpSpec, Tolerance } from "./op_spec.js"
import { type AnyOperands, listOperands, type Roles } from "./operands.js"
import { type KernelKind, type KernelOp, OPERATIONS } from "./operations.js"
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

/** An operation with its operands and results: an instruction, or a node of the graph. */
export interface Applied<T extends Type> {
  readonly op: KernelOp
  readonly operands: AnyOperands<T>
  readonly results: Readonly<Record<string, T>>
}

/** Ids that an operation picks with, what they are, and how many there are to pick from. */
export interface Picks<T> {
  readonly ids: T
  readonly what: string
  readonly limit: number
  /** The operands that only chosen rows are read of. */
  readonly of: readonly string[]
  /** Whether they pick from a first axis, whose length may be told at each replay. */
  readonly ofRows: boolean
  /** Whether NO_INDEX is allowed, and picks nothing. */
  readonly skips: boolean
}

/** How operations of a kind pick by ids: not at all, mostly. */
export function indicesOf(op: { readonly kind: KernelKind }): readonly Indices<AnyOperands<Type>>[] {
  const { indices = [] } = specOf(op)
  return "operand" in indices ? [indices] : indices
}

/** What an operation picks by ids. */
export function picksOf<T extends Type>({ op, operands }: Applied<T>): Picks<T>[] {
  const { operands: roles } = specOf(op)
  return indicesOf(op).map(({ operand, what, of, axis, skips }) => {
    const [name] = of
    const { shape } = roles[name] === "weight" ? (operands[name] as WeightOf<T>).weight : (operands[name] as T)
    return {
      ids: operands[operand] as T,
      what,
      limit: axis === "last" ? last(shape) : upper(shape[0]),
      of,
      ofRows: axis !== "last",
      skips: skips === true || (skips !== undefined && operands[skips] !== undefined),
    }
  })
}

/** What running an operation takes, whatever runs it. */
export interface Work {
  /** Bytes that it reads and writes. */
  readonly bytes: number
  /** Those of them that it writes. */
  readonly written: number
  /** Floating-point operations of products and attention. */
  readonly flops: number
}

/** An estimate from shapes alone: of experts and embeddings it counts the chosen rows, of caches what full page tables see. */
export function workOf<T extends Type>(applied: Applied<T>): Work {
  const { op, operands, results } = applied
  const spec = specOf(op)
  const writes = writesOf(op)
  const [picks] = picksOf(applied)
  const fresh = Object.keys(results).filter((name) => !(name in writes))
  // An update alone writes what it is given, and reads nothing of the state.
  const updated = fresh.length === 0 ? Object.values(writes) : []
  const written = updated.length > 0 ? byteLength(operands.x as T) : total(fresh.map((name) => results[name]))
  const parts: Readonly<Record<string, number | undefined>> = spec.reads?.(op, operands) ?? {}
  let bytes = written
  for (const { name, component, operand } of listOperands(spec.operands, operands)) {
    if (updated.includes(name)) continue
    const isChosen = component !== "value" && picks?.of.includes(name)
    const share = isChosen ? Math.min(1, sizeOf(largest(picks.ids.shape)) / picks.limit) : (parts[name] ?? 1)
    bytes += byteLength(operand) * share
  }
  return { bytes, written, flops: spec.flops?.(op, operands) ?? 0 }
}

function total(types: readonly Type[]): number {
  return types.reduce((sum, type) => sum + byteLength(type), 0)
}

function byteLength({ shape, dtype }: Type): number {
  return sizeOf(largest(shape)) * itemSize(dtype)
}
