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
import { LANES, largestAt, PARAMETERS, type RowLayout, rowLayout, tokenKeys, tokenViews } from "./tokens.js"

/** A row's ids are told apart by three digits of 8 bits at most: see search.ts. */
const MOST_TOKENS = 2 ** 24

const ENTRY = `@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = ${workgroupIndex};
  if (group >= params.groups) { return; }`

type Operands = OperandsOf<"sample", Operand>

/**
 * The largest logit of each share of a row; then a dispatch per digit of what its searches look for, which rows that need
 * none leave at once. All that reads tokens is spread over the device, and nothing depends on what lies beside a row.
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
  return [largestOf(operands, shared, layout), ...searchTokens(operands, ids, shared, layout)]
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
  // The histograms begin empty.
  for (var i = params.sums + share * ${LANES}u + lid; i < params.states; i += params.shares * ${LANES}u) {
    ${v.shared.at("at + i")} = 0u;
  }
  if (share == 0u && lid == 0u) {
    ${PARAMETERS.map((name, i) => `${v.shared.at(`at + ${i}u`)} = ${v[name].at("row")};`).join("\n    ")}
  }
}`,
  })
}
