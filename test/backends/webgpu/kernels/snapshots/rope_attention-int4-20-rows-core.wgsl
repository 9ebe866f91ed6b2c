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
@group(0) @binding(5) var<storage, read_write> b4: array<vec4<f32>>;
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
  for (var i = lid; i < 32u; i += 64u) {
    let head = head0 + i / 4u;
    if (head >= 0u && head < 4u) {
      let at = (row * 4u + head - 0u) * 4u + i % 4u;
      b4[at] = vec4f(vectors[i * 4u + 0u], vectors[i * 4u + 1u], vectors[i * 4u + 2u], vectors[i * 4u + 3u]);
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

// == attention uint32 window 100 tiles
struct Params {
  rows: u32,
  pages: u32,
  window: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<f32>>;
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
var<workgroup> qs: array<vec4f, 320>;
var<workgroup> kvs: array<vec4f, 160>;
var<workgroup> ss: array<vec4f, 576>;
var<workgroup> slots: array<u32, 32>;
var<workgroup> factors: array<f32, 64>;
var<workgroup> partials: array<f32, 256>;
var<workgroup> row_first: array<u32, 16>;
var<workgroup> row_count: array<u32, 16>;
var<workgroup> row_sequence: array<u32, 16>;
var<workgroup> seen: vec4u;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
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
  for (var e = lid; e < 256u; e += 256u) {
    let r = e / 4u;
    let row = min(row0 + r / 4u, params.rows - 1u);
    let unit = b0[(row * 4u + head0 + r % 4u) * 4u + e % 4u];
    let d = e % 4u * 4u;
    qs[r * 5u + d / 4u] = unit;
  }
      for (var c = lid; c < 32u; c += 256u) { slots[c] = slot_of(run.z, min(run.x + c, run.y - 1u)); }
  workgroupBarrier();
  let r_own = lid / 4u;
  let c_own = lid % 4u;
  let place = min(r_own / 4u, 15u);
  var top = f32(-1e30);
  var total = 0.0;
  let tr = lid / 16u * 4u;
  let tc = lid % 16u;
  var o0_0 = vec4f(0.0);
var o1_0 = vec4f(0.0);
var o2_0 = vec4f(0.0);
var o3_0 = vec4f(0.0);
  let first = row_first[place];
  let count = select(0u, row_count[place], row_sequence[place] == run.z);
  for (var base = run.x; base < run.y; base += 32u) {
    for (var e = lid; e < 64u; e += 256u) {
      let r = e / 2u;
      let vector = slots[r] * 1u + kv;
      let unit = b1[vector * 2u + e % 2u];
      let d = e % 2u * 8u;
      let scale = scale_of(key_parities(vector));
      { let four = scale * cubic((vec4u(unit) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)); kvs[r * 5u + (d + 0u) / 4u] = four; }
{ let four = scale * cubic((vec4u(unit) >> vec4u(16u, 20u, 24u, 28u)) & vec4u(15u)); kvs[r * 5u + (d + 4u) / 4u] = four; }
    }
    workgroupBarrier();
    {
      var s0_0 = 0.0;
var s0_1 = 0.0;
var s1_0 = 0.0;
var s1_1 = 0.0;
var s2_0 = 0.0;
var s2_1 = 0.0;
var s3_0 = 0.0;
var s3_1 = 0.0;
      for (var d = 0u; d < 4u; d++) {
        let k0 = kvs[(tc + 0u) * 5u + d];
let k1 = kvs[(tc + 16u) * 5u + d];
        let q0 = qs[(tr + 0u) * 5u + d];
        s0_0 += dot(q0, k0);
s0_1 += dot(q0, k1);
let q1 = qs[(tr + 1u) * 5u + d];
        s1_0 += dot(q1, k0);
s1_1 += dot(q1, k1);
let q2 = qs[(tr + 2u) * 5u + d];
        s2_0 += dot(q2, k0);
s2_1 += dot(q2, k1);
let q3 = qs[(tr + 3u) * 5u + d];
        s3_0 += dot(q3, k0);
s3_1 += dot(q3, k1);
      }
      ss[((tr + 0u) * 36u + tc + 0u) >> 2u][tc & 3u] = s0_0;
ss[((tr + 0u) * 36u + tc + 16u) >> 2u][tc & 3u] = s0_1;
ss[((tr + 1u) * 36u + tc + 0u) >> 2u][tc & 3u] = s1_0;
ss[((tr + 1u) * 36u + tc + 16u) >> 2u][tc & 3u] = s1_1;
ss[((tr + 2u) * 36u + tc + 0u) >> 2u][tc & 3u] = s2_0;
ss[((tr + 2u) * 36u + tc + 16u) >> 2u][tc & 3u] = s2_1;
ss[((tr + 3u) * 36u + tc + 0u) >> 2u][tc & 3u] = s3_0;
ss[((tr + 3u) * 36u + tc + 16u) >> 2u][tc & 3u] = s3_1;
    }
    workgroupBarrier();
    for (var e = lid; e < 64u; e += 256u) {
      let r = e / 2u;
      let vector = slots[r] * 1u + kv;
      let unit = b2[vector * 2u + e % 2u];
      let d = e % 2u * 8u;
      let scale = scale_of(value_parities(vector));
      { let four = scale * cubic((vec4u(unit) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)); kvs[r * 5u + (d + 0u) / 4u] = four; }
{ let four = scale * cubic((vec4u(unit) >> vec4u(16u, 20u, 24u, 28u)) & vec4u(15u)); kvs[r * 5u + (d + 4u) / 4u] = four; }
    }
    var highest = f32(-3e38);
    let x0 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 0u) >> 2u][(c_own + 0u) & 3u], base + c_own + 0u - first < count);
    highest = max(highest, x0);
    let x1 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 4u) >> 2u][(c_own + 4u) & 3u], base + c_own + 4u - first < count);
    highest = max(highest, x1);
    let x2 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 8u) >> 2u][(c_own + 8u) & 3u], base + c_own + 8u - first < count);
    highest = max(highest, x2);
    let x3 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 12u) >> 2u][(c_own + 12u) & 3u], base + c_own + 12u - first < count);
    highest = max(highest, x3);
    let x4 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 16u) >> 2u][(c_own + 16u) & 3u], base + c_own + 16u - first < count);
    highest = max(highest, x4);
    let x5 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 20u) >> 2u][(c_own + 20u) & 3u], base + c_own + 20u - first < count);
    highest = max(highest, x5);
    let x6 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 24u) >> 2u][(c_own + 24u) & 3u], base + c_own + 24u - first < count);
    highest = max(highest, x6);
    let x7 = select(-3e38, params.scale * ss[(r_own * 36u + c_own + 28u) >> 2u][(c_own + 28u) & 3u], base + c_own + 28u - first < count);
    highest = max(highest, x7);
    partials[lid] = highest;
    workgroupBarrier();
highest = max(highest, partials[r_own * 4u + 0u]);
highest = max(highest, partials[r_own * 4u + 1u]);
highest = max(highest, partials[r_own * 4u + 2u]);
highest = max(highest, partials[r_own * 4u + 3u]);
    highest = max(highest, top);
    let factor = worth(top, highest);
    top = highest;
    total *= factor;
    if (c_own == 0u) { factors[r_own] = factor; }
{
      let weight = exp2(x0 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 0u) >> 2u][(c_own + 0u) & 3u] = weight;
    }
{
      let weight = exp2(x1 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 4u) >> 2u][(c_own + 4u) & 3u] = weight;
    }
{
      let weight = exp2(x2 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 8u) >> 2u][(c_own + 8u) & 3u] = weight;
    }
{
      let weight = exp2(x3 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 12u) >> 2u][(c_own + 12u) & 3u] = weight;
    }
{
      let weight = exp2(x4 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 16u) >> 2u][(c_own + 16u) & 3u] = weight;
    }
{
      let weight = exp2(x5 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 20u) >> 2u][(c_own + 20u) & 3u] = weight;
    }
{
      let weight = exp2(x6 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 24u) >> 2u][(c_own + 24u) & 3u] = weight;
    }
{
      let weight = exp2(x7 - top);
      total += weight;
      ss[(r_own * 36u + c_own + 28u) >> 2u][(c_own + 28u) & 3u] = weight;
    }
    workgroupBarrier();
    // Both keys and values are here: where the next ones lie is looked up meanwhile.
      for (var c = lid; c < 32u; c += 256u) { slots[c] = slot_of(run.z, min(base + 32u + c, run.y - 1u)); }
    { let f = factors[tr + 0u]; o0_0 *= f; }
{ let f = factors[tr + 1u]; o1_0 *= f; }
{ let f = factors[tr + 2u]; o2_0 *= f; }
{ let f = factors[tr + 3u]; o3_0 *= f; }
      for (var c = 0u; c < 8u; c++) {
        let p0 = ss[(tr + 0u) * 9u + c];
let p1 = ss[(tr + 1u) * 9u + c];
let p2 = ss[(tr + 2u) * 9u + c];
let p3 = ss[(tr + 3u) * 9u + c];
        if (tc + 0u < 4u) { { let value = kvs[(4u * c + 0u) * 5u + tc + 0u];
        o0_0 += p0[0] * value;
o1_0 += p1[0] * value;
o2_0 += p2[0] * value;
o3_0 += p3[0] * value; }
{ let value = kvs[(4u * c + 1u) * 5u + tc + 0u];
        o0_0 += p0[1] * value;
o1_0 += p1[1] * value;
o2_0 += p2[1] * value;
o3_0 += p3[1] * value; }
{ let value = kvs[(4u * c + 2u) * 5u + tc + 0u];
        o0_0 += p0[2] * value;
o1_0 += p1[2] * value;
o2_0 += p2[2] * value;
o3_0 += p3[2] * value; }
{ let value = kvs[(4u * c + 3u) * 5u + tc + 0u];
        o0_0 += p0[3] * value;
o1_0 += p1[3] * value;
o2_0 += p2[3] * value;
o3_0 += p3[3] * value; } }
      }
    workgroupBarrier();
  }
  partials[lid] = total;
  workgroupBarrier();
  if (c_own == 0u) {
total += partials[lid + 1u];
total += partials[lid + 2u];
total += partials[lid + 3u];
    let all = merged(vec2f(top, total), vec2f(clamp(bitcast<f32>(extractBits(b7[((0u >> 1u) + (head0 + r_own % 4u)) >> 1u], 16u * (((0u >> 1u) + (head0 + r_own % 4u)) & 1u), 16u) << 16u) * 1.4426950408889634, -1e30, 1e30), 1.0));
    factors[r_own] = worth(top, all.x) / max(all.y, 1e-30);
  }
  workgroupBarrier();
  if (tc + 0u < 4u) { { let f = factors[tr + 0u]; let r = tr + 0u; let d = 4u * (tc + 0u);
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 0u] = o0_0[0] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 1u] = o0_0[1] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 2u] = o0_0[2] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 3u] = o0_0[3] * f;
  } }
{ let f = factors[tr + 1u]; let r = tr + 1u; let d = 4u * (tc + 0u);
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 0u] = o1_0[0] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 1u] = o1_0[1] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 2u] = o1_0[2] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 3u] = o1_0[3] * f;
  } }
{ let f = factors[tr + 2u]; let r = tr + 2u; let d = 4u * (tc + 0u);
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 0u] = o2_0[0] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 1u] = o2_0[1] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 2u] = o2_0[2] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 3u] = o2_0[3] * f;
  } }
{ let f = factors[tr + 3u]; let r = tr + 3u; let d = 4u * (tc + 0u);
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 0u] = o3_0[0] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 1u] = o3_0[1] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 2u] = o3_0[2] * f;
  }
  if (r < 64u && row_sequence[r / 4u] == run.z) {
    b3[((row0 + r / 4u) * 4u + head0 + r % 4u) * 16u + d + 3u] = o3_0[3] * f;
  } } }
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
