// == sample largest
struct Params {
  groups: u32,
  n: u32,
  shares: u32,
  share_bits: u32,
  mask_words: u32,
  sums: u32,
  states: u32,
  stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
@group(0) @binding(8) var<storage, read_write> b7: array<u32>;
const ILL = 0xffffffffu;
fn token_key(row: u32, id: u32) -> u32 {
  let bits = b0[row * params.n + id];
  if ((bits & 0x7fffffffu) >= 0x7f800000u) { return select(ILL, 0u, bits == 0xff800000u); }
  if (((b1[row * params.mask_words + (id >> 5u)] >> (id & 31u)) & 1u) == 0u) { return 0u; }
  // -0 is 0.
  if (bits == 0x80000000u) { return bits; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
var<workgroup> best: atomic<u32>;
var<workgroup> first: atomic<u32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let row = group / params.shares;
  let share = group % params.shares;
  let at = row * params.stride;
  if (lid == 0u) { atomicStore(&first, 4294967295u); }
  let begin = share << params.share_bits;
  let end = min(begin + (1u << params.share_bits), params.n);
  var key = 0u;
  var id = begin;
  for (var i = begin + lid; i < end; i += 256u) {
    let own = token_key(row, i);
    if (own > key) { key = own; id = i; }
  }
  atomicMax(&best, key);
  workgroupBarrier();
  let most = atomicLoad(&best);
  if (key == most) { atomicMin(&first, id); }
  workgroupBarrier();
  if (lid == 0u) {
    b7[row * params.stride + 8u + 2u * share] = most;
    b7[row * params.stride + 8u + 2u * share + 1u] = atomicLoad(&first);
  }
  // The histograms begin empty.
  for (var i = params.sums + share * 256u + lid; i < params.states; i += params.shares * 256u) {
    b7[at + i] = 0u;
  }
  if (share == 0u && lid == 0u) {
    b7[at + 0u] = b2[row];
    b7[at + 1u] = b3[row];
    b7[at + 2u] = b4[row];
    b7[at + 3u] = b5[row];
    b7[at + 4u] = b6[row];
  }
}

// == sample search
struct Params {
  groups: u32,
  step: u32,
  spread: u32,
  fine_bits: u32,
  n: u32,
  shares: u32,
  share_bits: u32,
  mask_words: u32,
  sums: u32,
  states: u32,
  stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> b3: array<u32>;
const ILL = 0xffffffffu;
fn token_key(row: u32, id: u32) -> u32 {
  let bits = b0[row * params.n + id];
  if ((bits & 0x7fffffffu) >= 0x7f800000u) { return select(ILL, 0u, bits == 0xff800000u); }
  if (((b1[row * params.mask_words + (id >> 5u)] >> (id & 31u)) & 1u) == 0u) { return 0u; }
  // -0 is 0.
  if (bits == 0x80000000u) { return bits; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
struct Row { largest: u32, temperature: f32, scale: f32, top_k: u32, top_p: f32, min_p: f32, uniform_number: f32 }
const DEAD = 32.0;
fn value_of(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u)); }
// How many temperatures a token is below the most likely one. By halves, so that nothing overflows.
fn fall(row: Row, key: u32) -> f32 {
  let half = 0.5 * value_of(row.largest) - 0.5 * value_of(key);
  return min(half, DEAD * row.temperature) * row.scale;
}
fn mass_of(row: Row, key: u32, least: f32) -> u32 {
  let below = fall(row, key);
  if (below >= DEAD) { return 0u; }
  let weight = select(min(exp(-below), 1.0), 1.0, key == row.largest);
  return select(u32(weight * 2147483648.0 + 0.5), 0u, weight < least);
}
fn plus(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + select(0u, 1u, low < a.x));
}
const TOP_K = 0u;
const TOP_P = 1u;
const DRAW = 2u;
fn is_searched(row: Row, goal: u32) -> bool {
  if (row.largest == 0u || row.largest == ILL || !(row.temperature > 0.0)) { return false; }
  if (goal == TOP_K) { return row.top_k > 0u && row.top_k < params.n; }
  return goal == DRAW || row.top_p < 1.0;
}
// What a token adds to the sums in a search.
fn amount_of(row: Row, goal: u32, key: u32) -> u32 {
  if (goal == TOP_K) { return select(0u, 1u, fall(row, key) < DEAD); }
  return mass_of(row, key, select(0.0, row.min_p, goal == DRAW));
}
var<workgroup> best: atomic<u32>;
fn read_row(index: u32, lid: u32) -> Row {
  let at = index * params.stride;
  if (lid < params.shares) { atomicMax(&best, atomicLoad(&b2[index * params.stride + 8u + 2u * lid])); }
  workgroupBarrier();
  // Within what floats can be divided by and multiplied with; 0 stays.
  let given = bitcast<f32>(atomicLoad(&b2[at + 0u]));
  let temperature = select(0.0, clamp(given, 1e-37, 1e30), given > 0.0);
  return Row(
    atomicLoad(&best), temperature, 2.0 / max(temperature, 1e-37), atomicLoad(&b2[at + 1u]),
    bitcast<f32>(atomicLoad(&b2[at + 2u])), bitcast<f32>(atomicLoad(&b2[at + 3u])), bitcast<f32>(atomicLoad(&b2[at + 4u])),
  );
}
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
var<workgroup> low: array<atomic<u32>, 256>;
var<workgroup> high: array<atomic<u32>, 256>;
var<workgroup> sums: array<vec2u, 256>;
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
  for (var step = 1u; step < 256u; step *= 2u) {
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
  if (level == select(0u, 4u, goal == DRAW)) { goal_sum = target_of(row, goal, sums[255u]); }
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
}
fn load_state(at: u32) -> State {
  return State(
    atomicLoad(&b2[at]), atomicLoad(&b2[at + 1u]), atomicLoad(&b2[at + 2u]), atomicLoad(&b2[at + 3u]), vec2u(atomicLoad(&b2[at + 4u]), atomicLoad(&b2[at + 5u])),
  );
}
fn store_state(at: u32) {
  atomicStore(&b2[at], state.key);
  atomicStore(&b2[at + 1u], state.id);
  atomicStore(&b2[at + 2u], state.last_key);
  atomicStore(&b2[at + 3u], state.last_id);
  atomicStore(&b2[at + 4u], state.goal_sum.x);
  atomicStore(&b2[at + 5u], state.goal_sum.y);
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
  for (var start = begin + lid; start < end; start += 2048u) {
    var keys: array<u32, 8>;
    for (var j = 0u; j < 8u; j++) {
      let id = start + j * 256u;
      if (id < end) { keys[j] = token_key(index, id); }
    }
    for (var j = 0u; j < 8u; j++) {
      let key = keys[j];
      let id = start + j * 256u;
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
  let to = index * params.stride + params.sums + 2u * (params.step * 256u + lid);
  let before = atomicAdd(&b2[to], own.x);
  let carried = own.y + select(0u, 1u, before + own.x < before);
  if (carried > 0u) { atomicAdd(&b2[to + 1u], carried); }
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let index = group / params.spread;
  let share = group % params.spread;
  let row = read_row(index, lid);
  let states = index * params.stride + params.states;
  if (lid == 0u) {
    atomicStore(&first, 4294967295u);
    goals = 0u;
    for (var goal = TOP_K; goal <= DRAW; goal++) { goals |= select(0u, 1u << goal, is_searched(row, goal)); }
    state = State(0u, 0u, 1u, 4294967295u, vec2u());
    if (params.step > 0u) { state = load_state(states + (params.step - 1u) * 6u); }
  }
  let wanted = workgroupUniformLoad(&goals);
  if (wanted == 0u) {
    if (params.step < 17u) { return; }
    let at = index * params.stride + 8u + 2u * lid;
    if (lid < params.shares && row.largest > 0u && row.largest != ILL && atomicLoad(&b2[at]) == row.largest) {
      atomicMin(&first, atomicLoad(&b2[at + 1u]));
    }
    workgroupBarrier();
    if (lid == 0u) { b3[index] = atomicLoad(&first); }
    return;
  }
  let is_adding = params.step < 17u && (wanted & (1u << goal_of(params.step))) != 0u;
  // The first share's workgroup hands the state on where nothing is searched.
  if (!is_adding && share > 0u) { return; }
  if (params.step > 0u && (wanted & (1u << goal_of(params.step - 1u))) != 0u) {
    let at = index * params.stride + params.sums + 2u * ((params.step - 1u) * 256u + lid);
    sums[lid] = vec2u(atomicLoad(&b2[at]), atomicLoad(&b2[at + 1u]));
    run_up(lid);
    find(row, params.step - 1u, lid);
  }
  if (params.step == 17u) {
    if (lid == 0u) { b3[index] = state.last_id; }
    return;
  }
  if (share == 0u && lid == 0u) { store_state(states + params.step * 6u); }
  if (is_adding) { add_up(row, index, share, lid); }
}
