import type { OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import { NO_INDEX } from "../../../../ir/specs/rows.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, grid, type View, workgroupIndex, writes } from "../../dispatch.js"
import {
  LANES,
  largestAt,
  readRow,
  type RowLayout,
  SEARCHES,
  STATE_WORDS,
  STEPS,
  tokenKeys,
  tokenViews,
  WEIGHING,
} from "./tokens.js"

/** Tokens that a lane asks for at a time: memory is far away. */
const AHEAD = 8

/**
 * Three questions that are one: which token is the first, in some order, at which the running sum of some amounts reaches a
 * target? `top_k` counts tokens and `top_p` adds masses, likeliest first and lower ids first among equals; and the token
 * drawn is where the masses of what they keep, by id, exceed a share of them all.
 *
 * A token's place in the order is a number of 7 digits: 0 to 3, the bits of its key; 4 to 6, those of its id. A histogram by
 * one digit, of the tokens that have the digits found before, tells the next (radix select). A dispatch per digit, a
 * workgroup per share: each reads the digit off the histogram of the dispatch before, and adds its tokens to the next one.
 * A last dispatch, of a workgroup per row, only reads.
 */
export function searchTokens(
  operands: OperandsOf<"sample", Operand>,
  ids: Operand,
  shared: Operand,
  layout: RowLayout,
): Dispatch[] {
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    const spread = step < STEPS ? layout.shares : 1
    return dispatch({
      label: "sample search",
      views: <Record<string, View>>{
        ...tokenViews(operands),
        shared: writes(shared, "atomic<u32>"),
        ids: writes(ids, "u32"),
      },
      params: {
        groups: ofRows(operands.logits, (W) => W * spread),
        step,
        spread,
        fine_bits: layout.share_bits - 8,
        ...layout,
      },
      workgroups: ofRows(operands.logits, (W) => grid(W * spread)),
      code: (v) => {
        const word = (i: string) => `atomicLoad(&${v.shared.at(i)})`
        return /* wgsl */ `${tokenKeys(v.logits, v.mask)}${WEIGHING}${SEARCHES}
${readRow(word)}${SUMS}
fn load_state(at: u32) -> State {
  return State(
    ${word("at")}, ${word("at + 1u")}, ${word("at + 2u")}, ${word("at + 3u")}, vec2u(${word("at + 4u")}, ${word("at + 5u")}),
  );
}
fn store_state(at: u32) {
  atomicStore(&${v.shared.at("at")}, state.key);
  atomicStore(&${v.shared.at("at + 1u")}, state.id);
  atomicStore(&${v.shared.at("at + 2u")}, state.last_key);
  atomicStore(&${v.shared.at("at + 3u")}, state.last_id);
  atomicStore(&${v.shared.at("at + 4u")}, state.goal_sum.x);
  atomicStore(&${v.shared.at("at + 5u")}, state.goal_sum.y);
}
// The histogram of a share, then of the row.
fn add_up(row: Row, index: u32, share: u32, lid: u32) {
  let goal = goal_of(params.step);
  let level = level_of(params.step);
  let found = state;
  let begin = share << params.share_bits;
  // Once digits of the id are known, one share has tokens left.
  let is_elsewhere = (level == 5u && found.id != share) || (level == 6u && (found.id >> 8u) != share);
  let end = select(min(begin + (1u << params.share_bits), params.n), begin, is_elsewhere);
  // Neighbours of one bin are added up before they are added to it.
  var bin = 0u;
  var sum = vec2u();
  for (var start = begin + lid; start < end; start += ${AHEAD * LANES}u) {
    var keys: array<u32, ${AHEAD}>;
    for (var j = 0u; j < ${AHEAD}u; j++) {
      let id = start + j * ${LANES}u;
      if (id < end) { keys[j] = token_key(index, id); }
    }
    for (var j = 0u; j < ${AHEAD}u; j++) {
      let key = keys[j];
      let id = start + j * ${LANES}u;
      if (!is_there(found, goal, level, key, id)) { continue; }
      let amount = amount_of(row, goal, key);
      if (amount == 0u) { continue; }
      let own = digit_of(level, key, id);
      if (own != bin) {
        add(bin, sum);
        bin = own;
        sum = vec2u();
      }
      sum = plus(sum, vec2u(amount, 0u));
    }
  }
  add(bin, sum);
  workgroupBarrier();
  let own = vec2u(atomicLoad(&low[lid]), atomicLoad(&high[lid]));
  if (all(own == vec2u())) { return; }
  let to = index * params.stride + params.sums + 2u * (params.step * ${LANES}u + lid);
  let before = atomicAdd(&${v.shared.at("to")}, own.x);
  let carried = own.y + select(0u, 1u, before + own.x < before);
  if (carried > 0u) { atomicAdd(&${v.shared.at("to + 1u")}, carried); }
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = ${workgroupIndex};
  if (group >= params.groups) { return; }
  let index = group / params.spread;
  let share = group % params.spread;
  let row = read_row(index, lid);
  let states = index * params.stride + params.states;
  if (lid == 0u) {
    atomicStore(&first, ${NO_INDEX}u);
    goals = 0u;
    for (var goal = TOP_K; goal <= DRAW; goal++) { goals |= select(0u, 1u << goal, is_searched(row, goal)); }
    state = State(0u, 0u, 1u, ${NO_INDEX}u, vec2u());
    if (params.step > 0u) { state = load_state(states + (params.step - 1u) * ${STATE_WORDS}u); }
  }
  let wanted = workgroupUniformLoad(&goals);
  if (wanted == 0u) {
    if (params.step < ${STEPS}u) { return; }
    let at = ${largestAt("index", "lid")};
    if (lid < params.shares && row.largest > 0u && row.largest != ILL && ${word("at")} == row.largest) {
      atomicMin(&first, ${word("at + 1u")});
    }
    workgroupBarrier();
    if (lid == 0u) { ${v.ids.at("index")} = atomicLoad(&first); }
    return;
  }
  let is_adding = params.step < ${STEPS}u && (wanted & (1u << goal_of(params.step))) != 0u;
  // The first share's workgroup hands the state on where nothing is searched.
  if (!is_adding && share > 0u) { return; }
  if (params.step > 0u && (wanted & (1u << goal_of(params.step - 1u))) != 0u) {
    let at = index * params.stride + params.sums + 2u * ((params.step - 1u) * ${LANES}u + lid);
    sums[lid] = vec2u(${word("at")}, ${word("at + 1u")});
    run_up(lid);
    find(row, params.step - 1u, lid);
  }
  if (params.step == ${STEPS}u) {
    if (lid == 0u) { ${v.ids.at("index")} = state.last_id; }
    return;
  }
  if (share == 0u && lid == 0u) { store_state(states + params.step * ${STATE_WORDS}u); }
  if (is_adding) { add_up(row, index, share, lid); }
}`
      },
    })
  })
}

/** WGSL for the sums of a workgroup and what is read off them. */
const SUMS = /* wgsl */ `
fn minus(a: vec2u, b: vec2u) -> vec2u { return vec2u(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }
fn is_less(a: vec2u, b: vec2u) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn least_of(a: vec2u, b: vec2u) -> vec2u { return select(b, a, is_less(a, b)); }
fn share_of(total: vec2u, part: f32) -> vec2u {
  let share = (f32(total.y) * 4294967296.0 + f32(total.x)) * max(part, 0.0);
  let high = u32(share / 4294967296.0);
  return vec2u(u32(max(share - f32(high) * 4294967296.0, 0.0)), high);
}

/**
 * The digits found so far, of the key turned over and of the id; the last token that is kept; and what the sum over the
 * tokens that have the digits found must reach.
 */
struct State { key: u32, id: u32, last_key: u32, last_id: u32, goal_sum: vec2u }
var<workgroup> state: State;
var<workgroup> low: array<atomic<u32>, ${LANES}>;
var<workgroup> high: array<atomic<u32>, ${LANES}>;
var<workgroup> sums: array<vec2u, ${LANES}>;
var<workgroup> goals: u32;
var<workgroup> first: atomic<u32>;

// Seven digits for each cut, the last three to draw.
fn goal_of(step: u32) -> u32 { return min(step / 7u, DRAW); }
fn level_of(step: u32) -> u32 { return select(step % 7u, step - 10u, step >= 14u); }
fn digit_of(level: u32, key: u32, id: u32) -> u32 {
  switch level {
    case 4u: { return id >> params.share_bits; }
    case 5u: { return (id >> params.fine_bits) & 255u; }
    case 6u: { return id & ((1u << params.fine_bits) - 1u); }
    default: { return (~key >> (24u - 8u * level)) & 255u; }
  }
}
// Whether a token is kept and has the digits found before this one.
fn is_there(found: State, goal: u32, level: u32, key: u32, id: u32) -> bool {
  if (key < found.last_key || (key == found.last_key && id > found.last_id)) { return false; }
  if (goal != DRAW && level > 0u && (~key >> (32u - 8u * min(level, 4u))) != found.key) { return false; }
  return (level != 5u || (id >> params.share_bits) == found.id) && (level != 6u || (id >> params.fine_bits) == found.id);
}
fn add(bin: u32, sum: vec2u) {
  if (all(sum == vec2u())) { return; }
  let before = atomicAdd(&low[bin], sum.x);
  let carried = sum.y + select(0u, 1u, before + sum.x < before);
  if (carried > 0u) { atomicAdd(&high[bin], carried); }
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
fn find(row: Row, step: u32, lid: u32) {
  let goal = goal_of(step);
  let level = level_of(step);
  var goal_sum = state.goal_sum;
  if (level == select(0u, 4u, goal == DRAW)) { goal_sum = target_of(row, goal, sums[${LANES - 1}u]); }
  var before = vec2u();
  if (lid > 0u) { before = sums[lid - 1u]; }
  workgroupBarrier();
  if (is_less(before, goal_sum) && !is_less(sums[lid], goal_sum)) {
    state.goal_sum = minus(goal_sum, before);
    if (level < 4u) { state.key = (state.key << 8u) | lid; }
    if (level == 4u) { state.id = lid; }
    if (level == 5u) { state.id = (state.id << 8u) | lid; }
    if (level == 6u) {
      // A cut's last token; of the draw, the token.
      let last_key = ~state.key;
      let last_id = (state.id << params.fine_bits) | lid;
      state = State(0u, 0u, last_key, last_id, vec2u());
    }
  }
  workgroupBarrier();
}`
