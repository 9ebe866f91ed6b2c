import { readFileSync } from "node:fs"
import { apply, constant, copy, slice, state } from "../../graph/build.js"
import type { Value } from "../../graph/ir.js"
import type { DType } from "../../tensor/dtype.js"
import type { Shape } from "../../tensor/shape.js"
import type { KernelKind, KernelOp } from "../ops.js"
import { storageOf } from "./random.test.helper.js"
import type { Case, Result } from "./run.test.helper.js"

interface StoredArray {
  readonly dtype: DType
  readonly shape: Shape
  /** base64 */
  readonly bytes: string
  /** The operand is this view of the array. */
  readonly slice?: { readonly start: Shape; readonly step: Shape }
}

/** A case of tools/reference/kernel_vectors.py. */
interface Vector {
  readonly name: string
  readonly op: KernelOp
  readonly operands: readonly StoredArray[]
  readonly result: StoredArray
  /** How far off the truth itself may be; 0 where it was computed in float64. */
  readonly tolerance?: number
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL("../../../src/backends/conformance/fixtures/kernel_vectors.json", import.meta.url), "utf8"),
)

/** A case with the result that transformers, torch or MLX got. */
export interface TrueCase extends Case {
  readonly expected: Result
  readonly tolerance: number
}

const bytes = (base64: string) => Uint8Array.from(Buffer.from(base64, "base64"))

function operand({ dtype, shape, bytes: data, slice: view }: StoredArray, isState: boolean): Value {
  const storage = storageOf("a vector", dtype, shape, bytes(data))
  const whole = isState ? state(storage) : constant(storage)
  return view ? slice(whole, view.start, shape, view.step) : whole
}

function typed({ dtype, bytes: data }: StoredArray): Result {
  if (dtype === "float32") return new Float32Array(bytes(data).buffer)
  return dtype === "uint32" ? new Uint32Array(bytes(data).buffer) : bytes(data)
}

/** The recorded cases of a kernel. */
export function trueCases(kind: KernelKind): TrueCase[] {
  return vectors
    .filter(({ op }) => op.kind === kind)
    .map(({ name, op, operands, result, tolerance = 0 }) => {
      const inputs = operands.map((array, i) => operand(array, op.kind === "kv_append" && i === 0))
      const output = op.kind === "copy" ? copy(inputs[0], result.dtype) : apply(op, inputs)
      return { name, outputs: [output], expected: typed(result), tolerance }
    })
}
