import { readFileSync } from "node:fs"
import { apply, constant, slice, state } from "../../../src/graph/build.js"
import { specOf } from "../../../src/ir/describe.js"
import type { AnyOperands } from "../../../src/ir/operands.js"
import type { KernelKind, KernelOf } from "../../../src/ir/operations.js"
import type { WeightOf } from "../../../src/ir/type.js"
import type { Value } from "../../../src/ir/value.js"
import type { DType } from "../../../src/tensor/dtype.js"
import type { Shape } from "../../../src/tensor/shape.js"
import { storageOf, type WeightFormat } from "./random.js"
import type { Case, Result } from "./run.js"

interface StoredArray {
  readonly dtype: DType
  readonly shape: Shape
  /** base64 */
  readonly bytes: string
  /** The operand is this view of the array. */
  readonly slice?: { readonly start: Shape; readonly step: Shape }
}

/** A case of tools/reference/kernel_vectors.py. Its operands stand in the order of the operation's description. */
interface Vector {
  readonly name: string
  /** The operation, and for each weight its format: `format`, or `gate` and `up`. */
  readonly op: { readonly kind: KernelKind } & Readonly<Record<string, unknown>>
  readonly operands: readonly StoredArray[]
  readonly result: StoredArray
  /** How far off the truth itself may be; 0 where it was computed in float64. */
  readonly tolerance?: number
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL("../../../../test/backends/conformance/fixtures/kernel_vectors.json", import.meta.url), "utf8"),
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

/** The operands by name. */
function named(op: Vector["op"], values: Value[]): AnyOperands<Value> {
  const next = (isPresent: boolean) => (isPresent ? values.shift() : undefined)
  const weight = ({ quantization, bias }: WeightFormat): WeightOf<Value> => ({
    quantization,
    weight: values.shift()!,
    scales: next(quantization !== null),
    biases: next(quantization?.mode === "affine"),
    bias: next(bias),
  })
  return Object.fromEntries(
    Object.entries(specOf(op).operands).map(([name, role]) => [
      name,
      role === "weight" ? weight((op[name] ?? op.format) as WeightFormat) : values.shift(),
    ]),
  )
}

/** The recorded cases of a kernel. */
export function trueCases(kind: KernelKind): TrueCase[] {
  return vectors
    .filter(({ op }) => op.kind === kind)
    .map(({ name, op, operands, result, tolerance = 0 }) => {
      const roles = Object.values(specOf(op).operands)
      const values = operands.map((array, i) => operand(array, roles[i] === "state"))
      const applied = apply({ dtype: result.dtype, ...op } as KernelOf<"copy">, named(op, values) as { x: Value })
      return { name, outputs: [Object.values(applied)[0]], expected: typed(result), tolerance }
    })
}
