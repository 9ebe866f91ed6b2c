// == embedding mxfp4 4/32
struct Params {
  L: u32,
  eights: u32,
  rows: u32,
  first: u32,
  count: u32,
  w_K: u32,
  w_weight_n: u32,
  w_weight_e: u32,
  w_scales_n: u32,
  w_scales_e: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
struct Eight { lo: vec4f, hi: vec4f }
fn dot8(a: Eight, b: Eight) -> f32 { return dot(a.lo, b.lo) + dot(a.hi, b.hi); }
fn e2m1(q: u32) -> vec4f {
  let code = vec4u(q, q >> 4u, q >> 8u, q >> 12u);
  let twice = vec4f((vec4u(0xc8643210u) >> ((code & vec4u(7u)) << vec4u(2u))) & vec4u(15u));
  return bitcast<vec4f>(bitcast<vec4u>(twice) | ((code & vec4u(8u)) << vec4u(28u)));
}
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }
fn w_raw(e: u32, n: u32, k: u32) -> Eight {
  let row = e * params.w_weight_e + n * params.w_weight_n;
  let q = b1[row + k / 8u];
  return Eight(0.5 * e2m1(q), 0.5 * e2m1(q >> 16u));
}
fn w_eight(e: u32, n: u32, k: u32) -> Eight {
  let q = w_raw(e, n, k);
  let scale = e8m0(extractBits(b2[(0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) >> 2u], 8u * ((0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) & 3u), 8u));
  return Eight(q.lo * scale.x * scale.y, q.hi * scale.x * scale.y);
}
fn w_dot(e: u32, n: u32, k: u32, x: Eight) -> f32 {
  let scale = e8m0(extractBits(b2[(0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) >> 2u], 8u * ((0u + (e * params.w_scales_e + n * params.w_scales_n + k / 32u)) & 3u), 8u));
  return dot8(w_raw(e, n, k), x) * scale.x * scale.y;
}
fn w_bias(e: u32, n: u32) -> f32 { return 0.0; }
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  let l = i / params.eights;
  if (l >= params.L) { return; }
  let row = min(b0[l], params.rows - 1u) - params.first;
  if (row >= params.count) { return; }
  let k = 8u * (i % params.eights);
  let values = w_eight(0u, row, k);
  for (var j = 0u; j < min(8u, params.w_K - k); j++) {
    b3[l * params.w_K + k + j] = select(values.hi[j & 3u], values.lo[j & 3u], j < 4u);
  }
}
