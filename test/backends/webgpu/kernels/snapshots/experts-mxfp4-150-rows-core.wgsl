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

// == group 8 experts by 64
struct Params {
  slots: u32,
  tiles: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
var<workgroup> counts: array<atomic<u32>, 8>;
var<workgroup> first: array<u32, 8>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lid: u32) {
  for (var i = lid; i < params.tiles * 65u; i += 256u) { b1[i] = 0xffffffffu; }
  for (var i = lid; i < params.slots; i += 256u) { atomicAdd(&counts[min(b0[i], 7u)], 1u); }
  workgroupBarrier();
  for (var e = lid; e < 8u; e += 256u) {
    var tile = 0u;
    for (var before = 0u; before < e; before++) { tile += (atomicLoad(&counts[before]) + 63u) / 64u; }
    first[e] = params.tiles + tile * 64u;
    let end = tile + (atomicLoad(&counts[e]) + 63u) / 64u;
    for (; tile < end; tile++) { b1[tile] = e; }
  }
  storageBarrier();
  workgroupBarrier();
  for (var e = lid; e < 8u; e += 256u) { atomicStore(&counts[e], 0u); }
  workgroupBarrier();
  for (var i = lid; i < params.slots; i += 256u) {
    let e = min(b0[i], 7u);
    b1[first[e] + atomicAdd(&counts[e], 1u)] = i;
  }
}

// == gemm mxfp4 grouped glu 64x64x16
struct Params {
  rows: u32,
  column: u32,
  steps: u32,
  tiles: u32,
  first_expert: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
@group(0) @binding(8) var<storage, read> b7: array<u32>;
@group(0) @binding(9) var<storage, read_write> b8: array<u32>;
struct Octet { lo: vec4<f32>, hi: vec4<f32> }
fn e2m1(q: u32) -> vec4f {
  let code = vec4u(q, q >> 4u, q >> 8u, q >> 12u);
  let twice = vec4f((vec4u(0xc8643210u) >> ((code & vec4u(7u)) << vec4u(2u))) & vec4u(15u));
  return bitcast<vec4f>(bitcast<vec4u>(twice) | ((code & vec4u(8u)) << vec4u(28u)));
}
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }
fn glu(gate: f32, up: f32) -> f32 {
  let g = min(gate, 7.0f);
  let u = clamp(up, -7.0f, 7.0f);
  let t = clamp(g, -1e12, 1e12);
  let z = clamp(1.702f * clamp(g, -1e30, 1e30) + 0.0f * t * t * t, -88.0, 88.0);
  return select(g / (1.0 + exp(-z)), 0.0, z == -88.0) * (u + 1.0f);
}
const K = 192u;
const N = 96u;
struct Raw { q0: u32, scale: f32 }
fn w_octet0(r: Raw) -> Octet { let s = 0.5 * r.scale; return Octet(vec4<f32>(e2m1(r.q0) * s), vec4<f32>(e2m1(r.q0 >> 16u) * s)); }
fn load_gate(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 2304u + n * 24u + k / 8u;
  return Raw(b2[at + 0u], e8m0(extractBits(b3[(0u + (e * 576u + n * 6u + k / 32u)) >> 2u], 8u * ((0u + (e * 576u + n * 6u + k / 32u)) & 3u), 8u)).x);
}
fn load_up(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 2304u + n * 24u + k / 8u;
  return Raw(b5[at + 0u], e8m0(extractBits(b6[(0u + (e * 576u + n * 6u + k / 32u)) >> 2u], 8u * ((0u + (e * 576u + n * 6u + k / 32u)) & 3u), 8u)).x);
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
// Four words: a single one would misalign the arrays beside it, which matrices are loaded from.
var<workgroup> chosen: vec4u;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  if (lid == 0u) { chosen.x = b8[wid.x]; }
  let expert = workgroupUniformLoad(&chosen).x - params.first_expert;
  if (expert >= 8u) { return; }
  let n0 = wid.y * 32u;
  var step = wid.z * params.steps;
  let last = min(step + params.steps, 12u);
  let x0_row = (lid) / 2u;
  let x0_k = (lid) % 2u * 8u;
  let x0_start = min(b8[params.tiles + wid.x * 64u + x0_row], params.rows - 1u) / 2u * K;
  var x0_0: XRaw;
  let w0_column = (lid) / 2u;
  let w0_k = (lid) % 2u * 8u;
  let w0_n = min(n0 + w0_column % 32u, N - 1u);
  let w0_at = (w0_column / 32u) * 32u + (w0_column % 32u);
  var w0_0: Raw;
  let first = step;
  { x0_0 = load_x(x0_start, (min(step + 0u, last - 1u)) * BK + x0_k); }
      { if (w0_column < 32u) { w0_0 = load_gate(expert, w0_n, (min(step + 0u, last - 1u)) * BK + w0_k); } else { w0_0 = load_up(expert, w0_n, (min(step + 0u, last - 1u)) * BK + w0_k); } }
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
      { if (w0_column < 32u) { w0_0 = load_gate(expert, w0_n, (min(step + 1u, last - 1u)) * BK + w0_k); } else { w0_0 = load_up(expert, w0_n, (min(step + 1u, last - 1u)) * BK + w0_k); } }
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
    let row = b8[params.tiles + wid.x * 64u + ty + i * 8u];
    for (var j = 0u; j < 2u; j++) {
      let n = n0 + tx + j * 16u;
      if (row != 0xffffffffu && n < N) {
        b1[row * 96u + params.column + n] = glu(sums[i][j + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u), sums[i][j + 2u] + select(0.0, bitcast<f32>(extractBits(b7[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u));
      }
    }
  }
}

// == gemm mxfp4 grouped 64x64x16
struct Params {
  rows: u32,
  column: u32,
  steps: u32,
  tiles: u32,
  first_expert: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read_write> b5: array<u32>;
struct Octet { lo: vec4<f32>, hi: vec4<f32> }
fn e2m1(q: u32) -> vec4f {
  let code = vec4u(q, q >> 4u, q >> 8u, q >> 12u);
  let twice = vec4f((vec4u(0xc8643210u) >> ((code & vec4u(7u)) << vec4u(2u))) & vec4u(15u));
  return bitcast<vec4f>(bitcast<vec4u>(twice) | ((code & vec4u(8u)) << vec4u(28u)));
}
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }
const K = 96u;
const N = 192u;
struct Raw { q0: u32, scale: f32 }
fn w_octet0(r: Raw) -> Octet { let s = 0.5 * r.scale; return Octet(vec4<f32>(e2m1(r.q0) * s), vec4<f32>(e2m1(r.q0 >> 16u) * s)); }
fn load_w(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 2304u + n * 12u + k / 8u;
  return Raw(b2[at + 0u], e8m0(extractBits(b3[(0u + (e * 576u + n * 3u + k / 32u)) >> 2u], 8u * ((0u + (e * 576u + n * 3u + k / 32u)) & 3u), 8u)).x);
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
// Four words: a single one would misalign the arrays beside it, which matrices are loaded from.
var<workgroup> chosen: vec4u;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  if (lid == 0u) { chosen.x = b5[wid.x]; }
  let expert = workgroupUniformLoad(&chosen).x - params.first_expert;
  if (expert >= 8u) { return; }
  let n0 = wid.y * 64u;
  var step = wid.z * params.steps;
  let last = min(step + params.steps, 6u);
  let x0_row = (lid) / 2u;
  let x0_k = (lid) % 2u * 8u;
  let x0_start = min(b5[params.tiles + wid.x * 64u + x0_row], params.rows - 1u) / 1u * K;
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
    let row = b5[params.tiles + wid.x * 64u + ty + i * 8u];
    for (var j = 0u; j < 4u; j++) {
      let n = n0 + tx + j * 16u;
      if (row != 0xffffffffu && n < N) {
        b1[(wid.z * params.rows + row) * 192u + params.column + n] = sums[i][j + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 192u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 192u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
      }
    }
  }
}

// == weighted sum, residual
struct Params {
  n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  let row = i / 192u;
  var sum = 0.0;
  for (var j = 0u; j < 2u; j++) {
    sum += b1[row * 2u + j] * b0[(row * 2u + j) * 192u + i % 192u];
  }
  b3[i] = b2[i] + sum;
}
