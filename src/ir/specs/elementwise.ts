import type { GatedActivation } from "../activation.js"
import { type Dim, type Dims, formatDims, formatOther, sameDims } from "../dim.js"
import { expectType } from "../expect.js"
import { spec } from "../op_spec.js"
import { GraphError } from "../graph_error.js"
import type { Type } from "../type.js"
import type { DType } from "../../tensor/dtype.js"

export type UnaryFn = "neg" | "abs" | "exp" | "log" | "sqrt" | "rsqrt" | "sigmoid" | "silu"
export type BinaryFn = "add" | "subtract" | "multiply" | "divide" | "maximum" | "minimum"

export const copy = spec<{ readonly dtype: DType }, { x: Type }, "y">({
  summary: "x of any dtype, contiguous and converted to `dtype`",
  operands: { x: "value" },
  strided: ["x"],
  infer: ({ dtype }, { x }) => ({ y: { shape: x.shape, dtype } }),
  tolerance: "exact",
})

export const unary = spec<{ readonly fn: UnaryFn }, { x: Type }, "y">({
  summary: "fn(x), element by element, in x's dtype",
  operands: { x: "value" },
  infer: (_, { x }) => ({ y: x }),
  tolerance: "float",
})

export const binary = spec<{ readonly fn: BinaryFn }, { a: Type; b: Type }, "y">({
  summary: "fn(a, b), element by element, with NumPy's broadcasting; a, b and the result are of one dtype",
  operands: { a: "value", b: "value" },
  strided: ["a", "b"],
  infer: (_, { a, b }) => {
    if (a.dtype !== b.dtype) throw new GraphError(`binary: dtypes differ, ${a.dtype} and ${b.dtype}`)
    return { y: { shape: broadcastShapes(a.shape, b.shape), dtype: a.dtype } }
  },
  tolerance: "float",
})

export interface Glu {
  readonly activation: GatedActivation
}

export const glu = spec<Glu, { gate: Type; up: Type }, "y">({
  summary:
    "f(gate) * up, element by element, as `activation` (ir/activation.ts) has it: SwiGLU, GeGLU or gpt-oss's clamped SwiGLU",
  operands: { gate: "value", up: "value" },
  infer: (_, { gate, up }) => {
    expectType("glu: gate", gate, gate.shape, "float32")
    const fits = sameDims(gate.shape, up.shape) && up.dtype === "float32"
    if (!fits) expectType("glu: up", up, gate.shape, "float32")
    return { y: gate }
  },
  tolerance: "float",
})

/** NumPy's broadcasting of two shapes. @throws GraphError */
export function broadcastShapes(a: Dims, b: Dims): Dim[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1
    const y = b[axis - rank + b.length] ?? 1
    if (x !== y && x !== 1 && y !== 1) {
      throw new GraphError(`shapes ${formatDims(a)} and ${formatOther(b, a)} do not broadcast`)
    }
    return x === 1 ? y : x
  })
}
