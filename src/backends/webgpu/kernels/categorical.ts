import type { OperandsOf } from "../../../ir/operations.js"
import { NO_INDEX } from "../../../ir/specs/rows.js"
import type { Operand } from "../../../ir/program.js"
import { ofRows } from "../bindable.js"
import {
  type Accessor,
  type Dispatch,
  dispatch,
  grid,
  type KernelContext,
  reads,
  workgroupIndex,
  writes,
} from "../dispatch.js"
import { RANKED } from "../wgsl/ranked.js"
import { HIGHEST, LOWEST, reductions } from "../wgsl/reduce.js"

const THREADS = 256

/** Elements of a share, at least. A row has at most THREADS shares: one scan finds the one that is hit. */
const SHARE = 2048

/** Inclusive sums over the workgroup's lanes. */
const SCAN = /* wgsl */ `
var<workgroup> scanned: array<f32, ${THREADS}>;
fn scan(value: f32, lid: u32) {
  var sum = value;
  scanned[lid] = sum;
  for (var step = 1u; step < ${THREADS}u; step *= 2u) {
    workgroupBarrier();
    if (lid >= step) { sum += scanned[lid - step]; }
    workgroupBarrier();
    scanned[lid] = sum;
  }
  workgroupBarrier();
}
var<workgroup> hit: atomic<u32>;
var<workgroup> possible: atomic<u32>;
// The first lane with a value whose sum exceeds the target; rounding may leave none, then the last with a value.
fn find(target_sum: f32, value: f32, lid: u32) -> u32 {
  if (lid == 0u) { atomicStore(&hit, ${THREADS}u); atomicStore(&possible, 0u); }
  workgroupBarrier();
  if (value > 0.0) {
    if (scanned[lid] > target_sum) { atomicMin(&hit, lid); }
    atomicMax(&possible, lid);
  }
  workgroupBarrier();
  let found = atomicLoad(&hit);
  let fallback = atomicLoad(&possible);
  workgroupBarrier();
  return select(found, fallback, found == ${THREADS}u);
}`

/**
 * Draws by the inverse of the cumulative distribution: every share of a row leaves its largest value and its sum of
 * exponentials; then one workgroup per row finds the share that is hit and scans it. Whether the row can be chosen from
 * shows in its largest value: see {@link RANKED}.
 */
export function categorical(
  _: unknown,
  { logits, temperature, uniform }: OperandsOf<"categorical", Operand>,
  { ids: output }: { ids: Operand },
  { features, scratch }: KernelContext,
): Dispatch[] {
  const [L, n] = logits.shape
  const share = Math.max(SHARE, Math.ceil(n / THREADS))
  const shares = Math.ceil(n / share)
  const partial = scratch("float32", [L, shares, 2])
  const reduce = reductions(features, THREADS, ["max", "sum"])
  const functions = /* wgsl */ `${reduce.functions}${RANKED}
fn weight_of(value: f32, largest: f32, temperature: f32) -> f32 {
  return exp(max(value - largest, -200.0 * temperature) / temperature);
}`
  const weightAt = (v: Record<"logits", Accessor>, i: string) =>
    `weight_of(ranked(${v.logits.at(i)}), largest, temperature)`
  const entry = (builtins: string) => `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32${builtins}) {
  let group = ${workgroupIndex};
  if (group >= params.groups) { return; }`
  const common = { n, share, shares }
  return [
    dispatch({
      label: "categorical shares",
      views: { logits: reads(logits, "u32"), temperature: reads(temperature, "f32"), partial: writes(partial, "f32") },
      params: { groups: ofRows(logits, (L) => L * shares), ...common },
      enable: reduce.enable,
      workgroups: ofRows(logits, (L) => grid(L * shares)),
      code: (v) => /* wgsl */ `${functions}
${entry(reduce.builtins)}
  let temperature = ${v.temperature.at("0u")};
  let row = (group / params.shares) * params.n;
  let begin = (group % params.shares) * params.share;
  let end = min(begin + params.share, params.n);
  var own = ${LOWEST};
  for (var i = begin + lid; i < end; i += ${THREADS}u) { own = max(own, ranked(${v.logits.at("row + i")})); }
  let largest = ${reduce.max("own")};
  var sum = 0.0;
  for (var i = begin + lid; i < end; i += ${THREADS}u) { sum += ${weightAt(v, "row + i")}; }
  let total = ${reduce.sum("sum")};
  if (lid == 0u) {
    ${v.partial.at("2u * group")} = largest;
    ${v.partial.at("2u * group + 1u")} = total;
  }
}`,
    }),
    dispatch({
      label: "categorical draw",
      views: {
        logits: reads(logits, "u32"),
        temperature: reads(temperature, "f32"),
        uniform: reads(uniform, "f32"),
        partial: reads(partial, "f32"),
        out: writes(output, "u32"),
      },
      params: { groups: ofRows(logits, (L) => L), ...common },
      enable: reduce.enable,
      workgroups: ofRows(logits, grid),
      code: (v) => /* wgsl */ `${functions}${SCAN}
${entry(reduce.builtins)}
  let temperature = ${v.temperature.at("0u")};
  let row = group * params.n;
  var own = ${LOWEST};
  var weight = 0.0;
  if (lid < params.shares) {
    own = ${v.partial.at("2u * (group * params.shares + lid)")};
    weight = ${v.partial.at("2u * (group * params.shares + lid) + 1u")};
  }
  let largest = ${reduce.max("own")};
  weight *= weight_of(own, largest, temperature);
  scan(weight, lid);
  let goal = ${v.uniform.at("group")} * scanned[${THREADS - 1}u];
  let chosen = find(goal, weight, lid);
  var before = 0.0;
  if (chosen > 0u) { before = scanned[chosen - 1u]; }
  workgroupBarrier();
  // Each lane takes neighbours, so that lanes' sums are in the order of the row.
  let each = (params.share + ${THREADS - 1}u) / ${THREADS}u;
  let end = min((chosen + 1u) * params.share, params.n);
  let begin = min(chosen * params.share + lid * each, end);
  let stop = min(begin + each, end);
  var sum = 0.0;
  for (var i = begin; i < stop; i++) { sum += ${weightAt(v, "row + i")}; }
  scan(sum, lid);
  let lane = find(goal - before, sum, lid);
  if (lid == lane) {
    var reached = before;
    if (lane > 0u) { reached += scanned[lane - 1u]; }
    var index = begin;
    for (var i = begin; i < stop; i++) {
      let p = ${weightAt(v, "row + i")};
      if (p > 0.0) { index = i; }
      reached += p;
      if (reached > goal) { break; }
    }
    ${v.out.at("group")} = select(index, ${NO_INDEX}u, largest >= ${HIGHEST} || largest <= ${LOWEST});
  }
}`,
    }),
  ]
}
