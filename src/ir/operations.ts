import type { OpSpec, SomeSpec } from "./op_spec.js"
import * as attention from "./specs/attention.js"
import * as elementwise from "./specs/elementwise.js"
import * as products from "./specs/products.js"
import * as rows from "./specs/rows.js"
import * as sampling from "./specs/sampling.js"
import type { Type, WeightOf } from "./type.js"

/** The operations that models are written in. */
const PRIMITIVES = {
  copy: elementwise.copy,
  unary: elementwise.unary,
  binary: elementwise.binary,
  glu: elementwise.glu,
  reduce: rows.reduce,
  softmax: rows.softmax,
  argmax: rows.argmax,
  top_k: rows.top_k,
  take_along_axis: rows.take_along_axis,
  take: rows.take,
  put: rows.put,
  adjust_logits: sampling.adjust_logits,
  sample: sampling.sample,
  rms_norm: rows.rms_norm,
  embedding: products.embedding,
  matmul: products.matmul,
  gather_matmul: products.gather_matmul,
  gather_glu: products.gather_glu,
  weighted_sum: products.weighted_sum,
  rope: attention.rope,
  kv_append: attention.kv_append,
  attention: attention.attention,
} as const satisfies Readonly<Record<string, SomeSpec>>

/** Larger ones, which passes make for the backends that ask for them: see `Backend.fusions`. */
const FUSIONS = {
  norm_matmul: products.norm_matmul,
  route: products.route,
  norm_gather_glu: products.norm_gather_glu,
  gather_matmul_sum: products.gather_matmul_sum,
  rope_attention: attention.rope_attention,
} as const satisfies Readonly<Record<string, SomeSpec>>

/** Every operation that a backend can run. */
export const OPERATIONS = { ...PRIMITIVES, ...FUSIONS } as const

type Operations = typeof OPERATIONS

export type KernelKind = keyof Operations
export type FusedKind = keyof typeof FUSIONS

export const FUSED_KINDS = Object.keys(FUSIONS) as FusedKind[]

export function isFused(kind: KernelKind): kind is FusedKind {
  return kind in FUSIONS
}

/** An operation with its attributes. */
export type KernelOf<K extends KernelKind> = {
  [P in K]: { readonly kind: P } & (Operations[P] extends OpSpec<infer A, infer _, infer __> ? A : never)
}[K]

export type KernelOp = KernelOf<KernelKind>

type Over<V, T> = V extends Type
  ? T
  : V extends WeightOf<Type>
    ? WeightOf<T>
    : V extends readonly WeightOf<Type>[]
      ? readonly WeightOf<T>[]
      : undefined

/** An operation's operands by name, each a T. */
export type OperandsOf<K extends KernelKind, T> =
  Operations[K] extends OpSpec<infer _, infer O, infer __> ? { readonly [N in keyof O]: Over<O[N], T> } : never

/** An operation's results by name, each a T. */
export type ResultsOf<K extends KernelKind, T> =
  Operations[K] extends OpSpec<infer _, infer __, infer R> ? { readonly [N in R]: T } : never
