import type { OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import { NO_INDEX } from "../../../../ir/specs/rows.js"
import { BackendError } from "../../../backend.js"
import { ofRows } from "../../bindable.js"
import {
  type Dispatch,
  dispatch,
  grid,
  type KernelContext,
  reads,
  type View,
  workgroupIndex,
  writes,
} from "../../dispatch.js"
import { searchTokens } from "./search.js"
import {
  LANES,
  largestAt,
  PARAMETERS,
  readRow,
  type RowLayout,
  rowLayout,
  SEARCHES,
  tokenKeys,
  tokenViews,
  WEIGHING,
} from "./tokens.js"

/** A row's ids are told apart by three digits of 8 bits at most: see search.ts. */
const MOST_TOKENS = 2 ** 24

const ENTRY = `@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = ${workgroupIndex};
  if (group >= params.groups) { return; }`

type Operands = OperandsOf<"sample", Operand>

/**
 * In three dispatches, none of which depends on what lies beside a row: the largest logit of each share of a row; a
 * histogram of the row, to begin the first search with; and one workgroup per row, that ends it and searches on. So all that
 * reads whole rows is spread over the device, but for one look for the candidates of `top_k` and `top_p`.
 */
export function sample(
  _: unknown,
  operands: Operands,
  { ids }: { ids: Operand },
  { scratch }: KernelContext,
): Dispatch[] {
  const { logits } = operands
  const [W, n] = logits.shape
  if (n > MOST_TOKENS) throw new BackendError(`webgpu: sample takes up to ${MOST_TOKENS} tokens, found ${n}`)
  const layout = rowLayout(n)
  const shared = scratch("uint32", [W, layout.stride])
  return [
    largestOf(operands, shared, layout),
    firstSums(operands, shared, layout),
    searchTokens(operands, ids, shared, layout),
  ]
}

/** A workgroup per share. The first of a row also brings the row's parameters together, for devices of few bindings. */
function largestOf(operands: Operands, shared: Operand, layout: RowLayout) {
  return dispatch({
    label: "sample largest",
    views: <Record<string, View>>{
      ...tokenViews(operands),
      ...Object.fromEntries(PARAMETERS.map((name) => [name, reads(operands[name], "u32")])),
      shared: writes(shared, "u32"),
    },
    params: { groups: ofRows(operands.logits, (W) => W * layout.shares), ...layout },
    workgroups: ofRows(operands.logits, (W) => grid(W * layout.shares)),
    code: (v) => /* wgsl */ `${tokenKeys(v.logits, v.mask)}
var<workgroup> best: atomic<u32>;
var<workgroup> first: atomic<u32>;
${ENTRY}
  let row = group / params.shares;
  let share = group % params.shares;
  let at = row * params.stride;
  if (lid == 0u) { atomicStore(&first, ${NO_INDEX}u); }
  let begin = share << params.share_bits;
  let end = min(begin + (1u << params.share_bits), params.n);
  var key = 0u;
  var id = begin;
  for (var i = begin + lid; i < end; i += ${LANES}u) {
    let own = token_key(row, i);
    if (own > key) { key = own; id = i; }
  }
  atomicMax(&best, key);
  workgroupBarrier();
  let most = atomicLoad(&best);
  if (key == most) { atomicMin(&first, id); }
  workgroupBarrier();
  if (lid == 0u) {
    ${v.shared.at(largestAt("row", "share"))} = most;
    ${v.shared.at(`${largestAt("row", "share")} + 1u`)} = atomicLoad(&first);
  }
  if (share > 0u) { return; }
  if (lid == 0u) {
    ${PARAMETERS.map((name, i) => `${v.shared.at(`at + ${i}u`)} = ${v[name].at("row")};`).join("\n    ")}
  }
  let sums_at = at + params.sums;
  ${v.shared.at("sums_at + lid")} = 0u;
  ${v.shared.at(`sums_at + ${LANES}u + lid`)} = 0u;
}`,
  })
}

/**
 * The histogram that the first search begins with, of all shares together: by how far a token is below the most likely one;
 * or, to draw a token where nothing is cut, by share.
 */
function firstSums(operands: Operands, shared: Operand, layout: RowLayout) {
  return dispatch({
    label: "sample sums",
    views: <Record<string, View>>{ ...tokenViews(operands), shared: writes(shared, "atomic<u32>") },
    params: { groups: ofRows(operands.logits, (W) => W * layout.shares), ...layout },
    workgroups: ofRows(operands.logits, (W) => grid(W * layout.shares)),
    code: (v) => /* wgsl */ `${tokenKeys(v.logits, v.mask)}${WEIGHING}${SEARCHES}
${readRow((i) => `atomicLoad(&${v.shared.at(i)})`)}
var<workgroup> low: array<atomic<u32>, ${LANES}>;
var<workgroup> high: array<atomic<u32>, ${LANES}>;
fn add(bin: u32, sum: vec2u) {
  let before = atomicAdd(&low[bin], sum.x);
  let carried = sum.y + select(0u, 1u, before + sum.x < before);
  if (carried > 0u) { atomicAdd(&high[bin], carried); }
}
${ENTRY}
  let index = group / params.shares;
  let share = group % params.shares;
  let row = read_row(index, lid);
  var goal = DRAW;
  if (is_searched(row, TOP_P)) { goal = TOP_P; }
  if (is_searched(row, TOP_K)) { goal = TOP_K; }
  let begin = share << params.share_bits;
  let end = select(begin, min(begin + (1u << params.share_bits), params.n), is_searched(row, DRAW));
  // Neighbours of one bin are added up before they are added to it.
  var bin = 0u;
  var sum = vec2u();
  for (var id = begin + lid; id < end; id += ${LANES}u) {
    let key = token_key(index, id);
    if (key == 0u) { continue; }
    let amount = amount_of(row, goal, key);
    if (amount == 0u) { continue; }
    let own = select(u32(fall(row, key) * 8.0), share, goal == DRAW);
    if (own != bin) {
      add(bin, sum);
      bin = own;
      sum = vec2u();
    }
    sum = plus(sum, vec2u(amount, 0u));
  }
  if (any(sum != vec2u())) { add(bin, sum); }
  workgroupBarrier();
  let own = vec2u(atomicLoad(&low[lid]), atomicLoad(&high[lid]));
  if (all(own == vec2u())) { return; }
  let to = index * params.stride + params.sums + 2u * lid;
  let before = atomicAdd(&${v.shared.at("to")}, own.x);
  atomicAdd(&${v.shared.at("to + 1u")}, own.y + select(0u, 1u, before + own.x < before));
}`,
  })
}
