import { BackendError } from "../../backend.js"
import type { UnaryFn } from "../../../ir/specs/elementwise.js"
import { ofElements } from "../bindable.js"
import { reads, writes } from "../dispatch.js"
import type { Declaration } from "../wgsl/declaration.js"
import { perThread } from "./per_thread.js"
import type { Planner } from "./planner.js"

/** Of a float `v` and its bits `b`, the result's bits: signs are bits, which no compiler may drop. */
const EXPRESSIONS: Record<UnaryFn, string> = {
  neg: "b ^ 0x80000000u",
  abs: "b & 0x7fffffffu",
  exp: "bitcast<u32>(exp(v))",
  log: "bitcast<u32>(log_near_1(raised(b)) - select(0.0, 16.635532, subnormal(b)))",
  sqrt: "bitcast<u32>(sqrt(raised(b)) * select(1.0, 0x1p-12f, subnormal(b)))",
  rsqrt: "bitcast<u32>(inverseSqrt(raised(b)) * select(1.0, 0x1p12f, subnormal(b)))",
  sigmoid: "bitcast<u32>(1.0 / (1.0 + exp(-v)))",
  silu: "bitcast<u32>(v / (1.0 + exp(-v)))",
}

/**
 * GPUs may flush subnormals, so those are read from their bits, times 2^24. Near 1 WGSL's log is off by up to 2^-21, more
 * than the logarithm itself: there 2 atanh(s), s = (v - 1) / (v + 1), by its series.
 */
const HELPERS: Declaration = {
  text: /* wgsl */ `
fn subnormal(b: u32) -> bool { return (b & 0x7f800000u) == 0u; }
fn raised(b: u32) -> f32 {
  if (subnormal(b)) { return f32(b & 0x7fffffu) * 0x1p-125f; }
  return bitcast<f32>(b);
}
fn log_near_1(v: f32) -> f32 {
  let d = v - 1.0;
  if (abs(d) >= 0.25) { return log(v); }
  let s = d / (2.0 + d);
  let t = s * s;
  return 2.0 * s * (1.0 + t * (1.0 / 3.0 + t * (0.2 + t * (1.0 / 7.0 + t / 9.0))));
}`,
}

export const unary: Planner<"unary"> = ({ fn }, { x }, { y }) => {
  if (x.dtype !== "float32") throw new BackendError(`webgpu: ${fn} takes float32, found ${x.dtype}: cast it`)
  return [
    perThread({
      label: `unary ${fn}`,
      views: { x: reads(x, "u32"), out: writes(y, "u32") },
      n: ofElements(y, (n) => n),
      uses: [HELPERS],
      body: ({ x, out }) => `let b = ${x.at("i")};
  let v = bitcast<f32>(b);
  ${out.at("i")} = ${EXPRESSIONS[fn]};`,
    }),
  ]
}
