// == norm rows float32
struct Params {
  rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
var<workgroup> sums: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = (wid.x + wid.y * nwg.x);
  if (row >= params.rows) { return; }
  let start = row * 192u;
  var sum = 0.0;
  for (var i = lid; i < 192u; i += 256u) { let v = b0[start + i]; sum += v * v; }
  sums[lid] = sum;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half >>= 1u) {
    if (lid < half) { sums[lid] += sums[lid + half]; }
    workgroupBarrier();
  }
  let scale = inverseSqrt(sums[0] / 192.0 + 0.00001);
  for (var i = lid; i < 192u; i += 256u) {
    b2[start + i] = (b0[start + i] * scale * bitcast<f32>(extractBits(b1[((0u >> 1u) + (i)) >> 1u], 16u * (((0u >> 1u) + (i)) & 1u), 16u) << 16u));
  }
}

// == gemm affine8 64x64x16
struct Params {
  rows: u32,
  column: u32,
  steps: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
struct Octet { lo: vec4<f32>, hi: vec4<f32> }
fn quants8(q: u32) -> vec4f {
  let v = vec4u(q & 0xffu, (q >> 8u) & 0xffu, (q >> 16u) & 0xffu, q >> 24u);
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}
const K = 192u;
const N = 96u;
struct Raw { q0: vec2<u32>, scale: f32, bias: f32 }
fn w_octet0(r: Raw) -> Octet { return Octet(vec4<f32>(quants8(r.q0.x) * r.scale + r.bias), vec4<f32>(quants8(r.q0.y) * r.scale + r.bias)); }
fn load_w(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 0u + n * 24u + k / 8u;
  return Raw(b2[at + 0u], bitcast<f32>(extractBits(b3[((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) >> 1u], 16u * (((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b4[((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) >> 1u], 16u * (((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) & 1u), 16u) << 16u));
}
struct XRaw { lo: vec4<f32>, hi: vec4<f32> }
fn load_x(start: u32, k: u32) -> XRaw {  return XRaw(b0[(start + k) / 4u + 0u], b0[(start + k) / 4u + 1u]); }
fn x_octet(r: XRaw) -> Octet {
  let lo = Four(r.lo);
  let hi = Four(r.hi);
  return Octet(lo, hi);
}
const BK = 16u;
alias Four = vec4<f32>;
var<workgroup> xs: array<vec4<f32>, 320>;
var<workgroup> ws: array<vec4<f32>, 320>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let expert = 0u;
  let n0 = wid.y * 64u;
  var step = wid.z * params.steps;
  let last = min(step + params.steps, 12u);
  let x0_row = (lid) / 2u;
  let x0_k = (lid) % 2u * 8u;
  let x0_start = min(wid.x * 64u + x0_row, params.rows - 1u) * K;
  var x0_0: XRaw;
  let w0_column = (lid) / 2u;
  let w0_k = (lid) % 2u * 8u;
  let w0_n = min(n0 + w0_column % 64u, N - 1u);
  let w0_at = (w0_column / 64u) * 64u + (w0_column % 64u);
  var w0_0: Raw;
  let first = step;
  { x0_0 = load_x(x0_start, (min(step + 0u, last - 1u)) * BK + x0_k); }
      { w0_0 = load_w(expert, w0_n, (min(step + 0u, last - 1u)) * BK + w0_k); }
  let ty = lid / 16u;
  let tx = lid % 16u;
  var s0 = vec4<f32>(); var s1 = vec4<f32>(); var s2 = vec4<f32>(); var s3 = vec4<f32>(); var s4 = vec4<f32>(); var s5 = vec4<f32>(); var s6 = vec4<f32>(); var s7 = vec4<f32>();
  for (; step < last; step++) {
    workgroupBarrier();
    { let o = x_octet(x0_0); xs[x0_row * 5u + (x0_k) / 4u] = o.lo; xs[x0_row * 5u + (x0_k) / 4u + 1u] = o.hi; }
    { { let o = w_octet0(w0_0); ws[w0_at * 5u + (w0_k + 0u) / 4u] = o.lo; ws[w0_at * 5u + (w0_k + 0u) / 4u + 1u] = o.hi; } }
    workgroupBarrier();
    if (step + 1u < last && (step + 1u - first) % 1u == 0u) {
      { x0_0 = load_x(x0_start, (min(step + 1u, last - 1u)) * BK + x0_k); }
      { w0_0 = load_w(expert, w0_n, (min(step + 1u, last - 1u)) * BK + w0_k); }
    }
    for (var k = 0u; k < 4u; k++) {
      let x_0 = xs[(ty + 0u) * 5u + k];
      let x_1 = xs[(ty + 8u) * 5u + k];
      let x_2 = xs[(ty + 16u) * 5u + k];
      let x_3 = xs[(ty + 24u) * 5u + k];
      let x_4 = xs[(ty + 32u) * 5u + k];
      let x_5 = xs[(ty + 40u) * 5u + k];
      let x_6 = xs[(ty + 48u) * 5u + k];
      let x_7 = xs[(ty + 56u) * 5u + k];
      let w_0 = ws[(tx + 0u) * 5u + k];
      let w_1 = ws[(tx + 16u) * 5u + k];
      let w_2 = ws[(tx + 32u) * 5u + k];
      let w_3 = ws[(tx + 48u) * 5u + k];
      s0 += vec4<f32>(dot(x_0, w_0),dot(x_0, w_1),dot(x_0, w_2),dot(x_0, w_3));
      s1 += vec4<f32>(dot(x_1, w_0),dot(x_1, w_1),dot(x_1, w_2),dot(x_1, w_3));
      s2 += vec4<f32>(dot(x_2, w_0),dot(x_2, w_1),dot(x_2, w_2),dot(x_2, w_3));
      s3 += vec4<f32>(dot(x_3, w_0),dot(x_3, w_1),dot(x_3, w_2),dot(x_3, w_3));
      s4 += vec4<f32>(dot(x_4, w_0),dot(x_4, w_1),dot(x_4, w_2),dot(x_4, w_3));
      s5 += vec4<f32>(dot(x_5, w_0),dot(x_5, w_1),dot(x_5, w_2),dot(x_5, w_3));
      s6 += vec4<f32>(dot(x_6, w_0),dot(x_6, w_1),dot(x_6, w_2),dot(x_6, w_3));
      s7 += vec4<f32>(dot(x_7, w_0),dot(x_7, w_1),dot(x_7, w_2),dot(x_7, w_3));
    }
  }
  var sums = array<vec4<f32>, 8>(s0,s1,s2,s3,s4,s5,s6,s7);
  for (var i = 0u; i < 8u; i++) {
    let row = select(0xffffffffu, wid.x * 64u + ty + i * 8u, wid.x * 64u + ty + i * 8u < params.rows);
    for (var j = 0u; j < 4u; j++) {
      let n = n0 + tx + j * 16u;
      if (row != 0xffffffffu && n < N) {
        b1[(wid.z * params.rows + row) * 96u + params.column + n] = sums[i][j + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
      }
    }
  }
}

// == sum slices
struct Params {
  n: u32,
  slices: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  var sum = 0.0;
  for (var slice = 0u; slice < params.slices; slice++) { sum += b0[slice * params.n + i]; }
  b1[i] = sum;
}
