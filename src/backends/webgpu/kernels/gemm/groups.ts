import type { Operand } from "../../../../ir/program.js"
import { most, ofElements } from "../../bindable.js"
import { type Dispatch, dispatch, type KernelContext, reads, writes } from "../../dispatch.js"
import { type Groups, NONE } from "./product.js"

const THREADS = 256

/**
 * Sorts slots by expert on the device: each expert's slots fill whole tiles of `bm` rows, in any order, as no row of a
 * product depends on its neighbours. There are as many tiles as any choice of experts can need; those left over are NONE.
 *
 * @param ids uint32 [L, k]
 */
export function groupRows(
  ids: Operand,
  experts: number,
  bm: number,
  slotsPerRow: number,
  context: KernelContext,
): { groups: Groups; dispatch: Dispatch } {
  const tiles = ofElements(ids, (slots) => Math.min(slots, Math.floor(slots / bm) + experts))
  const operand = context.scratch("uint32", [most(tiles) * (1 + bm)])
  const sort = dispatch({
    label: `group ${experts} experts by ${bm}`,
    views: { ids: reads(ids, "u32"), out: writes(operand, "u32") },
    params: { slots: ofElements(ids, (slots) => slots), tiles },
    workgroups: [1, 1, 1],
    code: ({ ids, out }) => /* wgsl */ `
var<workgroup> counts: array<atomic<u32>, ${experts}>;
var<workgroup> first: array<u32, ${experts}>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lid: u32) {
  for (var i = lid; i < params.tiles * ${1 + bm}u; i += ${THREADS}u) { ${out.at("i")} = ${NONE}; }
  for (var i = lid; i < params.slots; i += ${THREADS}u) { atomicAdd(&counts[min(${ids.at("i")}, ${experts - 1}u)], 1u); }
  workgroupBarrier();
  for (var e = lid; e < ${experts}u; e += ${THREADS}u) {
    var tile = 0u;
    for (var before = 0u; before < e; before++) { tile += (atomicLoad(&counts[before]) + ${bm - 1}u) / ${bm}u; }
    first[e] = params.tiles + tile * ${bm}u;
    let end = tile + (atomicLoad(&counts[e]) + ${bm - 1}u) / ${bm}u;
    for (; tile < end; tile++) { ${out.at("tile")} = e; }
  }
  storageBarrier();
  workgroupBarrier();
  for (var e = lid; e < ${experts}u; e += ${THREADS}u) { atomicStore(&counts[e], 0u); }
  workgroupBarrier();
  for (var i = lid; i < params.slots; i += ${THREADS}u) {
    let e = min(${ids.at("i")}, ${experts - 1}u);
    ${out.at("first[e] + atomicAdd(&counts[e], 1u)")} = i;
  }
}`,
  })
  return { groups: { operand, tiles, experts, slotsPerRow }, dispatch: sort }
}
