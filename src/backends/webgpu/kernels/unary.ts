import { sizeOf } from "../../../tensor/shape.js"
import type { KernelOf, UnaryFn } from "../../ops.js"
import type { Operand } from "../../program.js"
import { type Dispatch, dispatch, grid, reads, workgroupIndex, writes } from "../dispatch.js"

const EXPRESSIONS: Record<UnaryFn, string> = {
  neg: "-v",
  abs: "abs(v)",
  exp: "exp(v)",
  log: "log(v)",
  sqrt: "sqrt(v)",
  rsqrt: "inverseSqrt(v)",
  sigmoid: "1.0 / (1.0 + exp(-v))",
  silu: "v / (1.0 + exp(-v))",
}

const SIZE = 256

export function unary({ fn }: KernelOf<"unary">, [x]: readonly Operand[], output: Operand): Dispatch[] {
  const n = sizeOf(output.shape)
  return [
    dispatch({
      label: `unary ${fn}`,
      views: { x: reads(x, "f32"), out: writes(output, "f32") },
      params: { n },
      workgroups: grid(Math.ceil(n / SIZE)),
      code: ({ x, out }) => /* wgsl */ `
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = ${workgroupIndex} * ${SIZE}u + lid;
  if (i >= params.n) { return; }
  let v = ${x.at("i")};
  ${out.at("i")} = ${EXPRESSIONS[fn]};
}`,
    }),
  ]
}
