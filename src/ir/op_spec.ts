import type { Type, WeightOf } from "./type.js"

/**
 * What an operand is: a value, one that may be left out, a state (memory that lives from replay to replay), one weight or
 * several.
 */
export type Role = "value" | "optional" | "state" | "weight" | "weights"

type RoleOf<V> = undefined extends V
  ? "optional"
  : V extends readonly unknown[]
    ? "weights"
    : V extends WeightOf<unknown>
      ? "weight"
      : "value" | "state"

/**
 * How exact a backend has to be: `exact` moves bits or counts, `float` rounds single operations, `product` sums many and may
 * take its inputs in fewer bits, `attention` likewise over caches. See `Backend.tolerance`.
 */
export type Tolerance = "exact" | "float" | "product" | "attention"

/** The operand with ids, what they are, and what they pick from: rows of weights or values, or elements of a last axis. */
export interface Indices<O> {
  readonly operand: keyof O & string
  readonly what: string
  readonly of: readonly (keyof O & string)[]
  /** Elements of the last axis; the first axis, rows or experts, unless said. */
  readonly axis?: "last"
  /** Whether NO_INDEX may stand among them and picks nothing: always, or where that operand is given. Else it is refused. */
  readonly skips?: true | (keyof O & string)
}

/**
 * What an operation is, said once: the builder, the passes' bookkeeping, the memory plan, placement, the checks of ids, the
 * conformance suite and the table in docs/operations.md read it here.
 *
 * `A` are its attributes, `O` its operands by name, `R` the names of its results.
 */
export interface OpSpec<A, O, R extends string> {
  /** What it computes, with shapes. `L` is the number of rows (tokens); floats are float32 unless said otherwise. */
  readonly summary: string
  readonly operands: { readonly [N in keyof O]-?: RoleOf<O[N]> }
  /** The types of its results. @throws GraphError when operands do not fit */
  readonly infer: (op: A, operands: O) => { readonly [N in R]: Type }
  /** The results that are states, updated in place, and which operands those are. */
  readonly writes?: { readonly [N in R]?: keyof O & string }
  /** Operands that a kernel takes in any strides; weights may always be strided in their outer axes. */
  readonly strided?: readonly (keyof O & string)[]
  readonly indices?: Indices<O> | readonly Indices<O>[]
  /** The part that is read of operands of which not all is; all of the others. */
  readonly reads?: (op: A, operands: O) => { readonly [N in keyof O]?: number }
  /** Floating-point operations of products and attention; none by default. */
  readonly flops?: (op: A, operands: O) => number
  readonly tolerance: Tolerance
}

/** A description of some operation: what every one of them has. */
export interface SomeSpec {
  readonly summary: string
  readonly operands: Readonly<Record<string, Role>>
  readonly infer: (op: never, operands: never) => Readonly<Record<string, Type>>
  readonly tolerance: Tolerance
}

/** Keeps the three parts for the compiler. */
export function spec<A, O, R extends string>(of: OpSpec<A, O, R>): OpSpec<A, O, R> {
  return of
}
