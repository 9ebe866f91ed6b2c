import { componentsOf } from "../../../ir/operands.js"
import type { OperandsOf } from "../../../ir/operations.js"
import type { Operand } from "../../../ir/program.js"
import { ofRows } from "../bindable.js"
import {
  type Dispatch,
  dispatch,
  extentBytes,
  grid,
  type KernelContext,
  partOfWeight,
  reads,
  type View,
  workgroupIndex,
  writes,
} from "../dispatch.js"
import { reductions } from "../wgsl/reduce.js"
import { weightReader } from "../wgsl/weights.js"
import { glu } from "./elementwise.js"
import { BUILTINS } from "./per_thread.js"
import type { Planner } from "./planner.js"

const THREADS = 64

/** Rows of x that a decoded weight row serves. */
const TILE = 4

const ENTRY = (threads: number, builtins = "") => `
@compute @workgroup_size(${threads})
fn main(${BUILTINS}${builtins}) {`

/**
 * `x W^T` for any format, sizes and strides, a workgroup per weight row and {@link TILE} rows of x: the kernel of last
 * resort. Rows of the output may lie apart.
 */
export function anyMatmul(
  { x, weight, residual }: OperandsOf<"matmul", Operand>,
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const [, K] = x.shape
  const tiles = (L: number) => Math.ceil(L / TILE)
  const reduce = reductions(context.features, THREADS, ["sum"])
  return context.ranges(componentsOf(weight)).map((range) => {
    const part = partOfWeight(weight, range)
    const reader = weightReader("w", part, K)
    const views: Record<string, View> = {
      x: reads(x, "f32"),
      ...reader.views,
      out: writes(output, "f32"),
      ...(residual && { residual: reads(residual, "f32") }),
    }
    return dispatch({
      label: `matmul ${reader.name}, any size`,
      views,
      params: {
        L: ofRows(x, (L) => L),
        N: output.strides[0],
        first: range.start,
        count: range.count,
        groups: ofRows(x, (L) => range.count * tiles(L)),
        ...reader.params,
      },
      uses: [...reader.uses, ...reduce.uses],
      workgroups: ofRows(x, (L) => grid(range.count * tiles(L))),
      bytes: componentsOf(part).reduce((sum, operand) => sum + extentBytes(operand), 0),
      code: (v) => /* wgsl */ `${reader.functions(v)}
fn x_eight(l: u32, k: u32) -> Eight {
  let at = min(l, params.L - 1u) * params.w_K;
  let last = params.w_K - 1u;
  return Eight(
    vec4f(${[0, 1, 2, 3].map((i) => v.x.at(`at + min(k + ${i}u, last)`)).join(", ")}),
    vec4f(${[4, 5, 6, 7].map((i) => v.x.at(`at + min(k + ${i}u, last)`)).join(", ")}),
  );
}
${ENTRY(THREADS, reduce.builtins)}
  let group = ${workgroupIndex};
  if (group >= params.groups) { return; }
  let n = group % params.count;
  let l = (group / params.count) * ${TILE}u;
  var sums: array<f32, ${TILE}>;
  for (var k = 8u * lid; k < params.w_K; k += ${8 * THREADS}u) {
    for (var i = 0u; i < ${TILE}u; i++) {
      if (l + i < params.L) { sums[i] += w_dot(0u, n, k, x_eight(l + i, k)); }
    }
  }
  for (var i = 0u; i < ${TILE}u; i++) {
    let sum = ${reduce.sum("sums[i]")};
    if (lid == 0u && l + i < params.L) {
      let at = (l + i) * params.N + params.first + n;
      ${v.out.at("at")} = sum + w_bias(0u, n)${residual ? ` + ${v.residual.at("at")}` : ""};
    }
  }
}`,
    })
  })
}

/** The products of rows with their experts, for any format, sizes and strides: a workgroup per slot and weight row. */
export function anyGatherMatmul(
  { x, ids, weight }: OperandsOf<"gather_matmul", Operand>,
  output: Operand,
  context: KernelContext,
): Dispatch[] {
  const [, k] = ids.shape
  const [E, N] = weight.weight.shape
  const K = x.shape[x.shape.length - 1]
  const reduce = reductions(context.features, THREADS, ["sum"])
  return context.ranges(componentsOf(weight)).map((range) => {
    const part = partOfWeight(weight, range)
    const reader = weightReader("w", part, K)
    const views: Record<string, View> = {
      x: reads(x, "f32"),
      ids: reads(ids, "u32"),
      ...reader.views,
      out: writes(output, "f32"),
    }
    return dispatch({
      label: `gather_matmul ${reader.name}, any size`,
      views,
      params: {
        N,
        experts: E,
        first: range.start,
        count: range.count,
        per_row: x.shape.length === 3 ? 1 : k,
        groups: ofRows(ids, (L) => L * k * N),
        ...reader.params,
      },
      uses: [...reader.uses, ...reduce.uses],
      workgroups: ofRows(ids, (L) => grid(L * k * N)),
      code: (v) => /* wgsl */ `${reader.functions(v)}
${ENTRY(THREADS, reduce.builtins)}
  let group = ${workgroupIndex};
  if (group >= params.groups) { return; }
  let n = group % params.N;
  let slot = group / params.N;
  let e = min(${v.ids.at("slot")}, params.experts - 1u) - params.first;
  // An expert of another part of the weight wraps to beyond the count.
  let here = e < params.count;
  let row = (slot / params.per_row) * params.w_K;
  let last = params.w_K - 1u;
  var own = 0.0;
  if (here) {
    for (var k = 8u * lid; k < params.w_K; k += ${8 * THREADS}u) {
      let x = Eight(
        vec4f(${[0, 1, 2, 3].map((i) => v.x.at(`row + min(k + ${i}u, last)`)).join(", ")}),
        vec4f(${[4, 5, 6, 7].map((i) => v.x.at(`row + min(k + ${i}u, last)`)).join(", ")}),
      );
      own += w_dot(e, n, k, x);
    }
  }
  let sum = ${reduce.sum("own")};
  if (here && lid == 0u) { ${v.out.at("group")} = sum + w_bias(e, n); }
}`,
    })
  })
}

/** Gate and up into scratch memory, then the activation. */
export const anyGatherGlu: Planner<"gather_glu"> = ({ activation }, { x, ids, ...weights }, { y }, context) => {
  const [gate, up] = [0, 1].map(() => context.scratch("float32", y.shape, y.rows))
  return [
    ...anyGatherMatmul({ x, ids, weight: weights.gate }, gate, context),
    ...anyGatherMatmul({ x, ids, weight: weights.up }, up, context),
    ...glu({ kind: "glu", activation }, { gate, up }, { y }, context),
  ]
}

/** Rows of a table, decoded; ids beyond it read its last row. */
export const embedding: Planner<"embedding"> = (_, { ids, weight }, { y: output }, context) => {
  const [, n] = output.shape
  const size = 256
  const eights = Math.ceil(n / 8)
  return context.ranges(componentsOf(weight)).map((range) => {
    const reader = weightReader("w", partOfWeight({ ...weight, bias: undefined }, range), n)
    const views: Record<string, View> = { ids: reads(ids, "u32"), ...reader.views, out: writes(output, "f32") }
    return dispatch({
      label: `embedding ${reader.name}`,
      views,
      params: {
        L: ofRows(ids, (L) => L),
        eights,
        rows: weight.weight.shape[0],
        first: range.start,
        count: range.count,
        ...reader.params,
      },
      uses: reader.uses,
      workgroups: ofRows(ids, (L) => grid(Math.ceil((L * eights) / size))),
      code: (v) => /* wgsl */ `${reader.functions(v)}
${ENTRY(size)}
  let i = ${workgroupIndex} * ${size}u + lid;
  let l = i / params.eights;
  if (l >= params.L) { return; }
  let row = min(${v.ids.at("l")}, params.rows - 1u) - params.first;
  if (row >= params.count) { return; }
  let k = 8u * (i % params.eights);
  let values = w_eight(0u, row, k);
  for (var j = 0u; j < min(8u, params.w_K - k); j++) {
    ${v.out.at("l * params.w_K + k + j")} = select(values.hi[j & 3u], values.lo[j & 3u], j < 4u);
  }
}`,
    })
  })
}
