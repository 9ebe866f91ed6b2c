import { BackendError } from "../../backend.js"
import type { KernelOf, OperandsOf } from "../../../ir/operations.js"
import type { BinaryFn } from "../../../ir/specs/elementwise.js"
import type { Operand } from "../../../ir/program.js"
import { ofElements } from "../bindable.js"
import { type Dispatch, dispatch, grid, reads, workgroupIndex, writes } from "../dispatch.js"
import { gluFunction } from "../wgsl/glu.js"
import { type StridedLoop, stridedIndices, stridedLoop, strideParams } from "../wgsl/strides.js"

const SIZE = 256

const ENTRY = `@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = ${workgroupIndex} * ${SIZE}u + lid;
  if (i >= params.n) { return; }`

const BINARY: Record<BinaryFn, string> = {
  add: "a + b",
  subtract: "a - b",
  multiply: "a * b",
  divide: "a / b",
  maximum: "max(a, b)",
  minimum: "min(a, b)",
}

export function binary(
  { fn }: Pick<KernelOf<"binary">, "fn">,
  { a, b }: OperandsOf<"binary", Operand>,
  { y: output }: { y: Operand },
): Dispatch[] {
  if (a.dtype !== "float32") {
    throw new BackendError(`webgpu: ${fn} is computed in float32, found ${a.dtype}: cast the operands`)
  }
  const loop: StridedLoop = stridedLoop(output.shape, [a, b])
  return [
    dispatch({
      label: `binary ${fn}`,
      views: { a: reads(a, "f32"), b: reads(b, "f32"), out: writes(output, "f32") },
      params: { n: ofElements(output, (n) => n), ...strideParams(loop) },
      workgroups: ofElements(output, (n) => grid(Math.ceil(n / SIZE))),
      code: (v) => /* wgsl */ `
${ENTRY}
  ${stridedIndices(loop, "i", ["ia", "ib"])}
  let a = ${v.a.at("ia")};
  let b = ${v.b.at("ib")};
  ${v.out.at("i")} = ${BINARY[fn]};
}`,
    }),
  ]
}

export function glu(
  { activation }: Pick<KernelOf<"glu">, "activation">,
  { gate, up }: OperandsOf<"glu", Operand>,
  { y: output }: { y: Operand },
): Dispatch[] {
  return [
    dispatch({
      label: "glu",
      views: { gate: reads(gate, "f32"), up: reads(up, "f32"), out: writes(output, "f32") },
      params: { n: ofElements(output, (n) => n) },
      workgroups: ofElements(output, (n) => grid(Math.ceil(n / SIZE))),
      code: (v) => /* wgsl */ `${gluFunction(activation)}
${ENTRY}
  ${v.out.at("i")} = glu(${v.gate.at("i")}, ${v.up.at("i")});
}`,
    }),
  ]
}

export function weightedSum(
  _: unknown,
  { x, weights }: OperandsOf<"weighted_sum", Operand>,
  { y: output }: { y: Operand },
): Dispatch[] {
  const [, k, N] = x.shape
  return [
    dispatch({
      label: "weighted_sum",
      views: { x: reads(x, "f32"), weights: reads(weights, "f32"), out: writes(output, "f32") },
      params: { n: ofElements(output, (n) => n), k, N },
      workgroups: ofElements(output, (n) => grid(Math.ceil(n / SIZE))),
      code: (v) => /* wgsl */ `
${ENTRY}
  let row = i / params.N;
  var sum = 0.0;
  for (var j = 0u; j < params.k; j++) {
    let slot = row * params.k + j;
    sum += ${v.weights.at("slot")} * ${v.x.at("slot * params.N + i % params.N")};
  }
  ${v.out.at("i")} = sum;
}`,
    }),
  ]
}

export function takeAlongAxis(
  _: unknown,
  { x, indices }: OperandsOf<"take_along_axis", Operand>,
  { y: output }: { y: Operand },
): Dispatch[] {
  const length = x.shape[x.shape.length - 1]
  return [
    dispatch({
      label: "take_along_axis",
      views: { x: reads(x, "u32"), indices: reads(indices, "u32"), out: writes(output, "u32") },
      params: { n: ofElements(output, (n) => n), length, k: indices.shape[indices.shape.length - 1] },
      workgroups: ofElements(output, (n) => grid(Math.ceil(n / SIZE))),
      code: (v) => /* wgsl */ `
${ENTRY}
  let index = min(${v.indices.at("i")}, params.length - 1u);
  ${v.out.at("i")} = ${v.x.at("(i / params.k) * params.length + index")};
}`,
    }),
  ]
}
