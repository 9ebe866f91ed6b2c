import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import type { Storage } from "../tensor/storage.js"
import type { KernelKind, KernelOf, KernelOp } from "./ops.js"

/** Memory a program touches. Offsets and lengths in bytes. */
export type ProgramBuffer =
  | { readonly kind: "storage"; readonly storage: Storage; readonly access: "read" | "write" }
  | { readonly kind: "input"; readonly name: string; readonly dtype: DType; readonly byteLength: number }
  | { readonly kind: "arena"; readonly byteLength: number } // the scratch memory of all intermediate values

/** A strided window of a buffer. `offset` in bytes; `strides` in elements. */
export interface Operand {
  readonly buffer: number
  readonly offset: number
  readonly shape: Shape
  readonly strides: readonly number[]
  readonly dtype: DType
}

/**
 * One kernel launch. Only weight operands (weight, scales, biases, bias) may be strided in their outer axes, and the
 * input of `copy`, the operands of `binary` in any axis; every other operand is contiguous. The output of `kv_append`
 * and `assign` is their first input, updated in place; `rope_attention` updates its caches beside giving a result.
 */
export interface Instruction {
  readonly op: KernelOp
  readonly inputs: readonly Operand[]
  readonly output: Operand
}

export type InstructionOf<K extends KernelKind> = Instruction & { readonly op: KernelOf<K> }

/** A compiled graph, independent of any device: what to run, in order, on which bytes. */
export interface Program {
  readonly buffers: readonly ProgramBuffer[]
  readonly instructions: readonly Instruction[]
  /** Where the outputs land, in the order they were asked for. */
  readonly results: readonly Storage[]
}
