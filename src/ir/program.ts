import type { DType } from "../tensor/dtype.js"
import type { Storage } from "../tensor/storage.js"
import type { AnyOperands } from "./operands.js"
import type { KernelKind, KernelOf, OperandsOf, ResultsOf } from "./operations.js"
import type { Shape } from "../tensor/shape.js"
import type { Sym } from "./dim.js"

/** Memory a program touches. Offsets and lengths in bytes. */
export type ProgramBuffer =
  | { readonly kind: "storage"; readonly storage: Storage; readonly access: "read" | "write" }
  | {
      readonly kind: "input"
      readonly name: string
      readonly dtype: DType
      /** At most. */
      readonly byteLength: number
      /** What the length of its leading axis tells. */
      readonly rows?: Sym
    }
  | { readonly kind: "arena"; readonly byteLength: number } // the scratch memory of all intermediate values

/** A strided window of a buffer. `offset` in bytes; `strides` in elements. */
export interface Operand {
  readonly buffer: number
  /** Of the largest window. */
  readonly shape: Shape
  /** What tells the length of the leading axis at each replay; undefined where the shape does. */
  readonly rows?: Sym
  readonly dtype: DType
  readonly offset: number
  readonly strides: readonly number[]
}

/**
 * One kernel launch. Weights may be strided in their outer axes, and where the operation's description says so other
 * operands in any axis; the rest is contiguous. Results that the description says are written are the operands themselves.
 */
export interface InstructionOf<K extends KernelKind> {
  readonly op: KernelOf<K>
  readonly operands: OperandsOf<K, Operand>
  readonly results: ResultsOf<K, Operand>
}

/** Any of them, without its kind's names. */
export interface Instruction {
  readonly op: KernelOf<KernelKind>
  readonly operands: AnyOperands<Operand>
  readonly results: Readonly<Record<string, Operand>>
}

export function isKind<K extends KernelKind>(
  instruction: Instruction | undefined,
  kind: K,
): instruction is Instruction & InstructionOf<K> {
  return instruction?.op.kind === kind
}

/** A compiled graph, independent of any device: what to run, in order, on which bytes. */
export interface Program {
  readonly buffers: readonly ProgramBuffer[]
  readonly instructions: readonly Instruction[]
  /** Where the outputs land, in the order they were asked for. */
  readonly results: readonly Storage[]
}
