import type { OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import { NO_INDEX } from "../../../../ir/specs/rows.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, grid, type View, workgroupIndex, writes } from "../../dispatch.js"
import { LANES, largestAt, readRow, type RowLayout, SEARCHES, tokenKeys, tokenViews, WEIGHING } from "./tokens.js"

/** Tokens that a lane asks for at a time: memory is far away. */
const AHEAD = 8

/**
 * One workgroup per row. Its three questions are one: which token is the first, in some order, at which the running sum of
 * some amounts reaches a target? `top_k` counts tokens and `top_p` adds masses, likeliest first and lower ids first among
 * equals; and the token drawn is where the masses of what they keep, by id, exceed a share of them all.
 *
 * A token's place in the order is a number of 8 digits: 0, how far it is below the most likely one, coarsely; 1 to 4, the
 * bits of its key; 5 to 7, those of its id. A histogram by one digit, of the tokens that have the digits found before, tells
 * the next (radix select). The coarse digit spreads tokens evenly over the bins, which floats' exponents would not; and once
 * it is known, what can still be kept is few tokens, usually, and listed.
 */
export function searchTokens(
  operands: OperandsOf<"sample", Operand>,
  ids: Operand,
  shared: Operand,
  layout: RowLayout,
): Dispatch {
  return dispatch({
    label: "sample search",
    views: <Record<string, View>>{ ...tokenViews(operands), shared: writes(shared, "u32"), ids: writes(ids, "u32") },
    params: { groups: ofRows(operands.logits, (W) => W), fine_bits: layout.share_bits - 8, ...layout },
    workgroups: ofRows(operands.logits, grid),
    code: (v) => /* wgsl */ `${tokenKeys(v.logits, v.mask)}${WEIGHING}${SEARCHES}
${readRow(v.shared.at)}
fn minus(a: vec2u, b: vec2u) -> vec2u { return vec2u(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }
fn is_less(a: vec2u, b: vec2u) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn least_of(a: vec2u, b: vec2u) -> vec2u { return select(b, a, is_less(a, b)); }
fn share_of(total: vec2u, part: f32) -> vec2u {
  let share = (f32(total.y) * 4294967296.0 + f32(total.x)) * max(part, 0.0);
  let high = u32(share / 4294967296.0);
  return vec2u(u32(max(share - f32(high) * 4294967296.0, 0.0)), high);
}

/** The digits found so far: the coarse one, the bits of the key turned over, those of the id. */
struct Place { coarse: u32, key: u32, id: u32 }
var<workgroup> place: Place;
/** What is kept: tokens before this one, and itself. */
var<workgroup> last_key: u32;
var<workgroup> last_id: u32;
var<workgroup> low: array<atomic<u32>, ${LANES}>;
var<workgroup> high: array<atomic<u32>, ${LANES}>;
var<workgroup> sums: array<vec2u, ${LANES}>;
/** What the sum over the tokens that have the digits found must reach. */
var<workgroup> target_sum: vec2u;
var<workgroup> goals: u32;
var<workgroup> first: atomic<u32>;
var<workgroup> count: atomic<u32>;
/** The tokens to look at are the first of the list, or all of the row. */
var<workgroup> size: u32;
var<workgroup> is_listed: u32;

fn coarse_of(row: Row, key: u32) -> u32 { return u32(min(fall(row, key) * 8.0, 255.0)); }
fn is_kept(key: u32, id: u32) -> bool { return key > last_key || (key == last_key && id <= last_id); }
fn digit_of(row: Row, level: u32, key: u32, id: u32) -> u32 {
  switch level {
    case 0u: { return coarse_of(row, key); }
    case 5u: { return id >> params.share_bits; }
    case 6u: { return (id >> params.fine_bits) & 255u; }
    case 7u: { return id & ((1u << params.fine_bits) - 1u); }
    default: { return (~key >> (32u - 8u * level)) & 255u; }
  }
}
// Whether a token has the digits found before this one.
fn is_there(row: Row, goal: u32, level: u32, key: u32, id: u32) -> bool {
  if (goal != DRAW && level > 0u) {
    if (level > 4u && ~key != place.key) { return false; }
    if (level > 1u && level <= 4u && (~key >> (40u - 8u * level)) != place.key) { return false; }
    if (coarse_of(row, key) != place.coarse) { return false; }
  }
  return (level != 6u || (id >> params.share_bits) == place.id) && (level != 7u || (id >> params.fine_bits) == place.id);
}

/** The ids and keys of ${AHEAD} tokens; no key where there is none. */
struct Tokens { ids: array<u32, ${AHEAD}>, keys: array<u32, ${AHEAD}> }
fn tokens_from(index: u32, start: u32, end: u32, listed: bool) -> Tokens {
  var tokens: Tokens;
  for (var j = 0u; j < ${AHEAD}u; j++) {
    let i = start + j * ${LANES}u;
    if (i < end) {
      var id = i;
      if (listed) { id = ${v.shared.at("index * params.stride + params.list + i")}; }
      tokens.ids[j] = id;
      tokens.keys[j] = token_key(index, id);
    }
  }
  return tokens;
}

fn add_up(row: Row, index: u32, goal: u32, level: u32, lid: u32) {
  atomicStore(&low[lid], 0u);
  atomicStore(&high[lid], 0u);
  workgroupBarrier();
  let listed = is_listed == 1u;
  var begin = 0u;
  var end = size;
  // Once digits of the id are known, ids from one to another are left.
  if (!listed && level > 5u) {
    let bits = select(params.share_bits, params.fine_bits, level == 7u);
    begin = place.id << bits;
    end = min(begin + (1u << bits), params.n);
  }
  for (var start = begin + lid; start < end; start += ${AHEAD * LANES}u) {
    var tokens = tokens_from(index, start, end, listed);
    for (var j = 0u; j < ${AHEAD}u; j++) {
      let key = tokens.keys[j];
      let id = tokens.ids[j];
      if (!is_kept(key, id) || !is_there(row, goal, level, key, id)) { continue; }
      let amount = amount_of(row, goal, key);
      if (amount == 0u) { continue; }
      let bin = digit_of(row, level, key, id);
      let before = atomicAdd(&low[bin], amount);
      if (before + amount < before) { atomicAdd(&high[bin], 1u); }
    }
  }
  workgroupBarrier();
  sums[lid] = vec2u(atomicLoad(&low[lid]), atomicLoad(&high[lid]));
}

fn run_up(lid: u32) {
  for (var step = 1u; step < ${LANES}u; step *= 2u) {
    workgroupBarrier();
    var sum = sums[lid];
    if (lid >= step) { sum = plus(sum, sums[lid - step]); }
    workgroupBarrier();
    sums[lid] = sum;
  }
  workgroupBarrier();
}

fn target_of(row: Row, goal: u32, total: vec2u) -> vec2u {
  let one = vec2u(1u, 0u);
  if (goal == TOP_K) { return least_of(vec2u(row.top_k, 0u), total); }
  if (goal == TOP_P) { return least_of(plus(share_of(minus(total, one), row.top_p), one), total); }
  return plus(least_of(share_of(total, row.uniform_number), minus(total, one)), one);
}

// The next digit is that of the one bin in which the sum reaches the target.
fn find(row: Row, level: u32, lid: u32) {
  // Should this pipeline round otherwise than the one of the first sums, the last bin with something in it is hit.
  let goal_sum = least_of(target_sum, sums[${LANES - 1}u]);
  var before = vec2u();
  if (lid > 0u) { before = sums[lid - 1u]; }
  let is_hit = is_less(before, goal_sum) && !is_less(sums[lid], goal_sum);
  workgroupBarrier();
  if (is_hit) {
    target_sum = minus(goal_sum, before);
    if (level == 0u) { place.coarse = lid; }
    if (level > 0u && level <= 4u) { place.key = (place.key << 8u) | lid; }
    if (level == 5u) { place.id = lid; }
    if (level == 6u) { place.id = (place.id << 8u) | lid; }
    if (level == 7u) { place.id = (place.id << params.fine_bits) | lid; }
  }
  workgroupBarrier();
}

// Lists what may be kept, if that is few enough.
fn gather(row: Row, index: u32, lid: u32) {
  let bound = place.coarse;
  if (lid == 0u) { atomicStore(&count, 0u); }
  workgroupBarrier();
  for (var start = lid; start < params.n; start += ${AHEAD * LANES}u) {
    var tokens = tokens_from(index, start, params.n, false);
    for (var j = 0u; j < ${AHEAD}u; j++) {
      let key = tokens.keys[j];
      if (!is_kept(key, tokens.ids[j]) || fall(row, key) >= DEAD || coarse_of(row, key) > bound) { continue; }
      let at = atomicAdd(&count, 1u);
      if (at < params.listed) { ${v.shared.at("index * params.stride + params.list + at")} = tokens.ids[j]; }
    }
  }
  storageBarrier();
  workgroupBarrier();
  if (lid == 0u && atomicLoad(&count) <= params.listed) {
    is_listed = 1u;
    size = atomicLoad(&count);
  }
  workgroupBarrier();
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let index = ${workgroupIndex};
  if (index >= params.groups) { return; }
  let row = read_row(index, lid);
  if (lid == 0u) {
    atomicStore(&first, ${NO_INDEX}u);
    goals = 0u;
    for (var goal = TOP_K; goal <= DRAW; goal++) { goals |= select(0u, 1u << goal, is_searched(row, goal)); }
    last_key = 1u;
    last_id = ${NO_INDEX}u;
    size = params.n;
    is_listed = 0u;
  }
  let wanted = workgroupUniformLoad(&goals);
  if (wanted == 0u) {
    let at = ${largestAt("index", "lid")};
    if (lid < params.shares && row.largest > 0u && row.largest != ILL && ${v.shared.at("at")} == row.largest) {
      atomicMin(&first, ${v.shared.at("at + 1u")});
    }
    workgroupBarrier();
    if (lid == 0u) { ${v.ids.at("index")} = atomicLoad(&first); }
    return;
  }
  var is_first = true;
  for (var goal = TOP_K; goal <= DRAW; goal++) {
    if ((wanted & (1u << goal)) == 0u) { continue; }
    if (lid == 0u) { place = Place(0u, 0u, 0u); }
    let begin = select(0u, 5u, goal == DRAW);
    for (var level = begin; level < 8u; level++) {
      if (is_first) {
        let at = index * params.stride + params.sums + 2u * lid;
        sums[lid] = vec2u(${v.shared.at("at")}, ${v.shared.at("at + 1u")});
        is_first = false;
      } else { add_up(row, index, goal, level, lid); }
      run_up(lid);
      if (level == begin) {
        if (lid == 0u) { target_sum = target_of(row, goal, sums[${LANES - 1}u]); }
        workgroupBarrier();
      }
      find(row, level, lid);
      if (level == 0u && workgroupUniformLoad(&is_listed) == 0u) { gather(row, index, lid); }
    }
    if (lid == 0u) {
      last_key = ~place.key;
      last_id = place.id;
    }
    workgroupBarrier();
  }
  if (lid == 0u) { ${v.ids.at("index")} = place.id; }
}`,
  })
}
