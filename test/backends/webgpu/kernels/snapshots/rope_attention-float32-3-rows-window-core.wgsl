// == rope and append f32 window 100
struct Params {
  rope_scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> b3: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
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
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = wid.x;
  let position = b4[row];
  let slot = b5[row] * 8u;
  for (var i = lid; i < 16u; i += 256u) {
    turns[i] = params.rope_scale * rotation(position, b1[i]);
  }
  workgroupBarrier();
  let x_row = row * 192u;
  for (var i = lid; i < 8u; i += 256u) {
    let base = x_row + 128u + i * 4u / 32u * 32u;
    let d = i * 4u % 32u;
    b2[slot + i] = vec4f(rotated(base, d + 0u), rotated(base, d + 1u), rotated(base, d + 2u), rotated(base, d + 3u));
  }
  for (var i = lid; i < 8u; i += 256u) {
    let value = x_row + 160u + i * 4u;
    b3[slot + i] = vec4f(b0[value + 0u], b0[value + 1u], b0[value + 2u], b0[value + 3u]);
  }
}

// == attention f32 window 100 rope
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
@group(0) @binding(2) var<storage, read_write> b1: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read> b6: array<f32>;
@group(0) @binding(8) var<storage, read_write> b7: array<f32>;
@group(0) @binding(9) var<storage, read> b8: array<u32>;
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
var<workgroup> q_rows: array<f32, 32>;
var<workgroup> maxima: array<f32, 32>;
var<workgroup> totals: array<f32, 32>;
var<workgroup> pool: array<f32, 1024>;
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
    let visible_to = position + 1u;
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
  workgroupBarrier();
let q0_0 = vec4f(q_rows[mine + 0u], q_rows[mine + 1u], q_rows[mine + 2u], q_rows[mine + 3u]);
let q0_1 = vec4f(q_rows[mine + 4u], q_rows[mine + 5u], q_rows[mine + 6u], q_rows[mine + 7u]);
var m0 = f32(-1e30); var l0 = 0.0;
var a0_0 = vec4f(0.0);
var a0_1 = vec4f(0.0);
  let final_position = max(own.y, 1u) - 1u;
  var next = own.x + group;
  var next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
  var next_key0_0 = b1[next_at0 * 8u + lane * 2u + 0u];
var next_key0_1 = b1[next_at0 * 8u + lane * 2u + 1u];
var next_value0_0 = b2[next_at0 * 8u + lane * 2u + 0u];
var next_value0_1 = b2[next_at0 * 8u + lane * 2u + 1u];
  next += 1u * GROUPS;
  next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
  for (var base = own.x; base < own.y; base += 1u * GROUPS) {
    let j = base + group;
    let key0_0 = next_key0_0;
let key0_1 = next_key0_1;
let value0_0 = next_value0_0;
let value0_1 = next_value0_1;
    next_key0_0 = b1[next_at0 * 8u + lane * 2u + 0u];
next_key0_1 = b1[next_at0 * 8u + lane * 2u + 1u];
next_value0_0 = b2[next_at0 * 8u + lane * 2u + 0u];
next_value0_1 = b2[next_at0 * 8u + lane * 2u + 1u];
    next += 1u * GROUPS;
    next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
let k0_0 = key0_0;
let k0_1 = key0_1;
var s0_0 = dot(q0_0, k0_0) + dot(q0_1, k0_1);
pool[0u + lid] = s0_0;
workgroupBarrier();
s0_0 = pool[0u + lid - lane] + pool[1u + lid - lane] + pool[2u + lid - lane] + pool[3u + lid - lane];
workgroupBarrier();
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
let v0_0 = value0_0;
let v0_1 = value0_1;
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
    let all = merged(vec2f(top, total), vec2f(clamp(bitcast<f32>(extractBits(b8[((0u >> 1u) + (head + h)) >> 1u], 16u * (((0u >> 1u) + (head + h)) & 1u), 16u) << 16u) * 1.4426950408889634, -1e30, 1e30), 1.0));
    total = all.y;
    sum *= worth(top, all.x);
    b7[(row * 4u + head) * 32u + 0u + o] = sum / total;
  }
}
