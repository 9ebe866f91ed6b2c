// == rms_norm
struct Params {
  rows: u32,
  n: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
var<workgroup> reduce_f32: array<f32, 256>;
fn workgroup_sum(value: f32, lid: u32) -> f32 {
  reduce_f32[lid] = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      let a = reduce_f32[lid];
      let b = reduce_f32[lid + half];
      reduce_f32[lid] = a + b;
     }
  }
  workgroupBarrier();
  let all = reduce_f32[0];
  workgroupBarrier();
  return all;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = (wid.x + wid.y * nwg.x);
  if (row >= params.rows) { return; }
  let at = row * params.n;
  var own = 0.0;
  for (var i = lid; i < params.n; i += 256u) { let v = b0[at + i]; own += v * v; }
  let inverse = inverseSqrt(workgroup_sum(own, lid) / f32(params.n) + params.eps);
  for (var i = lid; i < params.n; i += 256u) { b2[at + i] = b0[at + i] * inverse * bitcast<f32>(extractBits(b1[((0u >> 1u) + (i)) >> 1u], 16u * (((0u >> 1u) + (i)) & 1u), 16u) << 16u); }
}

// == matmul affine 3/32, any size
struct Params {
  L: u32,
  N: u32,
  first: u32,
  count: u32,
  groups: u32,
  w_K: u32,
  w_weight_n: u32,
  w_weight_e: u32,
  w_scales_n: u32,
  w_scales_e: u32,
  w_biases_n: u32,
  w_biases_e: u32,
  w_bias_n: u32,
  w_bias_e: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read_write> b5: array<f32>;
struct Eight { lo: vec4f, hi: vec4f }
fn dot8(a: Eight, b: Eight) -> f32 { return dot(a.lo, b.lo) + dot(a.hi, b.hi); }
var<workgroup> reduce_f32: array<f32, 64>;
fn workgroup_sum(value: f32, lid: u32) -> f32 {
  reduce_f32[lid] = value;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      let a = reduce_f32[lid];
      let b = reduce_f32[lid + half];
      reduce_f32[lid] = a + b;
     }
  }
  workgroupBarrier();
  let all = reduce_f32[0];
  workgroupBarrier();
  return all;
}
fn w_raw(e: u32, n: u32, k: u32) -> Eight {
  let row = e * params.w_weight_e + n * params.w_weight_n;
  let byte = (k / 8u) * 3u;
  let shift = 8u * (byte & 3u);
  var q = b1[row + byte / 4u] >> shift; if (shift > 8u) { q |= b1[row + byte / 4u + 1u] << (32u - shift); }
  return Eight(vec4f((vec4u(q) >> vec4u(0u, 3u, 6u, 9u)) & vec4u(7u)), vec4f((vec4u(q) >> vec4u(12u, 15u, 18u, 21u)) & vec4u(7u)));
}
fn w_eight(e: u32, n: u32, k: u32) -> Eight {
  let q = w_raw(e, n, k);
  let scale = vec2f(bitcast<f32>(extractBits(b2[((0u >> 1u) + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) >> 1u], 16u * (((0u >> 1u) + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) & 1u), 16u) << 16u), 1.0);
  return Eight(q.lo * scale.x * scale.y + bitcast<f32>(extractBits(b3[((0u >> 1u) + (e * params.w_biases_e + n * params.w_biases_n + k / 32u)) >> 1u], 16u * (((0u >> 1u) + (e * params.w_biases_e + n * params.w_biases_n + k / 32u)) & 1u), 16u) << 16u), q.hi * scale.x * scale.y + bitcast<f32>(extractBits(b3[((0u >> 1u) + (e * params.w_biases_e + n * params.w_biases_n + k / 32u)) >> 1u], 16u * (((0u >> 1u) + (e * params.w_biases_e + n * params.w_biases_n + k / 32u)) & 1u), 16u) << 16u));
}
fn w_dot(e: u32, n: u32, k: u32, x: Eight) -> f32 { return dot8(w_eight(e, n, k), x); }
fn w_bias(e: u32, n: u32) -> f32 { return bitcast<f32>(extractBits(b4[((0u >> 1u) + (e * params.w_bias_e + n * params.w_bias_n + 0u)) >> 1u], 16u * (((0u >> 1u) + (e * params.w_bias_e + n * params.w_bias_n + 0u)) & 1u), 16u) << 16u); }
fn x_eight(l: u32, k: u32) -> Eight {
  let at = min(l, params.L - 1u) * params.w_K;
  let last = params.w_K - 1u;
  return Eight(
    vec4f(b0[at + min(k + 0u, last)], b0[at + min(k + 1u, last)], b0[at + min(k + 2u, last)], b0[at + min(k + 3u, last)]),
    vec4f(b0[at + min(k + 4u, last)], b0[at + min(k + 5u, last)], b0[at + min(k + 6u, last)], b0[at + min(k + 7u, last)]),
  );
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let n = group % params.count;
  let l = (group / params.count) * 4u;
  var sums: array<f32, 4>;
  for (var k = 8u * lid; k < params.w_K; k += 512u) {
    for (var i = 0u; i < 4u; i++) {
      if (l + i < params.L) { sums[i] += w_dot(0u, n, k, x_eight(l + i, k)); }
    }
  }
  for (var i = 0u; i < 4u; i++) {
    let sum = workgroup_sum(sums[i], lid);
    if (lid == 0u && l + i < params.L) {
      let at = (l + i) * params.N + params.first + n;
      b5[at] = sum + w_bias(0u, n);
    }
  }
}

// == top_k of 8
struct Params {
  groups: u32,
  n: u32,
  k: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
fn goes_before(a: f32, i: u32, b: f32, j: u32) -> bool { return a > b || (a == b && i < j); }
var<workgroup> reduce_f32: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let row = group * params.n;
  for (var n = lid; n < params.n; n += 64u) {
    let own = max(b0[row + n], -3.4028234e38);
    var place = 0u;
    for (var other = 0u; other < params.n; other++) { place += u32(goes_before(max(b0[row + other], -3.4028234e38), other, own, n)); }
    if (place < params.k) { b1[group * params.k + place] = n; }
  }
}

// == take_along_axis
struct Params {
  n: u32,
  length: u32,
  k: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<u32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  let index = min(b1[i], params.length - 1u);
  b2[i] = b0[(i / params.k) * params.length + index];
}

// == softmax
struct Params {
  rows: u32,
  n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
var<workgroup> reduce_f32: array<f32, 256>;
fn workgroup_max(value: f32, lid: u32) -> f32 {
  reduce_f32[lid] = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      let a = reduce_f32[lid];
      let b = reduce_f32[lid + half];
      reduce_f32[lid] = max(a, b);
     }
  }
  workgroupBarrier();
  let all = reduce_f32[0];
  workgroupBarrier();
  return all;
}
fn workgroup_sum(value: f32, lid: u32) -> f32 {
  reduce_f32[lid] = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      let a = reduce_f32[lid];
      let b = reduce_f32[lid + half];
      reduce_f32[lid] = a + b;
     }
  }
  workgroupBarrier();
  let all = reduce_f32[0];
  workgroupBarrier();
  return all;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = (wid.x + wid.y * nwg.x);
  if (row >= params.rows) { return; }
  let at = row * params.n;
  var own = -3.4028234e38;
  for (var i = lid; i < params.n; i += 256u) { own = max(own, b0[at + i]); }
  let largest = workgroup_max(own, lid);
  var sum = 0.0;
  for (var i = lid; i < params.n; i += 256u) { sum += exp(max(max(b0[at + i], -3.4028234e38) - largest, -200.0)); }
  let total = workgroup_sum(sum, lid);
  for (var i = lid; i < params.n; i += 256u) { b1[at + i] = exp(max(max(b0[at + i], -3.4028234e38) - largest, -200.0)) / total; }
}
