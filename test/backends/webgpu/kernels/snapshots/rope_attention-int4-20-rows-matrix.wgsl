// == rotate and append int4
struct Params {
  head_dim: u32,
  rope_scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read_write> b4: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> b5: array<u32>;
@group(0) @binding(7) var<storage, read_write> b6: array<u32>;
const D = 16u;
var<workgroup> vectors: array<f32, 128>;
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
var<workgroup> turns: array<vec2f, 8>;
fn rotated(base: u32, d: u32) -> f32 {
  let turn = turns[d % 8u];
  let a = b0[base + d];
  if (d < 8u) { return a * turn.x - b0[base + d + 8u] * turn.y; }
  return a * turn.x + b0[base + d - 8u] * turn.y;
}
fn scale_of_code(code: u32) -> f32 {
  let bits = select((code + 784u) << 20u, 0u, code == 0u);
  return bitcast<f32>(select(bits, 0x7fc00000u, code == 255u));
}
fn scale_of(parities: u32) -> f32 {
  var x = parities & 0x11111111u;
  x = (x | (x >> 3u)) & 0x03030303u;
  x = (x | (x >> 6u)) & 0x000f000fu;
  return scale_of_code((x | (x >> 12u)) & 255u);
}
var<workgroup> tallies: array<f32, 512>;
var<workgroup> trials: array<f32, 104>;
var<workgroup> scales: array<f32, 8>;
fn nearest_code(value: f32) -> i32 {
  let m = abs(value);
  if (value > 0.0) { return 8 + i32(m > 914.0) + i32(m > 1876.0) + i32(m > 2934.0) + i32(m > 4136.0) + i32(m > 5530.0) + i32(m > 7164.0) + i32(m > 9086.0); }
  return 7 - (i32(m >= 914.0) + i32(m >= 1876.0) + i32(m >= 2934.0) + i32(m >= 4136.0) + i32(m >= 5530.0) + i32(m >= 7164.0) + i32(m >= 9086.0));
}
fn level_of(code: i32) -> f32 { let c = f32(2 * code - 15); return c * (450.0 + c * c); }
fn scale_code(scale: f32, rounding: u32) -> i32 { return i32((bitcast<u32>(scale) + rounding) >> 20u) - 784; }
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
    let value = vectors[i] * inverse;
    let code = nearest_code(value);
    parity ^= u32(code) & 1u;
    let rest = value - level_of(code);
    // The second nearest level, on the side where the value lies or, at the ends, inside.
    let outward = select(code - 1, code + 1, rest > 0.0);
    let other = select(outward, 2 * code - outward, outward > 15 || outward < 0);
    let away = value - level_of(other);
    let more = away * away - rest * rest;
    error += rest * rest;
    if (more < cost) {
      cost = more;
      cheapest = i;
      moved = other;
    }
    if (keep) { vectors[i] = f32(code); }
  }
  if (parity == 1u) {
    error += cost;
    if (keep) { vectors[cheapest] = f32(moved); }
  }
  return error * scale * scale;
}
// The code of the scale to try: the last one's clips nothing; it is not above 254 unless a value is not finite or too large.
fn scale_to_try(k: u32, squares: f32, largest: u32) -> i32 {
  if (k == 5u) {
    return select(scale_code(bitcast<f32>(largest) / 10125.0, 0xfffffu), 255, largest >= 0x7f800000u);
  }
  return scale_code(sqrt(squares / 16.0) / 4000.0, 0x80000u) + i32(k) - 2;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = wid.x;
  let head0 = wid.y * 8u;
  let slot = b1[row];
  let position = b3[row];
  for (var i = lid; i < 8u; i += 64u) {
    turns[i] = params.rope_scale * rotation(position, b2[i]);
  }
  workgroupBarrier();
  for (var i = lid; i < 8u * D; i += 64u) {
    let head = head0 + i / D;
    let base = row * 96u + (0u + min(head, 5u)) * D;
    vectors[i] = 0.0;
      if (head >= 0u && head < 4u) { vectors[i] = rotated(base, i % D); }
      if (head >= 4u && head < 5u) { vectors[i] = rotated(base, i % D); }
      if (head >= 5u && head < 6u) { vectors[i] = b0[base + i % D]; }
  }
  for (var half = 1u; half < 16u; half *= 2u) {
    workgroupBarrier();
    let norm = select(1.0, 0.25, half == 8u);
    for (var i = lid; i < 64u; i += 64u) {
      let at = 2u * i - (i & (half - 1u));
      let a = vectors[at];
      let b = vectors[at + half];
      vectors[at] = (a + b) * norm;
      vectors[at + half] = (a - b) * norm;
    }
  }
  workgroupBarrier();
  for (var i = lid; i < 16u; i += 64u) {
    let head = head0 + i / 2u;
    if (head >= 0u && head < 4u) {
      let at = (row * 4u + head - 0u) * 2u + i % 2u;
      b4[at] = vec4u(pack2x16float(vec2f(vectors[i * 8u + 0u], vectors[i * 8u + 1u])), pack2x16float(vec2f(vectors[i * 8u + 2u], vectors[i * 8u + 3u])), pack2x16float(vec2f(vectors[i * 8u + 4u], vectors[i * 8u + 5u])), pack2x16float(vec2f(vectors[i * 8u + 6u], vectors[i * 8u + 7u])));
    }
  }
  workgroupBarrier();
  if (head0 + 8u > 4u) {
  for (var t = lid; t < 64u; t += 64u) {
    var squares = 0.0;
    var largest = 0u;
    let first = 0u + t / 8u * 16u + t % 8u;
    for (var i = first; i < first + params.head_dim; i += 8u) {
      squares += vectors[i] * vectors[i];
      largest = max(largest, bitcast<u32>(vectors[i]) & 0x7fffffffu);
    }
    tallies[(t) * 8u + 0u] = squares;
    tallies[(t) * 8u + 1u] = bitcast<f32>(largest);
  }
  workgroupBarrier();
  for (var t = lid; t < 384u; t += 64u) {
    let column = t % 64u;
    let vector = column / 8u;
    let k = t / 64u;
    var squares = 0.0;
    var largest = 0u;
    for (var c = 0u; c < 8u; c++) {
      squares += tallies[(vector * 8u + c) * 8u + 0u];
      largest = max(largest, bitcast<u32>(tallies[(vector * 8u + c) * 8u + 1u]));
    }
    let tried = scale_to_try(k, squares, largest);
    if (tried > 0) { tallies[(column) * 8u + 2u + k] = quantize(0u + column / 8u * 16u + column % 8u, u32(min(tried, 254)), false); }
    if (column % 8u == 0u) {
      trials[(vector) * 13u + 0u] = squares;
      trials[(vector) * 13u + 1u + k] = f32(tried);
    }
  }
  workgroupBarrier();
  for (var t = lid; t < 48u; t += 64u) {
    let vector = t / 6u;
    let k = t % 6u;
    var error = 0.0;
    for (var c = 0u; c < 8u; c++) { error += tallies[(vector * 8u + c) * 8u + 2u + k]; }
    trials[(vector) * 13u + 7u + k] = error;
  }
  workgroupBarrier();
  for (var t = lid; t < 64u; t += 64u) {
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
    let first = 0u + t / 8u * 16u + t % 8u;
    if (is_lost || best == 0) {
      for (var i = first; i < first + params.head_dim; i += 8u) { vectors[i] = select(0.0, 1.0, is_lost && i == first); }
    } else {
      let error = quantize(first, u32(best), true);
    }
    scales[vector] = scale_of_code(select(u32(best), 255u, is_lost));
  }
  workgroupBarrier();
  for (var i = lid; i < 16u; i += 64u) {
    let head = head0 + i / 2u;
    if (head >= 4u && head < 5u) {
      let at = (slot * 1u + head - 4u) * 2u + i % 2u;
      b5[at] = ((u32(i32(vectors[i * 8u + 0u])) & 15u) << 0u) | ((u32(i32(vectors[i * 8u + 1u])) & 15u) << 4u) | ((u32(i32(vectors[i * 8u + 2u])) & 15u) << 8u) | ((u32(i32(vectors[i * 8u + 3u])) & 15u) << 12u) | ((u32(i32(vectors[i * 8u + 4u])) & 15u) << 16u) | ((u32(i32(vectors[i * 8u + 5u])) & 15u) << 20u) | ((u32(i32(vectors[i * 8u + 6u])) & 15u) << 24u) | ((u32(i32(vectors[i * 8u + 7u])) & 15u) << 28u);
    }
  }
  for (var i = lid; i < 16u; i += 64u) {
    let head = head0 + i / 2u;
    if (head >= 5u && head < 6u) {
      let at = (slot * 1u + head - 5u) * 2u + i % 2u;
      b6[at] = ((u32(i32(vectors[i * 8u + 0u])) & 15u) << 0u) | ((u32(i32(vectors[i * 8u + 1u])) & 15u) << 4u) | ((u32(i32(vectors[i * 8u + 2u])) & 15u) << 8u) | ((u32(i32(vectors[i * 8u + 3u])) & 15u) << 12u) | ((u32(i32(vectors[i * 8u + 4u])) & 15u) << 16u) | ((u32(i32(vectors[i * 8u + 5u])) & 15u) << 20u) | ((u32(i32(vectors[i * 8u + 6u])) & 15u) << 24u) | ((u32(i32(vectors[i * 8u + 7u])) & 15u) << 28u);
    }
  }
  }
}

// == attention uint32 window 100 tiles matrix
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, subgroup_uniformity);
struct Params {
  rows: u32,
  pages: u32,
  window: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<u32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
@group(0) @binding(8) var<storage, read> b7: array<u32>;
fn worth(top: f32, other: f32) -> f32 { return exp2(top - other); }
fn weight_of(part: vec2f, other: f32) -> f32 { return part.y * worth(part.x, other); }
fn merged(a: vec2f, b: vec2f) -> vec2f {
  let top = max(a.x, b.x);
  return vec2f(top, weight_of(a, top) + weight_of(b, top));
}
fn first_visible(position: u32) -> u32 { return position + 1u - min(position + 1u, params.window); }
fn slot_of(sequence: u32, position: u32) -> u32 { return b6[sequence * params.pages + position / 16u] * 16u + position % 16u; }
fn scale_of_code(code: u32) -> f32 {
  let bits = select((code + 784u) << 20u, 0u, code == 0u);
  return bitcast<f32>(select(bits, 0x7fc00000u, code == 255u));
}
fn scale_of(parities: u32) -> f32 {
  var x = parities & 0x11111111u;
  x = (x | (x >> 3u)) & 0x03030303u;
  x = (x | (x >> 6u)) & 0x000f000fu;
  return scale_of_code((x | (x >> 12u)) & 255u);
}
fn key_parities(at: u32) -> u32 { return ((b1[at * 2u + 0u] ^ b1[at * 2u + 1u]) & 0x11111111u); }
fn value_parities(at: u32) -> u32 { return ((b2[at * 2u + 0u] ^ b2[at * 2u + 1u]) & 0x11111111u); }
fn cubic(codes: vec4u) -> vec4f {
  let c = 2.0 * vec4f(codes) - 15.0;
  return c * (450.0 + c * c);
}
var<workgroup> qs: array<f16, 1536>;
var<workgroup> ks: array<f16, 4608>;
var<workgroup> vs: array<f16, 1536>;
var<workgroup> ss: array<f32, 4352>;
var<workgroup> slots: array<u32, 64>;
var<workgroup> factors: array<f32, 64>;
var<workgroup> partials: array<f32, 128>;
var<workgroup> row_first: array<u32, 16>;
var<workgroup> row_count: array<u32, 16>;
var<workgroup> row_sequence: array<u32, 16>;
var<workgroup> seen: vec4u;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(subgroup_id) sg: u32) {
  let row0 = wid.x * 16u;
  let kv = wid.y / 1u;
  let head0 = wid.y * 4u;
  if (lid < 16u) {
    let row = row0 + lid;
    if (row < params.rows) {
      let position = b4[row];
      row_first[lid] = first_visible(position);
      row_count[lid] = position + 1u - first_visible(position);
      row_sequence[lid] = b5[row];
    } else {
      row_first[lid] = 0u;
      row_count[lid] = 0u;
      row_sequence[lid] = 0xffffffffu;
    }
  }
  workgroupBarrier();
  if (lid == 0u) {
    // What the rows of one sequence see: that of the row which this workgroup is for, unless one before it is of the same.
    var run = vec4u(0xffffffffu, 0u, row_sequence[wid.z], 0u);
    var leads = true;
    for (var i = 0u; i < 16u; i++) {
      if (row_sequence[i] == run.z && row_count[i] > 0u) {
        leads = leads && i >= wid.z;
        run.x = min(run.x, row_first[i]);
        run.y = max(run.y, row_first[i] + row_count[i]);
      }
    }
    if (!leads) { run.y = 0u; }
    seen = run;
  }
  let run = workgroupUniformLoad(&seen);
  if (run.y == 0u) { return; }
  for (var e = lid; e < 128u; e += 128u) {
    let r = e / 2u;
    let row = min(row0 + r / 4u, params.rows - 1u);
    let unit = b0[(row * 4u + head0 + r % 4u) * 2u + e % 2u];
    let d = e % 2u * 8u;
    { let pair = bitcast<vec2<f16>>(unit.x); qs[r * 24u + d + 0u] = pair.x; qs[r * 24u + d + 1u] = pair.y; }
{ let pair = bitcast<vec2<f16>>(unit.y); qs[r * 24u + d + 2u] = pair.x; qs[r * 24u + d + 3u] = pair.y; }
{ let pair = bitcast<vec2<f16>>(unit.z); qs[r * 24u + d + 4u] = pair.x; qs[r * 24u + d + 5u] = pair.y; }
{ let pair = bitcast<vec2<f16>>(unit.w); qs[r * 24u + d + 6u] = pair.x; qs[r * 24u + d + 7u] = pair.y; }
  }
      for (var c = lid; c < 64u; c += 128u) { slots[c] = slot_of(run.z, min(run.x + c, run.y - 1u)); }
  workgroupBarrier();
  let r_own = lid / 2u;
  let c_own = lid % 2u;
  let place = min(r_own / 4u, 15u);
  var top = f32(-1e30);
  var total = 0.0;
  let rows0 = sg * 16u;
  var o0 = 0.0;
var o1 = 0.0;
var o2 = 0.0;
var o3 = 0.0;
var o4 = 0.0;
var o5 = 0.0;
var o6 = 0.0;
var o7 = 0.0;
  let first = row_first[place];
  let count = select(0u, row_count[place], row_sequence[place] == run.z);
  for (var base = run.x; base < run.y; base += 64u) {
    for (var e = lid; e < 128u; e += 128u) {
      let r = e / 2u;
      let vector = slots[r] * 1u + kv;
      let unit = b1[vector * 2u + e % 2u];
      let d = e % 2u * 8u;
      let scale = scale_of(key_parities(vector));
      { let four = scale * cubic((vec4u(unit) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)); ks[r * 24u + (d + 0u) + 0u] = f16(four.x);
ks[r * 24u + (d + 0u) + 1u] = f16(four.y);
ks[r * 24u + (d + 0u) + 2u] = f16(four.z);
ks[r * 24u + (d + 0u) + 3u] = f16(four.w); }
{ let four = scale * cubic((vec4u(unit) >> vec4u(16u, 20u, 24u, 28u)) & vec4u(15u)); ks[r * 24u + (d + 4u) + 0u] = f16(four.x);
ks[r * 24u + (d + 4u) + 1u] = f16(four.y);
ks[r * 24u + (d + 4u) + 2u] = f16(four.z);
ks[r * 24u + (d + 4u) + 3u] = f16(four.w); }
    }
    for (var e = lid; e < 128u; e += 128u) {
      let r = e / 2u;
      let vector = slots[r] * 1u + kv;
      let unit = b2[vector * 2u + e % 2u];
      let d = e % 2u * 8u;
      let scale = scale_of(value_parities(vector));
      { let four = scale * cubic((vec4u(unit) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)); vs[r * 24u + (d + 0u) + 0u] = f16(four.x);
vs[r * 24u + (d + 0u) + 1u] = f16(four.y);
vs[r * 24u + (d + 0u) + 2u] = f16(four.z);
vs[r * 24u + (d + 0u) + 3u] = f16(four.w); }
{ let four = scale * cubic((vec4u(unit) >> vec4u(16u, 20u, 24u, 28u)) & vec4u(15u)); vs[r * 24u + (d + 4u) + 0u] = f16(four.x);
vs[r * 24u + (d + 4u) + 1u] = f16(four.y);
vs[r * 24u + (d + 4u) + 2u] = f16(four.z);
vs[r * 24u + (d + 4u) + 3u] = f16(four.w); }
    }
    workgroupBarrier();
    {
      var s0_0 = subgroup_matrix_result<f32, 16, 16>();
var s0_1 = subgroup_matrix_result<f32, 16, 16>();
var s0_2 = subgroup_matrix_result<f32, 16, 16>();
var s0_3 = subgroup_matrix_result<f32, 16, 16>();
      {
        let left0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&qs, (rows0 + 0u) * 24u + 0u, 24u);
        let right0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ks, 0u, 24u);
        s0_0 = subgroupMatrixMultiplyAccumulate(left0, right0, s0_0);
let right1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ks, 384u, 24u);
        s0_1 = subgroupMatrixMultiplyAccumulate(left0, right1, s0_1);
let right2 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ks, 768u, 24u);
        s0_2 = subgroupMatrixMultiplyAccumulate(left0, right2, s0_2);
let right3 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ks, 1152u, 24u);
        s0_3 = subgroupMatrixMultiplyAccumulate(left0, right3, s0_3);
      }
      subgroupMatrixStore<row_major>(&ss, (rows0 + 0u) * 68u + 0u, s0_0, 68u);
subgroupMatrixStore<row_major>(&ss, (rows0 + 0u) * 68u + 16u, s0_1, 68u);
subgroupMatrixStore<row_major>(&ss, (rows0 + 0u) * 68u + 32u, s0_2, 68u);
subgroupMatrixStore<row_major>(&ss, (rows0 + 0u) * 68u + 48u, s0_3, 68u);
    }
    workgroupBarrier();
    var highest = f32(-3e38);
    let x0 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 0u], base + c_own + 0u - first < count);
    highest = max(highest, x0);
    let x1 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 2u], base + c_own + 2u - first < count);
    highest = max(highest, x1);
    let x2 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 4u], base + c_own + 4u - first < count);
    highest = max(highest, x2);
    let x3 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 6u], base + c_own + 6u - first < count);
    highest = max(highest, x3);
    let x4 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 8u], base + c_own + 8u - first < count);
    highest = max(highest, x4);
    let x5 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 10u], base + c_own + 10u - first < count);
    highest = max(highest, x5);
    let x6 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 12u], base + c_own + 12u - first < count);
    highest = max(highest, x6);
    let x7 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 14u], base + c_own + 14u - first < count);
    highest = max(highest, x7);
    let x8 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 16u], base + c_own + 16u - first < count);
    highest = max(highest, x8);
    let x9 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 18u], base + c_own + 18u - first < count);
    highest = max(highest, x9);
    let x10 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 20u], base + c_own + 20u - first < count);
    highest = max(highest, x10);
    let x11 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 22u], base + c_own + 22u - first < count);
    highest = max(highest, x11);
    let x12 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 24u], base + c_own + 24u - first < count);
    highest = max(highest, x12);
    let x13 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 26u], base + c_own + 26u - first < count);
    highest = max(highest, x13);
    let x14 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 28u], base + c_own + 28u - first < count);
    highest = max(highest, x14);
    let x15 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 30u], base + c_own + 30u - first < count);
    highest = max(highest, x15);
    let x16 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 32u], base + c_own + 32u - first < count);
    highest = max(highest, x16);
    let x17 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 34u], base + c_own + 34u - first < count);
    highest = max(highest, x17);
    let x18 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 36u], base + c_own + 36u - first < count);
    highest = max(highest, x18);
    let x19 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 38u], base + c_own + 38u - first < count);
    highest = max(highest, x19);
    let x20 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 40u], base + c_own + 40u - first < count);
    highest = max(highest, x20);
    let x21 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 42u], base + c_own + 42u - first < count);
    highest = max(highest, x21);
    let x22 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 44u], base + c_own + 44u - first < count);
    highest = max(highest, x22);
    let x23 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 46u], base + c_own + 46u - first < count);
    highest = max(highest, x23);
    let x24 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 48u], base + c_own + 48u - first < count);
    highest = max(highest, x24);
    let x25 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 50u], base + c_own + 50u - first < count);
    highest = max(highest, x25);
    let x26 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 52u], base + c_own + 52u - first < count);
    highest = max(highest, x26);
    let x27 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 54u], base + c_own + 54u - first < count);
    highest = max(highest, x27);
    let x28 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 56u], base + c_own + 56u - first < count);
    highest = max(highest, x28);
    let x29 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 58u], base + c_own + 58u - first < count);
    highest = max(highest, x29);
    let x30 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 60u], base + c_own + 60u - first < count);
    highest = max(highest, x30);
    let x31 = select(-3e38, params.scale * ss[r_own * 68u + c_own + 62u], base + c_own + 62u - first < count);
    highest = max(highest, x31);
    partials[lid] = highest;
    workgroupBarrier();
highest = max(highest, partials[r_own * 2u + 0u]);
highest = max(highest, partials[r_own * 2u + 1u]);
    highest = max(highest, top);
    let factor = worth(top, highest);
    top = highest;
    total *= factor;
    if (c_own == 0u) { factors[r_own] = factor; }
{
      let weight = exp2(x0 - top);
      total += weight;
      ks[r_own * 72u + c_own + 0u] = f16(weight);
    }
{
      let weight = exp2(x1 - top);
      total += weight;
      ks[r_own * 72u + c_own + 2u] = f16(weight);
    }
{
      let weight = exp2(x2 - top);
      total += weight;
      ks[r_own * 72u + c_own + 4u] = f16(weight);
    }
{
      let weight = exp2(x3 - top);
      total += weight;
      ks[r_own * 72u + c_own + 6u] = f16(weight);
    }
{
      let weight = exp2(x4 - top);
      total += weight;
      ks[r_own * 72u + c_own + 8u] = f16(weight);
    }
{
      let weight = exp2(x5 - top);
      total += weight;
      ks[r_own * 72u + c_own + 10u] = f16(weight);
    }
{
      let weight = exp2(x6 - top);
      total += weight;
      ks[r_own * 72u + c_own + 12u] = f16(weight);
    }
{
      let weight = exp2(x7 - top);
      total += weight;
      ks[r_own * 72u + c_own + 14u] = f16(weight);
    }
{
      let weight = exp2(x8 - top);
      total += weight;
      ks[r_own * 72u + c_own + 16u] = f16(weight);
    }
{
      let weight = exp2(x9 - top);
      total += weight;
      ks[r_own * 72u + c_own + 18u] = f16(weight);
    }
{
      let weight = exp2(x10 - top);
      total += weight;
      ks[r_own * 72u + c_own + 20u] = f16(weight);
    }
{
      let weight = exp2(x11 - top);
      total += weight;
      ks[r_own * 72u + c_own + 22u] = f16(weight);
    }
{
      let weight = exp2(x12 - top);
      total += weight;
      ks[r_own * 72u + c_own + 24u] = f16(weight);
    }
{
      let weight = exp2(x13 - top);
      total += weight;
      ks[r_own * 72u + c_own + 26u] = f16(weight);
    }
{
      let weight = exp2(x14 - top);
      total += weight;
      ks[r_own * 72u + c_own + 28u] = f16(weight);
    }
{
      let weight = exp2(x15 - top);
      total += weight;
      ks[r_own * 72u + c_own + 30u] = f16(weight);
    }
{
      let weight = exp2(x16 - top);
      total += weight;
      ks[r_own * 72u + c_own + 32u] = f16(weight);
    }
{
      let weight = exp2(x17 - top);
      total += weight;
      ks[r_own * 72u + c_own + 34u] = f16(weight);
    }
{
      let weight = exp2(x18 - top);
      total += weight;
      ks[r_own * 72u + c_own + 36u] = f16(weight);
    }
{
      let weight = exp2(x19 - top);
      total += weight;
      ks[r_own * 72u + c_own + 38u] = f16(weight);
    }
{
      let weight = exp2(x20 - top);
      total += weight;
      ks[r_own * 72u + c_own + 40u] = f16(weight);
    }
{
      let weight = exp2(x21 - top);
      total += weight;
      ks[r_own * 72u + c_own + 42u] = f16(weight);
    }
{
      let weight = exp2(x22 - top);
      total += weight;
      ks[r_own * 72u + c_own + 44u] = f16(weight);
    }
{
      let weight = exp2(x23 - top);
      total += weight;
      ks[r_own * 72u + c_own + 46u] = f16(weight);
    }
{
      let weight = exp2(x24 - top);
      total += weight;
      ks[r_own * 72u + c_own + 48u] = f16(weight);
    }
{
      let weight = exp2(x25 - top);
      total += weight;
      ks[r_own * 72u + c_own + 50u] = f16(weight);
    }
{
      let weight = exp2(x26 - top);
      total += weight;
      ks[r_own * 72u + c_own + 52u] = f16(weight);
    }
{
      let weight = exp2(x27 - top);
      total += weight;
      ks[r_own * 72u + c_own + 54u] = f16(weight);
    }
{
      let weight = exp2(x28 - top);
      total += weight;
      ks[r_own * 72u + c_own + 56u] = f16(weight);
    }
{
      let weight = exp2(x29 - top);
      total += weight;
      ks[r_own * 72u + c_own + 58u] = f16(weight);
    }
{
      let weight = exp2(x30 - top);
      total += weight;
      ks[r_own * 72u + c_own + 60u] = f16(weight);
    }
{
      let weight = exp2(x31 - top);
      total += weight;
      ks[r_own * 72u + c_own + 62u] = f16(weight);
    }
    workgroupBarrier();
    // Both keys and values are here: where the next ones lie is looked up meanwhile.
      for (var c = lid; c < 64u; c += 128u) { slots[c] = slot_of(run.z, min(base + 64u + c, run.y - 1u)); }
    {
      var s0_0 = subgroup_matrix_result<f32, 16, 16>();
      {
        let left0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&ks, (rows0 + 0u) * 72u + 0u, 72u);
        let right0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&vs, 0u, 24u);
        s0_0 = subgroupMatrixMultiplyAccumulate(left0, right0, s0_0);
      }
{
        let left0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&ks, (rows0 + 0u) * 72u + 16u, 72u);
        let right0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&vs, 384u, 24u);
        s0_0 = subgroupMatrixMultiplyAccumulate(left0, right0, s0_0);
      }
{
        let left0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&ks, (rows0 + 0u) * 72u + 32u, 72u);
        let right0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&vs, 768u, 24u);
        s0_0 = subgroupMatrixMultiplyAccumulate(left0, right0, s0_0);
      }
{
        let left0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&ks, (rows0 + 0u) * 72u + 48u, 72u);
        let right0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&vs, 1152u, 24u);
        s0_0 = subgroupMatrixMultiplyAccumulate(left0, right0, s0_0);
      }
      subgroupMatrixStore<row_major>(&ss, (rows0 + 0u) * 68u + 0u, s0_0, 68u);
    }
      workgroupBarrier();
      { let e = lid + 0u; o0 = o0 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
{ let e = lid + 128u; o1 = o1 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
{ let e = lid + 256u; o2 = o2 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
{ let e = lid + 384u; o3 = o3 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
{ let e = lid + 512u; o4 = o4 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
{ let e = lid + 640u; o5 = o5 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
{ let e = lid + 768u; o6 = o6 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
{ let e = lid + 896u; o7 = o7 * factors[e / 16u] + ss[e / 16u * 68u + e % 16u]; }
    workgroupBarrier();
  }
  partials[lid] = total;
  workgroupBarrier();
  if (c_own == 0u) {
total += partials[lid + 1u];
    let all = merged(vec2f(top, total), vec2f(clamp(bitcast<f32>(extractBits(b7[((0u >> 1u) + (head0 + r_own % 4u)) >> 1u], 16u * (((0u >> 1u) + (head0 + r_own % 4u)) & 1u), 16u) << 16u) * 1.4426950408889634, -1e30, 1e30), 1.0));
    factors[r_own] = worth(top, all.x) / max(all.y, 1e-30);
  }
  workgroupBarrier();
  { let e = lid + 0u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o0 * factors[r];
  } }
{ let e = lid + 128u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o1 * factors[r];
  } }
{ let e = lid + 256u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o2 * factors[r];
  } }
{ let e = lid + 384u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o3 * factors[r];
  } }
{ let e = lid + 512u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o4 * factors[r];
  } }
{ let e = lid + 640u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o5 * factors[r];
  } }
{ let e = lid + 768u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o6 * factors[r];
  } }
{ let e = lid + 896u; let r = e / 16u;
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + e % 16u] = o7 * factors[r];
  } }
}

// == rotate vectors
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
var<workgroup> vectors: array<f32, 128>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let first = (wid.x * 4u + wid.y * 8u) * 16u;
  let count = min(8u, 4u - wid.y * 8u) * 16u;
  for (var i = lid; i < 128u; i += 64u) { vectors[i] = b0[first + min(i, count - 1u)]; }
  for (var half = 1u; half < 16u; half *= 2u) {
    workgroupBarrier();
    let norm = select(1.0, 0.25, half == 8u);
    for (var i = lid; i < 64u; i += 64u) {
      let at = 2u * i - (i & (half - 1u));
      let a = vectors[at];
      let b = vectors[at + half];
      vectors[at] = (a + b) * norm;
      vectors[at + half] = (a - b) * norm;
    }
  }
  workgroupBarrier();
  for (var i = lid; i < count; i += 64u) { b0[first + i] = vectors[i]; }
}
