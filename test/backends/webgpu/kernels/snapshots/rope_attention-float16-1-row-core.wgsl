// == attention f16 rope append
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
@group(0) @binding(2) var<storage, read_write> b1: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read> b6: array<f32>;
@group(0) @binding(8) var<storage, read> b7: array<u32>;
@group(0) @binding(9) var<storage, read_write> b8: array<f32>;
@group(0) @binding(10) var<storage, read_write> b9: array<vec2<f32>>;
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
var<workgroup> q_rows: array<f32, 192>;
var<workgroup> maxima: array<f32, 128>;
var<workgroup> totals: array<f32, 128>;
var<workgroup> pool: array<f32, 4096>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = wid.z;
  let split = wid.x;
  let kv = wid.y / 1u;
  let head = wid.y * 4u;
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
    if (lid < 4u) { b9[(row * 4u + head + lid) * params.splits + split] = vec2f(-1e30, 0.0); }
    return;
  }
  let x_row = row * params.row_width;
  for (var i = lid; i < 128u; i += 128u) {
    q_rows[i] = params.scale * rotated(x_row + head * 32u + i / 32u * 32u, i % 32u);
  }
  for (var i = lid; i < 32u; i += 128u) {
    q_rows[128u + i] = unpack2x16float(pack2x16float(vec2f(rotated(x_row + (4u + kv) * 32u, i), 0.0))).x;
    q_rows[160u + i] = unpack2x16float(pack2x16float(vec2f(b0[x_row + (5u + kv) * 32u + i], 0.0))).x;
  }
  workgroupBarrier();
  if (split == 0u) {
  if (wid.y % 1u == 0u) {
    let slot = (b7[row] * 1u + kv) * 4u;
    for (var i = lid; i < 4u; i += 128u) {
      b1[slot + i] = vec4u(pack2x16float(vec2f(q_rows[128u + i * 8u], q_rows[129u + i * 8u])), pack2x16float(vec2f(q_rows[130u + i * 8u], q_rows[131u + i * 8u])), pack2x16float(vec2f(q_rows[132u + i * 8u], q_rows[133u + i * 8u])), pack2x16float(vec2f(q_rows[134u + i * 8u], q_rows[135u + i * 8u])));
      b2[slot + i] = vec4u(pack2x16float(vec2f(q_rows[160u + i * 8u], q_rows[161u + i * 8u])), pack2x16float(vec2f(q_rows[162u + i * 8u], q_rows[163u + i * 8u])), pack2x16float(vec2f(q_rows[164u + i * 8u], q_rows[165u + i * 8u])), pack2x16float(vec2f(q_rows[166u + i * 8u], q_rows[167u + i * 8u])));
    }
  }
  }
let q0_0 = vec4f(q_rows[mine + 0u], q_rows[mine + 1u], q_rows[mine + 2u], q_rows[mine + 3u]);
let q0_1 = vec4f(q_rows[mine + 4u], q_rows[mine + 5u], q_rows[mine + 6u], q_rows[mine + 7u]);
let q1_0 = vec4f(q_rows[mine + 32u], q_rows[mine + 33u], q_rows[mine + 34u], q_rows[mine + 35u]);
let q1_1 = vec4f(q_rows[mine + 36u], q_rows[mine + 37u], q_rows[mine + 38u], q_rows[mine + 39u]);
let q2_0 = vec4f(q_rows[mine + 64u], q_rows[mine + 65u], q_rows[mine + 66u], q_rows[mine + 67u]);
let q2_1 = vec4f(q_rows[mine + 68u], q_rows[mine + 69u], q_rows[mine + 70u], q_rows[mine + 71u]);
let q3_0 = vec4f(q_rows[mine + 96u], q_rows[mine + 97u], q_rows[mine + 98u], q_rows[mine + 99u]);
let q3_1 = vec4f(q_rows[mine + 100u], q_rows[mine + 101u], q_rows[mine + 102u], q_rows[mine + 103u]);
var m0 = f32(-1e30); var l0 = 0.0;
var m1 = f32(-1e30); var l1 = 0.0;
var m2 = f32(-1e30); var l2 = 0.0;
var m3 = f32(-1e30); var l3 = 0.0;
var a0_0 = vec4f(0.0);
var a0_1 = vec4f(0.0);
var a1_0 = vec4f(0.0);
var a1_1 = vec4f(0.0);
var a2_0 = vec4f(0.0);
var a2_1 = vec4f(0.0);
var a3_0 = vec4f(0.0);
var a3_1 = vec4f(0.0);
  {
let kn_0 = vec4f(q_rows[mine + 128u], q_rows[mine + 129u], q_rows[mine + 130u], q_rows[mine + 131u]);
let kn_1 = vec4f(q_rows[mine + 132u], q_rows[mine + 133u], q_rows[mine + 134u], q_rows[mine + 135u]);
let vn_0 = vec4f(q_rows[mine + 160u], q_rows[mine + 161u], q_rows[mine + 162u], q_rows[mine + 163u]);
let vn_1 = vec4f(q_rows[mine + 164u], q_rows[mine + 165u], q_rows[mine + 166u], q_rows[mine + 167u]);
var sn_0 = dot(q0_0, kn_0) + dot(q0_1, kn_1);
var sn_1 = dot(q1_0, kn_0) + dot(q1_1, kn_1);
var sn_2 = dot(q2_0, kn_0) + dot(q2_1, kn_1);
var sn_3 = dot(q3_0, kn_0) + dot(q3_1, kn_1);
pool[0u + lid] = sn_0;
pool[128u + lid] = sn_1;
pool[256u + lid] = sn_2;
pool[384u + lid] = sn_3;
workgroupBarrier();
sn_0 = pool[0u + lid - lane] + pool[1u + lid - lane] + pool[2u + lid - lane] + pool[3u + lid - lane];
sn_1 = pool[128u + lid - lane] + pool[129u + lid - lane] + pool[130u + lid - lane] + pool[131u + lid - lane];
sn_2 = pool[256u + lid - lane] + pool[257u + lid - lane] + pool[258u + lid - lane] + pool[259u + lid - lane];
sn_3 = pool[384u + lid - lane] + pool[385u + lid - lane] + pool[386u + lid - lane] + pool[387u + lid - lane];
workgroupBarrier();
    if (split == 0u && group == 0u) {
m0 = sn_0; l0 = 1.0;
m1 = sn_1; l1 = 1.0;
m2 = sn_2; l2 = 1.0;
m3 = sn_3; l3 = 1.0;
a0_0 = vn_0;
a0_1 = vn_1;
a1_0 = vn_0;
a1_1 = vn_1;
a2_0 = vn_0;
a2_1 = vn_1;
a3_0 = vn_0;
a3_1 = vn_1;
    }
  }
  let final_position = max(own.y, 1u) - 1u;
  var next = own.x + group;
  var next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
  var next_key0_0 = b1[next_at0 * 4u + lane * 1u + 0u];
var next_value0_0 = b2[next_at0 * 4u + lane * 1u + 0u];
  next += 1u * GROUPS;
  next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
  for (var base = own.x; base < own.y; base += 1u * GROUPS) {
    let j = base + group;
    let key0_0 = next_key0_0;
let value0_0 = next_value0_0;
    next_key0_0 = b1[next_at0 * 4u + lane * 1u + 0u];
next_value0_0 = b2[next_at0 * 4u + lane * 1u + 0u];
    next += 1u * GROUPS;
    next_at0 = (slot_of(sequence, min(next + 0u * GROUPS, final_position)) * 1u + kv);
let k0_0 = vec4f(unpack2x16float(key0_0.x), unpack2x16float(key0_0.y));
let k0_1 = vec4f(unpack2x16float(key0_0.z), unpack2x16float(key0_0.w));
var s0_0 = dot(q0_0, k0_0) + dot(q0_1, k0_1);
var s0_1 = dot(q1_0, k0_0) + dot(q1_1, k0_1);
var s0_2 = dot(q2_0, k0_0) + dot(q2_1, k0_1);
var s0_3 = dot(q3_0, k0_0) + dot(q3_1, k0_1);
pool[0u + lid] = s0_0;
pool[128u + lid] = s0_1;
pool[256u + lid] = s0_2;
pool[384u + lid] = s0_3;
workgroupBarrier();
s0_0 = pool[0u + lid - lane] + pool[1u + lid - lane] + pool[2u + lid - lane] + pool[3u + lid - lane];
s0_1 = pool[128u + lid - lane] + pool[129u + lid - lane] + pool[130u + lid - lane] + pool[131u + lid - lane];
s0_2 = pool[256u + lid - lane] + pool[257u + lid - lane] + pool[258u + lid - lane] + pool[259u + lid - lane];
s0_3 = pool[384u + lid - lane] + pool[385u + lid - lane] + pool[386u + lid - lane] + pool[387u + lid - lane];
workgroupBarrier();
s0_0 = select(-3e38, s0_0, j + 0u * GROUPS < own.y);
s0_1 = select(-3e38, s0_1, j + 0u * GROUPS < own.y);
s0_2 = select(-3e38, s0_2, j + 0u * GROUPS < own.y);
s0_3 = select(-3e38, s0_3, j + 0u * GROUPS < own.y);
let top0 = s0_0;
let top1 = s0_1;
let top2 = s0_2;
let top3 = s0_3;
    if (top0 > m0 + 8.0 || top1 > m1 + 8.0 || top2 > m2 + 8.0 || top3 > m3 + 8.0) {
      let c0 = exp2(m0 - max(m0, top0));
      m0 = max(m0, top0);
      l0 *= c0;
      let c1 = exp2(m1 - max(m1, top1));
      m1 = max(m1, top1);
      l1 *= c1;
      let c2 = exp2(m2 - max(m2, top2));
      m2 = max(m2, top2);
      l2 *= c2;
      let c3 = exp2(m3 - max(m3, top3));
      m3 = max(m3, top3);
      l3 *= c3;
{ let c = c0; a0_0 *= c;
a0_1 *= c; }
{ let c = c1; a1_0 *= c;
a1_1 *= c; }
{ let c = c2; a2_0 *= c;
a2_1 *= c; }
{ let c = c3; a3_0 *= c;
a3_1 *= c; }
    }
    s0_0 = exp2(s0_0 - m0);
    l0 += s0_0;
    s0_1 = exp2(s0_1 - m1);
    l1 += s0_1;
    s0_2 = exp2(s0_2 - m2);
    l2 += s0_2;
    s0_3 = exp2(s0_3 - m3);
    l3 += s0_3;
let v0_0 = vec4f(unpack2x16float(value0_0.x), unpack2x16float(value0_0.y));
let v0_1 = vec4f(unpack2x16float(value0_0.z), unpack2x16float(value0_0.w));
{
      let p0 = s0_0;
      a0_0 += p0 * v0_0;
a0_1 += p0 * v0_1;
    }
{
      let p0 = s0_1;
      a1_0 += p0 * v0_0;
a1_1 += p0 * v0_1;
    }
{
      let p0 = s0_2;
      a2_0 += p0 * v0_0;
a2_1 += p0 * v0_1;
    }
{
      let p0 = s0_3;
      a3_0 += p0 * v0_0;
a3_1 += p0 * v0_1;
    }
  }
  let head0 = 0u; if (lane == 0u) { maxima[group * 4u + head0] = m0; }
let head1 = 1u; if (lane == 0u) { maxima[group * 4u + head1] = m1; }
let head2 = 2u; if (lane == 0u) { maxima[group * 4u + head2] = m2; }
let head3 = 3u; if (lane == 0u) { maxima[group * 4u + head3] = m3; }
  workgroupBarrier();
  for (var g = 0u; g < params.groups; g += 4u) {
      m0 = max(m0, maxima[(g + 0u) * 4u + head0]);
      m0 = max(m0, maxima[(g + 1u) * 4u + head0]);
      m0 = max(m0, maxima[(g + 2u) * 4u + head0]);
      m0 = max(m0, maxima[(g + 3u) * 4u + head0]);
    }
  let f0 = worth(maxima[group * 4u + head0], m0);
  if (lane == 0u) { totals[group * 4u + head0] = l0 * f0; }
  for (var g = 0u; g < params.groups; g += 4u) {
      m1 = max(m1, maxima[(g + 0u) * 4u + head1]);
      m1 = max(m1, maxima[(g + 1u) * 4u + head1]);
      m1 = max(m1, maxima[(g + 2u) * 4u + head1]);
      m1 = max(m1, maxima[(g + 3u) * 4u + head1]);
    }
  let f1 = worth(maxima[group * 4u + head1], m1);
  if (lane == 0u) { totals[group * 4u + head1] = l1 * f1; }
  for (var g = 0u; g < params.groups; g += 4u) {
      m2 = max(m2, maxima[(g + 0u) * 4u + head2]);
      m2 = max(m2, maxima[(g + 1u) * 4u + head2]);
      m2 = max(m2, maxima[(g + 2u) * 4u + head2]);
      m2 = max(m2, maxima[(g + 3u) * 4u + head2]);
    }
  let f2 = worth(maxima[group * 4u + head2], m2);
  if (lane == 0u) { totals[group * 4u + head2] = l2 * f2; }
  for (var g = 0u; g < params.groups; g += 4u) {
      m3 = max(m3, maxima[(g + 0u) * 4u + head3]);
      m3 = max(m3, maxima[(g + 1u) * 4u + head3]);
      m3 = max(m3, maxima[(g + 2u) * 4u + head3]);
      m3 = max(m3, maxima[(g + 3u) * 4u + head3]);
    }
  let f3 = worth(maxima[group * 4u + head3], m3);
  if (lane == 0u) { totals[group * 4u + head3] = l3 * f3; }
{ let f = f0; a0_0 *= f;
a0_1 *= f; }
{ let f = f1; a1_0 *= f;
a1_1 *= f; }
{ let f = f2; a2_0 *= f;
a2_1 *= f; }
{ let f = f3; a3_0 *= f;
a3_1 *= f; }
pool[group * 128u + mine + 0u] = a0_0.x; pool[group * 128u + mine + 1u] = a0_0.y; pool[group * 128u + mine + 2u] = a0_0.z; pool[group * 128u + mine + 3u] = a0_0.w;
pool[group * 128u + mine + 4u] = a0_1.x; pool[group * 128u + mine + 5u] = a0_1.y; pool[group * 128u + mine + 6u] = a0_1.z; pool[group * 128u + mine + 7u] = a0_1.w;
pool[group * 128u + mine + 32u] = a1_0.x; pool[group * 128u + mine + 33u] = a1_0.y; pool[group * 128u + mine + 34u] = a1_0.z; pool[group * 128u + mine + 35u] = a1_0.w;
pool[group * 128u + mine + 36u] = a1_1.x; pool[group * 128u + mine + 37u] = a1_1.y; pool[group * 128u + mine + 38u] = a1_1.z; pool[group * 128u + mine + 39u] = a1_1.w;
pool[group * 128u + mine + 64u] = a2_0.x; pool[group * 128u + mine + 65u] = a2_0.y; pool[group * 128u + mine + 66u] = a2_0.z; pool[group * 128u + mine + 67u] = a2_0.w;
pool[group * 128u + mine + 68u] = a2_1.x; pool[group * 128u + mine + 69u] = a2_1.y; pool[group * 128u + mine + 70u] = a2_1.z; pool[group * 128u + mine + 71u] = a2_1.w;
pool[group * 128u + mine + 96u] = a3_0.x; pool[group * 128u + mine + 97u] = a3_0.y; pool[group * 128u + mine + 98u] = a3_0.z; pool[group * 128u + mine + 99u] = a3_0.w;
pool[group * 128u + mine + 100u] = a3_1.x; pool[group * 128u + mine + 101u] = a3_1.y; pool[group * 128u + mine + 102u] = a3_1.z; pool[group * 128u + mine + 103u] = a3_1.w;
  workgroupBarrier();
  for (var o = lid; o < 128u; o += 128u) {
    let h = 0u + o / 32u;
    var sum = 0.0;
    var total = 0.0;
    var top = maxima[h];
    for (var g = 0u; g < params.groups; g += 4u) {
      sum += pool[(g + 0u) * 128u + o];
      total += totals[(g + 0u) * 4u + h];
      top = max(top, maxima[(g + 0u) * 4u + h]);
      sum += pool[(g + 1u) * 128u + o];
      total += totals[(g + 1u) * 4u + h];
      top = max(top, maxima[(g + 1u) * 4u + h]);
      sum += pool[(g + 2u) * 128u + o];
      total += totals[(g + 2u) * 4u + h];
      top = max(top, maxima[(g + 2u) * 4u + h]);
      sum += pool[(g + 3u) * 128u + o];
      total += totals[(g + 3u) * 4u + h];
      top = max(top, maxima[(g + 3u) * 4u + h]);
    }
    let part = (row * 4u + head + h) * params.splits + split;
    b8[part * 32u + o % 32u] = sum;
    if (o % 32u == 0u) { b9[part] = vec2f(top, total); }
  }
}

// == attention f16 combine
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
fn worth(top: f32, other: f32) -> f32 { return exp2(top - other); }
fn weight_of(part: vec2f, other: f32) -> f32 { return part.y * worth(part.x, other); }
fn merged(a: vec2f, b: vec2f) -> vec2f {
  let top = max(a.x, b.x);
  return vec2f(top, weight_of(a, top) + weight_of(b, top));
}
var<workgroup> shares: array<vec2f, 4>;
var<workgroup> pool: array<f32, 128>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let at = wid.y * 4u + wid.x;
let part0 = b0[(at * 4u + min(lid / 32u + 0u, 3u)) * 32u + lid % 32u];
  for (var s = lid; s < 4u; s += 128u) { shares[s] = b1[at * 4u + s]; }
  workgroupBarrier();
  let sink = vec2f(clamp(bitcast<f32>(extractBits(b3[((0u >> 1u) + (wid.x)) >> 1u], 16u * (((0u >> 1u) + (wid.x)) & 1u), 16u) << 16u) * 1.4426950408889634, -1e30, 1e30), 1.0);
  var top = sink.x;
  for (var s = 0u; s < 4u; s++) { top = max(top, shares[s].x); }
  var total = weight_of(sink, top);
  for (var s = 0u; s < 4u; s++) { total += weight_of(shares[s], top); }
  var sum = 0.0;
{
    let split = lid / 32u + 0u;
    if (split < 4u) {
      let share = shares[split];
      if (share.y > 0.0) { sum += part0 * worth(share.x, top); }
    }
  }
  pool[lid] = sum;
  workgroupBarrier();
  if (lid < 32u) {
    sum += pool[lid + 32u]; sum += pool[lid + 64u]; sum += pool[lid + 96u];
    b2[at * 32u + lid] = sum / total;
  }
}
