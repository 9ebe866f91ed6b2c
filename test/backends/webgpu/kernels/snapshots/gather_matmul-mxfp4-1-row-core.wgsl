// == gather_matmul mxfp4 4/32, any size
struct Params {
  N: u32,
  experts: u32,
  first: u32,
  count: u32,
  per_row: u32,
  groups: u32,
  w_K: u32,
  w_weight_n: u32,
  w_weight_e: u32,
  w_scales_n: u32,
  w_scales_e: u32,
  w_bias_n: u32,
  w_bias_e: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read_write> b5: array<f32>;
struct Eight { lo: vec4f, hi: vec4f }
fn dot8(a: Eight, b: Eight) -> f32 { return dot(a.lo, b.lo) + dot(a.hi, b.hi); }
fn e2m1(q: u32) -> vec4f {
  let code = vec4u(q, q >> 4u, q >> 8u, q >> 12u);
  let twice = vec4f((vec4u(0xc8643210u) >> ((code & vec4u(7u)) << vec4u(2u))) & vec4u(15u));
  return bitcast<vec4f>(bitcast<vec4u>(twice) | ((code & vec4u(8u)) << vec4u(28u)));
}
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }
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
  let q = b2[row + k / 8u];
  return Eight(0.5 * e2m1(q), 0.5 * e2m1(q >> 16u));
}
fn w_eight(e: u32, n: u32, k: u32) -> Eight {
  let q = w_raw(e, n, k);
  let scale = e8m0(extractBits(b3[(0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) >> 2u], 8u * ((0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) & 3u), 8u));
  return Eight(q.lo * scale.x * scale.y, q.hi * scale.x * scale.y);
}
fn w_dot(e: u32, n: u32, k: u32, x: Eight) -> f32 {
  let scale = e8m0(extractBits(b3[(0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) >> 2u], 8u * ((0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) & 3u), 8u));
  return dot8(w_raw(e, n, k), x) * scale.x * scale.y;
}
fn w_bias(e: u32, n: u32) -> f32 { return bitcast<f32>(extractBits(b4[((0u >> 1u) + (e * params.w_bias_e + n * params.w_bias_n + 0u)) >> 1u], 16u * (((0u >> 1u) + (e * params.w_bias_e + n * params.w_bias_n + 0u)) & 1u), 16u) << 16u); }
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let n = group % params.N;
  let slot = group / params.N;
  let e = min(b1[slot], params.experts - 1u) - params.first;
  // An expert of another part of the weight wraps to beyond the count.
  let here = e < params.count;
  let row = (slot / params.per_row) * params.w_K;
  let last = params.w_K - 1u;
  var own = 0.0;
  if (here) {
    for (var k = 8u * lid; k < params.w_K; k += 512u) {
      let x = Eight(
        vec4f(b0[row + min(k + 0u, last)], b0[row + min(k + 1u, last)], b0[row + min(k + 2u, last)], b0[row + min(k + 3u, last)]),
        vec4f(b0[row + min(k + 4u, last)], b0[row + min(k + 5u, last)], b0[row + min(k + 6u, last)], b0[row + min(k + 7u, last)]),
      );
      own += w_dot(e, n, k, x);
    }
  }
  let sum = workgroup_sum(own, lid);
  if (here && lid == 0u) { b5[group] = sum + w_bias(e, n); }
}
