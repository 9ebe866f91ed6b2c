import type { Quantization } from "../tensor/quantization.js"

/**
 * How a matmul weight is stored, which fixes its operands in this order:
 * dense `[weight]`; affine `[weight, scales, biases]`; mxfp4, mxfp8, nvfp4 `[weight, scales]`; then `[bias]` if `bias`.
 */
export interface WeightFormat {
  readonly quantization: Quantization | null
  readonly bias: boolean
}

export type UnaryFn = "neg" | "abs" | "exp" | "log" | "sqrt" | "rsqrt" | "sigmoid" | "silu"
export type BinaryFn = "add" | "subtract" | "multiply" | "divide" | "maximum" | "minimum"
export type ReduceFn = "sum" | "mean" | "max"

/** What `argmax` and `categorical` give for a row nobody can choose from: one with NaN or +Infinity, or -Infinity alone. */
export const NO_INDEX = 0xffffffff

/**
 * What a backend can run. `L` is the number of rows (tokens), float values are float32 unless cast, ids are uint32.
 * Weights may also be bfloat16 or float16, as stored; KV caches are float32 or float16, and appends round to that.
 * Operands are listed in order; `W...` stands for the operands of a WeightFormat.
 *
 * With `sequences`, here and in `rope_attention`, caches are `[S, capacity, H, D]` and a last operand `[L]` (uint32) says
 * which sequence each row belongs to; the rows of one sequence ascend in position.
 */
export type KernelOp =
  | FusedOp
  // Elementwise
  | { readonly kind: "copy" } // x -> contiguous, converted to the value's dtype
  | { readonly kind: "assign" } // state, x of the same shape and dtype -> the state, overwritten
  | { readonly kind: "unary"; readonly fn: UnaryFn } // x
  | { readonly kind: "binary"; readonly fn: BinaryFn } // a, b, with broadcasting
  // Over the last axis
  | { readonly kind: "reduce"; readonly fn: ReduceFn } // x [..., n] -> [...]
  | { readonly kind: "softmax" } // x
  | { readonly kind: "argmax" } // x [..., n] -> uint32 [...], ties to the lower index; else NO_INDEX
  | { readonly kind: "top_k"; readonly k: number } // x [..., n] -> uint32 [..., k], descending, ties to the lower index
  | { readonly kind: "take_along_axis" } // x [..., n], indices [..., k] -> [..., k]
  | { readonly kind: "categorical" } // logits [L, n], temperature [1], uniform [L] in [0, 1) -> uint32 [L], inverse CDF; else NO_INDEX
  // Lookup and products
  | { readonly kind: "embedding"; readonly format: WeightFormat } // ids [L], W [vocab, n] -> [L, n]
  | { readonly kind: "matmul"; readonly format: WeightFormat; readonly residual: boolean } // x [L, K], W [N, K](, residual [L, N]) -> [L, N]
  | { readonly kind: "gather_matmul"; readonly format: WeightFormat } // x [L, K] or [L, k, K], ids [L, k], W [E, N, K] -> [L, k, N]
  | {
      readonly kind: "gather_swiglu"
      readonly gate: WeightFormat
      readonly up: WeightFormat
      readonly alpha: number
      readonly limit: number
    } // fused: x [L, K], ids [L, k], Wgate..., Wup... -> [L, k, N]
  // Transformer
  | { readonly kind: "rms_norm"; readonly eps: number } // x [..., n], weight [n]
  | { readonly kind: "rope"; readonly scale: number } // x [L, H, D], positions [L], inv_freq [D / 2]; halves rotated; cos and sin times scale
  | { readonly kind: "kv_append"; readonly sequences?: boolean } // cache [capacity, H, D] (state), x [L, H, D], positions [L] -> the cache, slot = position % capacity
  | {
      readonly kind: "attention"
      readonly scale: number
      readonly window: number | null
      readonly sinks: boolean
      readonly sequences?: boolean
    } // q [L, Hq, D], keys, values [capacity, Hkv, D], positions [L](, sinks [Hq]) -> [L, Hq, D]
  | { readonly kind: "swiglu"; readonly alpha: number; readonly limit: number } // gate, up
  | { readonly kind: "weighted_sum" } // x [L, k, N], weights [L, k] -> [L, N]

/** Larger operations, which passes make for the backends that ask for them: see `Backend.fusions`. */
export type FusedOp =
  | { readonly kind: "norm_matmul"; readonly eps: number; readonly formats: readonly WeightFormat[] } // x [L, K], norm weight [K], W... [N_i, K] of each format -> [L, sum of N_i], the products side by side
  | { readonly kind: "route"; readonly eps: number; readonly k: number; readonly format: WeightFormat } // x [L, K], norm weight [K], W [E, K] -> uint32 [2, L, k]: ids of the k largest logits of the norm's rows, then the bits of the float32 softmax over those k
  | {
      readonly kind: "norm_gather_swiglu"
      readonly eps: number
      readonly gate: WeightFormat
      readonly up: WeightFormat
      readonly alpha: number
      readonly limit: number
    } // x [L, K], norm weight [K], ids [L, k], Wgate..., Wup... -> [L, k, N]
  | { readonly kind: "gather_matmul_sum"; readonly format: WeightFormat } // x [L, k, K], ids [L, k], W... [E, N, K], weights [L, k], residual [L, N] -> [L, N]
  | {
      readonly kind: "rope_attention"
      readonly rope_scale: number
      readonly scale: number
      readonly window: number | null
      readonly sinks: boolean
      readonly sequences: boolean
    } // qkv [L, (Hq + 2 Hkv) * D], positions [L], inv_freq [D / 2], keys, values [capacity, Hkv, D] (states, appended to)(, sinks [Hq])(, sequences [L]) -> [L, Hq, D]

export type FusedKind = FusedOp["kind"]

export const FUSED_KINDS: readonly FusedKind[] = [
  "norm_matmul",
  "route",
  "norm_gather_swiglu",
  "gather_matmul_sum",
  "rope_attention",
]

export function isFused(kind: KernelKind): kind is FusedKind {
  return FUSED_KINDS.some((fused) => fused === kind)
}

export type KernelKind = KernelOp["kind"]
export type KernelOf<K extends KernelKind> = Extract<KernelOp, { kind: K }>

export type OperandRole = "value" | "weight" | "scales" | "biases" | "bias"

/** The operands of a weight, in order. */
export function weightRoles({ quantization, bias }: WeightFormat): OperandRole[] {
  const roles: OperandRole[] = ["weight"]
  if (quantization) roles.push("scales")
  if (quantization?.mode === "affine") roles.push("biases")
  if (bias) roles.push("bias")
  return roles
}

/** What each of an operation's `count` operands is. */
export function operandRoles(op: KernelOp, count: number): OperandRole[] {
  const roles: OperandRole[] = ["value"]
  if (op.kind === "embedding" || op.kind === "matmul") roles.push(...weightRoles(op.format))
  if (op.kind === "gather_matmul" || op.kind === "gather_matmul_sum") roles.push("value", ...weightRoles(op.format))
  if (op.kind === "gather_swiglu") roles.push("value", ...weightRoles(op.gate), ...weightRoles(op.up))
  if (op.kind === "norm_matmul") roles.push("value", ...op.formats.flatMap(weightRoles))
  if (op.kind === "route") roles.push("value", ...weightRoles(op.format))
  if (op.kind === "norm_gather_swiglu") roles.push("value", "value", ...weightRoles(op.gate), ...weightRoles(op.up))
  while (roles.length < count) roles.push("value")
  return roles
}

/** Which operands an operation writes in place. They are states. */
export function writtenOperands({ kind }: { readonly kind: string }): readonly number[] {
  if (kind === "kv_append" || kind === "assign") return [0]
  return kind === "rope_attention" ? [3, 4] : []
}
