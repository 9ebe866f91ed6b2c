// == attention uint32 window 100 rope append
struct Params {
  rows: u32,
  pages: u32,
  window: u32,
  splits: u32,
  groups: u32,
  head_dim: u32,
  row_width: u32,
  scale: f32,
  rope_scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read> b6: array<f32>;
@group(0) @binding(8) var<storage, read> b7: array<u32>;
@group(0) @binding(9) var<storage, read_write> b8: array<f32>;
@group(0) @binding(10) var<storage, read> b9: array<u32>;
fn worth(top: f32, other: f32) -> f32 { return exp2(top - other); }
fn weight_of(part: vec2f, other: f32) -> f32 { return part.y * worth(part.x, other); }
fn merged(a: vec2f, b: vec2f) -> vec2f {
  let top = max(a.x, b.x);
  return vec2f(top, weight_of(a, top) + weight_of(b, top));
}
fn first_visible(position: u32) -> u32 { return position + 1u - min(position + 1u, params.window); }
fn slot_of(sequence: u32, position: u32) -> u32 { return b5[sequence * params.pages + position / 16u] * 16u + position % 16u; }
fn multiply_wide(a: u32, b: u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let mid = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let mid2 = (a & 0xffffu) * (b >> 16u) + (mid & 0xffffu);
  return vec2u((mid2 << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (mid >> 16u) + (mid2 >> 16u));
}
fn rotation(position: u32, frequency: f32) -> vec2f {
  let bits = bitcast<u32>(frequency);
  let mantissa = (bits & 0x7fffffu) | 0x800000u;
  let low = multiply_wide(mantissa, 0x9391054au);
  let high = multiply_wide(mantissa, 0x28be60dbu);
  let middle = low.y + high.x;
  var words = array<u32, 8>(low.x, middle, high.y + select(0u, 1u, middle < low.y), 0u, 0u, 0u, 0u, 0u);
  let shift = 150u - ((bits >> 23u) & 255u);
  let k = shift >> 5u;
  let up = 31u - (shift & 31u);
  let first = (words[k] >> (shift & 31u)) | ((words[k + 1u] << 1u) << up);
  let second = (words[k + 1u] >> (shift & 31u)) | ((words[k + 2u] << 1u) << up);
  let turns = position * second + multiply_wide(position, first).y;
  let quarter = (turns + 0x20000000u) >> 30u;
  let a = f32(bitcast<i32>(turns - (quarter << 30u))) * 1.4629180792671596e-9;
  let aa = a * a;
  let s = a + a * aa * (-0.16666667 + aa * (8.3333333e-3 + aa * (-1.9841270e-4 + aa * 2.7557319e-6)));
  let c = 1.0 + aa * (-0.5 + aa * (4.1666667e-2 + aa * (-1.3888889e-3 + aa * 2.4801587e-5)));
  let turned = select(vec2f(c, s), vec2f(-s, c), (quarter & 1u) == 1u);
  return select(turned, -turned, quarter >= 2u);
}
var<workgroup> turns: array<vec2f, 16>;
fn rotated(base: u32, d: u32) -> f32 {
  let turn = turns[d % 16u];
  let a = b0[base + d];
  if (d < 16u) { return a * turn.x - b0[base + d + 16u] * turn.y; }
  return a * turn.x + b0[base + d - 16u] * turn.y;
}
const GROUPS = 32u;
var<workgroup> span: vec2u;
var<workgroup> q_rows: array<f32, 96>;
var<workgroup> maxima: array<f32, 32>;
var<workgroup> totals: array<f32, 32>;
var<workgroup> pool: array<f32, 1024>;
fn scale_of_code(code: u32) -> f32 {
  let bits = select((code + 840u) << 20u, 0u, code == 0u);
  return bitcast<f32>(select(bits, 0x7fc00000u, code == 255u));
}
fn scale_of(parities: u32) -> f32 {
  var x = parities & 0x11111111u;
  x = (x | (x >> 7u)) & 0x00330033u;
  return scale_of_code((x | (x >> 14u)) & 255u);
}
fn key_parities(at: u32) -> u32 { return (((b1[at * 4u + 0u].x ^ b1[at * 4u + 1u].x ^ b1[at * 4u + 2u].x ^ b1[at * 4u + 3u].x) & 0x01010101u) | (((b1[at * 4u + 0u].y ^ b1[at * 4u + 1u].y ^ b1[at * 4u + 2u].y ^ b1[at * 4u + 3u].y) & 0x01010101u) << 4u)); }
fn value_parities(at: u32) -> u32 { return (((b2[at * 4u + 0u].x ^ b2[at * 4u + 1u].x ^ b2[at * 4u + 2u].x ^ b2[at * 4u + 3u].x) & 0x01010101u) | (((b2[at * 4u + 0u].y ^ b2[at * 4u + 1u].y ^ b2[at * 4u + 2u].y ^ b2[at * 4u + 3u].y) & 0x01010101u) << 4u)); }
var<workgroup> tallies: array<f32, 128>;
var<workgroup> trials: array<f32, 26>;
var<workgroup> scales: array<f32, 2>;
fn nearest_code(value: f32) -> i32 {
  return i32(clamp(ceil(value - 0.5), -127.0, 127.0));
}
fn level_of(code: i32) -> f32 { return f32(code); }
fn scale_code(scale: f32, rounding: u32) -> i32 { return i32((bitcast<u32>(scale) + rounding) >> 20u) - 840; }
// The nearest codes of a column whose parity is that of the scale's code, kept in the values' place; and their squared error.
fn quantize(first: u32, code_of_scale: u32, keep: bool) -> f32 {
  let scale = scale_of_code(code_of_scale);
  let inverse = 1.0 / scale;
  var parity = (code_of_scale >> (first % 8u)) & 1u;
  var error = 0.0;
  var cost = 3e38;
  var cheapest = first;
  var moved = 0;
  for (var i = first; i < first + params.head_dim; i += 8u) {
    let value = q_rows[i] * inverse;
    let code = nearest_code(value);
    parity ^= u32(code) & 1u;
    let rest = value - level_of(code);
    // The second nearest level, on the side where the value lies or, at the ends, inside.
    let outward = select(code - 1, code + 1, rest > 0.0);
    let other = select(outward, 2 * code - outward, outward > 127 || outward < -127);
    let away = value - level_of(other);
    let more = away * away - rest * rest;
    error += rest * rest;
    if (more < cost) {
      cost = more;
      cheapest = i;
      moved = other;
    }
    if (keep) { q_rows[i] = f32(code); }
  }
  if (parity == 1u) {
    error += cost;
    if (keep) { q_rows[cheapest] = f32(moved); }
  }
  return error * scale * scale;
}
// The code of the scale to try: the last one's clips nothing; it is not above 254 unless a value is not finite or too large.
fn scale_to_try(k: u32, squares: f32, largest: u32) -> i32 {
  if (k == 5u) {
    return select(scale_code(bitcast<f32>(largest) / 127.0, 0xfffffu), 255, largest >= 0x7f800000u);
  }
  return 0;
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = wid.z;
  let split = wid.x;
  let kv = wid.y / 4u;
  let head = wid.y * 1u;
  let lane = lid % 4u;
  let group = lid / 4u;
  let mine = lane * 8u;
  let sequence = b4[row];
  let position = b3[row];
  for (var i = lid; i < 16u; i += 128u) {
    turns[i] = params.rope_scale * rotation(position, b6[i]);
  }
  if (lid == 0u) {
    let visible_from = first_visible(position);
    // What is appended does not come from the cache.
    let visible_to = position + 0u;
    let shares = params.splits - 0u;
    let share = max(64u, (visible_to - visible_from + shares - 1u) / shares);
    let start = min(visible_to, visible_from + split * share);
    span = vec2u(start, min(visible_to, start + share));
  }
  let own = workgroupUniformLoad(&span);
  if (own.x >= own.y && split != 0u) {
    return;
  }
  let x_row = row * params.row_width;
  for (var i = lid; i < 32u; i += 128u) {
    q_rows[i] = params.scale * rotated(x_row + head * 32u + i / 32u * 32u, i % 32u);
  }
  for (var i = lid; i < 32u; i += 128u) {
    q_rows[32u + i] = rotated(x_row + (4u + kv) * 32u, i);
    q_rows[64u + i] = b0[x_row + (5u + kv) * 32u + i];
  }
  for (var half = 1u; half < 32u; half *= 2u) {
    workgroupBarrier();
    let norm = select(1.0, 0.17677669529663687, half == 16u);
    for (var i = lid; i < 48u; i += 128u) {
      let at = 2u * i - (i & (half - 1u));
      let a = q_rows[at];
      let b = q_rows[at + half];
      q_rows[at] = (a + b) * norm;
      q_rows[at + half] = (a - b) * norm;
    }
  }
  workgroupBarrier();
  if (split == 0u) {
  for (var t = lid; t < 16u; t += 128u) {
    var squares = 0.0;
    var largest = 0u;
    let first = 32u + t / 8u * 32u + t % 8u;
    for (var i = first; i < first + params.head_dim; i += 8u) {
      squares += q_rows[i] * q_rows[i];
      largest = max(largest, bitcast<u32>(q_rows[i]) & 0x7fffffffu);
    }
    tallies[(t) * 8u + 0u] = squares;
    tallies[(t) * 8u + 1u] = bitcast<f32>(largest);
  }
  workgroupBarrier();
  for (var t = lid; t < 96u; t += 128u) {
    let column = t % 16u;
    let vector = column / 8u;
    let k = t / 16u;
    var squares = 0.0;
    var largest = 0u;
    for (var c = 0u; c < 8u; c++) {
      squares += tallies[(vector * 8u + c) * 8u + 0u];
      largest = max(largest, bitcast<u32>(tallies[(vector * 8u + c) * 8u + 1u]));
    }
    let tried = scale_to_try(k, squares, largest);
    if (tried > 0) { tallies[(column) * 8u + 2u + k] = quantize(32u + column / 8u * 32u + column % 8u, u32(min(tried, 254)), false); }
    if (column % 8u == 0u) {
      trials[(vector) * 13u + 0u] = squares;
      trials[(vector) * 13u + 1u + k] = f32(tried);
    }
  }
  workgroupBarrier();
  for (var t = lid; t < 12u; t += 128u) {
    let vector = t / 6u;
    let k = t % 6u;
    var error = 0.0;
    for (var c = 0u; c < 8u; c++) { error += tallies[(vector * 8u + c) * 8u + 2u + k]; }
    trials[(vector) * 13u + 7u + k] = error;
  }
  workgroupBarrier();
  for (var t = lid; t < 16u; t += 128u) {
    let vector = t / 8u;
    var best = 0;
    var least = trials[(vector) * 13u + 0u];
    for (var k = 0u; k < 6u; k++) {
      let tried = i32(trials[(vector) * 13u + 1u + k]);
      let error = trials[(vector) * 13u + 7u + k];
      if (tried > 0 && error < least) {
        least = error;
        best = min(tried, 254);
      }
    }
    // A scale that is not a number: all parities odd.
    let is_lost = i32(trials[(vector) * 13u + 6u]) > 254;
    let first = 32u + t / 8u * 32u + t % 8u;
    if (is_lost || best == 0) {
      for (var i = first; i < first + params.head_dim; i += 8u) { q_rows[i] = select(0.0, 1.0, is_lost && i == first); }
    } else {
      let error = quantize(first, u32(best), true);
    }
    scales[vector] = scale_of_code(select(u32(best), 255u, is_lost));
  }
  workgroupBarrier();
  if (wid.y % 4u == 0u) {
    let slot = (b7[row] * 1u + kv) * 4u;
    for (var i = lid; i < 4u; i += 128u) {
      b1[slot + i] = vec2u(((u32(i32(q_rows[32u + i * 8u + 0u])) & 255u) << 0u) | ((u32(i32(q_rows[32u + i * 8u + 1u])) & 255u) << 8u) | ((u32(i32(q_rows[32u + i * 8u + 2u])) & 255u) << 16u) | ((u32(i32(q_rows[32u + i * 8u + 3u])) & 255u) << 24u), ((u32(i32(q_rows[32u + i * 8u + 4u])) & 255u) << 0u) | ((u32(i32(q_rows[32u + i * 8u + 5u])) & 255u) << 8u) | ((u32(i32(q_rows[32u + i * 8u + 6u])) & 255u) << 16u) | ((u32(i32(q_rows[32u + i * 8u + 7u])) & 255u) << 24u));
      b2[slot + i] = vec2u(((u32(i32(q_rows[64u + i * 8u + 0u])) & 255u) << 0u) | ((u32(i32(q_rows[64u + i * 8u + 1u])) & 255u) << 8u) | ((u32(i32(q_rows[64u + i * 8u + 2u])) & 255u) << 16u) | ((u32(i32(q_rows[64u + i * 8u + 3u])) & 255u) << 24u), ((u32(i32(q_rows[64u + i * 8u + 4u])) & 255u) << 0u) | ((u32(i32(q_rows[64u + i * 8u + 5u])) & 255u) << 8u) | ((u32(i32(q_rows[64u + i * 8u + 6u])) & 255u) << 16u) | ((u32(i32(q_rows[64u + i * 8u + 7u])) & 255u) << 24u));
    }
  }
  }
let q0_0 = vec4f(q_rows[mine + 0u], q_rows[mine + 1u], q_rows[mine + 2u], q_rows[mine + 3u]);
let q0_1 = vec4f(q_rows[mine + 4u], q_rows[mine + 5u], q_rows[mine + 6u], q_rows[mine + 7u]);
var m0 = f32(-1e30); var l0 = 0.0;
var a0_0 = vec4f(0.0);
var a0_1 = vec4f(0.0);
  {
let new_key_0 = vec2u(((u32(i32(q_rows[mine + 32u + 0u])) & 255u) << 0u) | ((u32(i32(q_rows[mine + 32u + 1u])) & 255u) << 8u) | ((u32(i32(q_rows[mine + 32u + 2u])) & 255u) << 16u) | ((u32(i32(q_rows[mine + 32u + 3u])) & 255u) << 24u), ((u32(i32(q_rows[mine + 32u + 4u])) & 255u) << 0u) | ((u32(i32(q_rows[mine + 32u + 5u])) & 255u) << 8u) | ((u32(i32(q_rows[mine + 32u + 6u])) & 255u) << 16u) | ((u32(i32(q_rows[mine + 32u + 7u])) & 255u) << 24u));
let kn_0 = vec4f(bitcast<vec4i>(vec4u(new_key_0.x << 24u, new_key_0.x << 16u, new_key_0.x << 8u, new_key_0.x)) >> vec4u(24u));
let kn_1 = vec4f(bitcast<vec4i>(vec4u(new_key_0.y << 24u, new_key_0.y << 16u, new_key_0.y << 8u, new_key_0.y)) >> vec4u(24u));
let new_value_0 = vec2u(((u32(i32(q_rows[mine + 64u + 0u])) & 255u) << 0u) | ((u32(i32(q_rows[mine + 64u + 1u])) & 255u) << 8u) | ((u32(i32(q_rows[mine + 64u + 2u])) & 255u) << 16u) | ((u32(i32(q_rows[mine + 64u + 3u])) & 255u) << 24u), ((u32(i32(q_rows[mine + 64u + 4u])) & 255u) << 0u) | ((u32(i32(q_rows[mine + 64u + 5u])) & 255u) << 8u) | ((u32(i32(q_rows[mine + 64u + 6u])) & 255u) << 16u) | ((u32(i32(q_rows[mine + 64u + 7u])) & 255u) << 24u));
let vn_0 = vec4f(bitcast<vec4i>(vec4u(new_value_0.x << 24u, new_value_0.x << 16u, new_value_0.x << 8u, new_value_0.x)) >> vec4u(24u));
let vn_1 = vec4f(bitcast<vec4i>(vec4u(new_value_0.y << 24u, new_value_0.y << 16u, new_value_0.y << 8u, new_value_0.y)) >> vec4u(24u));
var sn_0 = dot(q0_0, kn_0) + dot(q0_1, kn_1);
pool[0u + lid] = sn_0;
workgroupBarrier();
sn_0 = pool[0u + lid - lane] + pool[1u + lid - lane] + pool[2u + lid - lane] + pool[3u + lid - lane];
workgroupBarrier();
sn_0 *= 1 * scales[0];
    if (split == 0u && group == 0u) {
m0 = sn_0; l0 = 1.0;
a0_0 = 1 * scales[1] * vn_0;
a0_1 = 1 * scales[1] * vn_1;
    }
  }
  let final_position = max(own.y, 1u) - 1u;
  var next = own.x + group;
  var next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
  var next_key0_0 = b1[next_at0 * 4u + lane * 1u + 0u];
var next_value0_0 = b2[next_at0 * 4u + lane * 1u + 0u];
  var at0 = next_at0;
  next += 1u * GROUPS;
  next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
  for (var base = own.x; base < own.y; base += 1u * GROUPS) {
    let j = base + group;
    let key0_0 = next_key0_0;
let value0_0 = next_value0_0;
    let own_at0 = at0; at0 = next_at0;
    next_key0_0 = b1[next_at0 * 4u + lane * 1u + 0u];
next_value0_0 = b2[next_at0 * 4u + lane * 1u + 0u];
    next += 1u * GROUPS;
    next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
    let key_scale0 = 1 * scale_of(key_parities(own_at0));
let value_scale0 = 1 * scale_of(value_parities(own_at0));
let k0_0 = vec4f(bitcast<vec4i>(vec4u(key0_0.x << 24u, key0_0.x << 16u, key0_0.x << 8u, key0_0.x)) >> vec4u(24u));
let k0_1 = vec4f(bitcast<vec4i>(vec4u(key0_0.y << 24u, key0_0.y << 16u, key0_0.y << 8u, key0_0.y)) >> vec4u(24u));
var s0_0 = dot(q0_0, k0_0) + dot(q0_1, k0_1);
pool[0u + lid] = s0_0;
workgroupBarrier();
s0_0 = pool[0u + lid - lane] + pool[1u + lid - lane] + pool[2u + lid - lane] + pool[3u + lid - lane];
workgroupBarrier();
s0_0 *= key_scale0;
s0_0 = select(-3e38, s0_0, j + 0u * GROUPS < own.y);
let top0 = s0_0;
    if (top0 > m0 + 8.0) {
      let c0 = exp2(m0 - max(m0, top0));
      m0 = max(m0, top0);
      l0 *= c0;
{ let c = c0; a0_0 *= c;
a0_1 *= c; }
    }
    s0_0 = exp2(s0_0 - m0);
    l0 += s0_0;
s0_0 *= value_scale0;
let v0_0 = vec4f(bitcast<vec4i>(vec4u(value0_0.x << 24u, value0_0.x << 16u, value0_0.x << 8u, value0_0.x)) >> vec4u(24u));
let v0_1 = vec4f(bitcast<vec4i>(vec4u(value0_0.y << 24u, value0_0.y << 16u, value0_0.y << 8u, value0_0.y)) >> vec4u(24u));
{
      let p0 = s0_0;
      a0_0 += p0 * v0_0;
a0_1 += p0 * v0_1;
    }
  }
  let head0 = 0u; if (lane == 0u) { maxima[group * 1u + head0] = m0; }
  workgroupBarrier();
  for (var g = 0u; g < params.groups; g += 4u) {
      m0 = max(m0, maxima[(g + 0u) * 1u + head0]);
      m0 = max(m0, maxima[(g + 1u) * 1u + head0]);
      m0 = max(m0, maxima[(g + 2u) * 1u + head0]);
      m0 = max(m0, maxima[(g + 3u) * 1u + head0]);
    }
  let f0 = worth(maxima[group * 1u + head0], m0);
  if (lane == 0u) { totals[group * 1u + head0] = l0 * f0; }
{ let f = f0; a0_0 *= f;
a0_1 *= f; }
pool[group * 32u + mine + 0u] = a0_0.x; pool[group * 32u + mine + 1u] = a0_0.y; pool[group * 32u + mine + 2u] = a0_0.z; pool[group * 32u + mine + 3u] = a0_0.w;
pool[group * 32u + mine + 4u] = a0_1.x; pool[group * 32u + mine + 5u] = a0_1.y; pool[group * 32u + mine + 6u] = a0_1.z; pool[group * 32u + mine + 7u] = a0_1.w;
  workgroupBarrier();
  for (var o = lid; o < 32u; o += 128u) {
    let h = 0u + o / 32u;
    var sum = 0.0;
    var total = 0.0;
    var top = maxima[h];
    for (var g = 0u; g < params.groups; g += 4u) {
      sum += pool[(g + 0u) * 32u + o];
      total += totals[(g + 0u) * 1u + h];
      top = max(top, maxima[(g + 0u) * 1u + h]);
      sum += pool[(g + 1u) * 32u + o];
      total += totals[(g + 1u) * 1u + h];
      top = max(top, maxima[(g + 1u) * 1u + h]);
      sum += pool[(g + 2u) * 32u + o];
      total += totals[(g + 2u) * 1u + h];
      top = max(top, maxima[(g + 2u) * 1u + h]);
      sum += pool[(g + 3u) * 32u + o];
      total += totals[(g + 3u) * 1u + h];
      top = max(top, maxima[(g + 3u) * 1u + h]);
    }
    let all = merged(vec2f(top, total), vec2f(clamp(bitcast<f32>(extractBits(b9[((0u >> 1u) + (head + h)) >> 1u], 16u * (((0u >> 1u) + (head + h)) & 1u), 16u) << 16u) * 1.4426950408889634, -1e30, 1e30), 1.0));
    total = all.y;
    sum *= worth(top, all.x);
    q_rows[0u + o] = sum / total;
  }
  for (var half = 1u; half < 32u; half *= 2u) {
    workgroupBarrier();
    let norm = select(1.0, 0.17677669529663687, half == 16u);
    for (var i = lid; i < 16u; i += 128u) {
      let at = 2u * i - (i & (half - 1u));
      let a = q_rows[at];
      let b = q_rows[at + half];
      q_rows[at] = (a + b) * norm;
      q_rows[at + half] = (a - b) * norm;
    }
  }
  workgroupBarrier();
  for (var i = lid; i < 32u; i += 128u) { b8[(row * 4u + head) * 32u + i] = q_rows[i]; }
}
