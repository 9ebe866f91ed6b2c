import { BackendError } from "../../backend.js"
import type { BinaryFn } from "../../../ir/specs/elementwise.js"
import type { Operand } from "../../../ir/program.js"
import { ofElements } from "../bindable.js"
import { type Dispatch, reads, type View, writes } from "../dispatch.js"
import { glu as gluFunction } from "../wgsl/glu.js"
import { stridedIndices, stridedLoop, strideParams } from "../wgsl/strides.js"
import { perThread } from "./per_thread.js"
import type { Planner } from "./planner.js"

const elements = (x: Operand) => ofElements(x, (n) => n)

const BINARY: Record<BinaryFn, string> = {
  add: "a + b",
  subtract: "a - b",
  multiply: "a * b",
  divide: "a / b",
  maximum: "max(a, b)",
  minimum: "min(a, b)",
}

export const binary: Planner<"binary"> = ({ fn }, { a, b }, { y }) => {
  if (a.dtype !== "float32") {
    throw new BackendError(`webgpu: ${fn} is computed in float32, found ${a.dtype}: cast the operands`)
  }
  const loop = stridedLoop(y.shape, [a, b])
  return [
    perThread({
      label: `binary ${fn}`,
      views: { a: reads(a, "f32"), b: reads(b, "f32"), out: writes(y, "f32") },
      params: strideParams(loop),
      n: elements(y),
      body: ({ a, b, out }) => `${stridedIndices(loop, "i", ["ia", "ib"])}
  let a = ${a.at("ia")};
  let b = ${b.at("ib")};
  ${out.at("i")} = ${BINARY[fn]};`,
    }),
  ]
}

export const glu: Planner<"glu"> = ({ activation }, { gate, up }, { y }) => [
  perThread({
    label: "glu",
    views: { gate: reads(gate, "f32"), up: reads(up, "f32"), out: writes(y, "f32") },
    n: elements(y),
    uses: [gluFunction(activation)],
    body: ({ gate, up, out }) => `${out.at("i")} = glu(${gate.at("i")}, ${up.at("i")});`,
  }),
]

export const weightedSum: Planner<"weighted_sum"> = (_, { x, weights }, { y }) => [sumOfSlots(x, weights, null, y)]

/** Sums over `j` of `weights[l, j] * x[l, j]` for x `[L, k, N]`, added to the residual `[L, N]` if there is one. */
export function sumOfSlots(x: Operand, weights: Operand, residual: Operand | null, out: Operand): Dispatch {
  const [, k, N] = x.shape
  return perThread({
    label: `weighted sum${residual ? ", residual" : ""}`,
    views: <Record<string, View>>{
      x: reads(x, "f32"),
      weights: reads(weights, "f32"),
      ...(residual && { residual: reads(residual, "f32") }),
      out: writes(out, "f32"),
    },
    n: elements(out),
    body: ({ x, weights, residual, out }) => `let row = i / ${N}u;
  var sum = 0.0;
  for (var j = 0u; j < ${k}u; j++) {
    sum += ${weights.at(`row * ${k}u + j`)} * ${x.at(`(row * ${k}u + j) * ${N}u + i % ${N}u`)};
  }
  ${out.at("i")} = ${residual ? `${residual.at("i")} + ` : ""}sum;`,
  })
}

export const takeAlongAxis: Planner<"take_along_axis"> = (_, { x, indices }, { y }) => [
  perThread({
    label: "take_along_axis",
    views: { x: reads(x, "u32"), indices: reads(indices, "u32"), out: writes(y, "u32") },
    params: { length: x.shape[x.shape.length - 1], k: indices.shape[indices.shape.length - 1] },
    n: elements(y),
    body: ({ x, indices, out }) => `let index = min(${indices.at("i")}, params.length - 1u);
  ${out.at("i")} = ${x.at("(i / params.k) * params.length + index")};`,
  }),
]
