import type { ReduceFn } from "../../../ir/specs/rows.js"
import type { Operand } from "../../../ir/program.js"
import { type Bindable, derive, ofElements } from "../bindable.js"
import {
  type Dispatch,
  dispatch,
  grid,
  type KernelContext,
  type Param,
  reads,
  type View,
  workgroupIndex,
  writes,
} from "../dispatch.js"
import { LOWEST, type ReductionFn, type Reductions, reductions } from "../wgsl/reduce.js"
import { BUILTINS } from "./per_thread.js"
import type { Planner } from "./planner.js"

const THREADS = 256

/** Rows of the last axis: how many, and how long. */
export function rowsOf(x: Operand): { rows: Bindable<number>; n: number } {
  const n = x.shape[x.shape.length - 1]
  return { rows: ofElements(x, (elements) => elements / n), n }
}

interface RowKernel<V extends string> {
  readonly label: string
  readonly views: Readonly<Record<V, View>>
  readonly params?: Readonly<Record<string, Param>>
  readonly uses: readonly ReductionFn[]
  /** WGSL, with `row`, its first element `at`, and `lid`. */
  readonly body: (views: Record<V, { at(i: string): string; load(i: string): string }>, reduce: Reductions) => string
}

/** One workgroup per row of `x`. */
function perRow<V extends string>(
  { label, views, params, uses, body }: RowKernel<V>,
  x: Operand,
  { features }: KernelContext,
): Dispatch[] {
  const { rows, n } = rowsOf(x)
  const reduce = reductions(features, THREADS, uses)
  return [
    dispatch<V>({
      label,
      views,
      params: { rows, n, ...params },
      uses: reduce.uses,
      workgroups: derive(rows, grid),
      code: (v) => /* wgsl */ `
@compute @workgroup_size(${THREADS})
fn main(${BUILTINS}${reduce.builtins}) {
  let row = ${workgroupIndex};
  if (row >= params.rows) { return; }
  let at = row * params.n;
  ${body(v, reduce)}
}`,
    }),
  ]
}

/** WGSL over the elements of a lane. */
const each = (body: string) => `for (var i = lid; i < params.n; i += ${THREADS}u) { ${body} }`

/** Finite, so that differences are: an infinity is further down than any exponential reaches. */
const finite = (value: string) => `max(${value}, ${LOWEST})`

export const reduce: Planner<"reduce"> = ({ fn }, { x }, { y }, context) => {
  const write: Record<ReduceFn, (r: Reductions) => string> = {
    sum: (r) => r.sum("own"),
    mean: (r) => `${r.sum("own")} / f32(params.n)`,
    max: (r) => r.max("own"),
  }
  return perRow(
    {
      label: `reduce ${fn}`,
      views: { x: reads(x, "f32"), out: writes(y, "f32") },
      uses: [fn === "max" ? "max" : "sum"],
      body: ({ x, out }, r) => `
  var own = ${fn === "max" ? x.at("at") : "0.0"};
  ${each(fn === "max" ? `own = max(own, ${x.at("at + i")});` : `own += ${x.at("at + i")};`)}
  let all = ${write[fn](r)};
  if (lid == 0u) { ${out.at("row")} = all; }`,
    },
    x,
    context,
  )
}

export const softmax: Planner<"softmax"> = (_, { x }, { y }, context) =>
  perRow(
    {
      label: "softmax",
      views: { x: reads(x, "f32"), out: writes(y, "f32") },
      uses: ["max", "sum"],
      body: ({ x, out }, r) => `
  var own = ${LOWEST};
  ${each(`own = max(own, ${x.at("at + i")});`)}
  let largest = ${r.max("own")};
  var sum = 0.0;
  ${each(`sum += exp(max(${finite(x.at("at + i"))} - largest, -200.0));`)}
  let total = ${r.sum("sum")};
  ${each(`${out.at("at + i")} = exp(max(${finite(x.at("at + i"))} - largest, -200.0)) / total;`)}`,
    },
    x,
    context,
  )

/** `x / sqrt(mean(x^2) + eps) * weight`, by rows. */
export const rmsNorm: Planner<"rms_norm"> = ({ eps }, { x, weight }, { y }, context) =>
  perRow(
    {
      label: "rms_norm",
      views: { x: reads(x, "f32"), weight: reads(weight, "u32"), out: writes(y, "f32") },
      params: { eps: { f32: eps } },
      uses: ["sum"],
      body: ({ x, weight, out }, r) => `
  var own = 0.0;
  ${each(`let v = ${x.at("at + i")}; own += v * v;`)}
  let inverse = inverseSqrt(${r.sum("own")} / f32(params.n) + params.eps);
  ${each(`${out.at("at + i")} = ${x.at("at + i")} * inverse * ${weight.load("i")};`)}`,
    },
    x,
    context,
  )
