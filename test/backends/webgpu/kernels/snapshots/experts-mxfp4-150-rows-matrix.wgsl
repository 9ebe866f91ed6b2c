// == norm rows float16
enable f16;
struct Params {
  rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f16>;
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
    b2[start + i] = f16(b0[start + i] * scale * bitcast<f32>(extractBits(b1[((0u >> 1u) + (i)) >> 1u], 16u * (((0u >> 1u) + (i)) & 1u), 16u) << 16u));
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

// == gemm mxfp4 grouped glu 64x128x32 matrix
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, subgroup_uniformity);
struct Params {
  rows: u32,
  column: u32,
  steps: u32,
  tiles: u32,
  first_expert: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<vec2<u32>>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
@group(0) @binding(8) var<storage, read> b7: array<u32>;
@group(0) @binding(9) var<storage, read_write> b8: array<u32>;
struct Octet { lo: vec4<f16>, hi: vec4<f16> }
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
struct Raw { q0: vec2<u32>, scale: f32 }
fn w_octet0(r: Raw) -> Octet { let s = vec2<f16>(f16(16384.0 * min(r.scale, 2.0)));
  var a = bitcast<vec2<f16>>(((r.q0.x << 9u) & 0x0e000e00u) | ((r.q0.x << 12u) & 0x80008000u)) * s;
  var b = bitcast<vec2<f16>>(((r.q0.x << 5u) & 0x0e000e00u) | ((r.q0.x << 8u) & 0x80008000u)) * s;
  var c = bitcast<vec2<f16>>(((r.q0.x << 1u) & 0x0e000e00u) | ((r.q0.x << 4u) & 0x80008000u)) * s;
  var d = bitcast<vec2<f16>>(((r.q0.x >> 3u) & 0x0e000e00u) | ((r.q0.x ) & 0x80008000u)) * s;
  if (r.scale > 2.0) {
    let rest = vec2<f16>(f16(min(0.5 * r.scale, 16384.0)));
    a *= rest; b *= rest; c *= rest; d *= rest;
  }
  return Octet(vec4<f16>(a, b), vec4<f16>(c, d)); }
fn w_octet1(r: Raw) -> Octet { let s = vec2<f16>(f16(16384.0 * min(r.scale, 2.0)));
  var a = bitcast<vec2<f16>>(((r.q0.y << 9u) & 0x0e000e00u) | ((r.q0.y << 12u) & 0x80008000u)) * s;
  var b = bitcast<vec2<f16>>(((r.q0.y << 5u) & 0x0e000e00u) | ((r.q0.y << 8u) & 0x80008000u)) * s;
  var c = bitcast<vec2<f16>>(((r.q0.y << 1u) & 0x0e000e00u) | ((r.q0.y << 4u) & 0x80008000u)) * s;
  var d = bitcast<vec2<f16>>(((r.q0.y >> 3u) & 0x0e000e00u) | ((r.q0.y ) & 0x80008000u)) * s;
  if (r.scale > 2.0) {
    let rest = vec2<f16>(f16(min(0.5 * r.scale, 16384.0)));
    a *= rest; b *= rest; c *= rest; d *= rest;
  }
  return Octet(vec4<f16>(a, b), vec4<f16>(c, d)); }
fn load_gate(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 1152u + n * 12u + k / 16u;
  return Raw(b2[at + 0u], e8m0(extractBits(b3[(0u + (e * 576u + n * 6u + k / 32u)) >> 2u], 8u * ((0u + (e * 576u + n * 6u + k / 32u)) & 3u), 8u)).x);
}
fn load_up(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 1152u + n * 12u + k / 16u;
  return Raw(b5[at + 0u], e8m0(extractBits(b6[(0u + (e * 576u + n * 6u + k / 32u)) >> 2u], 8u * ((0u + (e * 576u + n * 6u + k / 32u)) & 3u), 8u)).x);
}
struct XRaw { q: vec4<u32> }
fn load_x(start: u32, k: u32) -> XRaw {  return XRaw(b0[(start + k) / 8u]); }
fn x_octet(r: XRaw) -> Octet {
  let lo = bitcast<vec4<f16>>(r.q.xy);
  let hi = bitcast<vec4<f16>>(r.q.zw);
  return Octet(vec4(lo.x, hi.x, lo.y, hi.y), vec4(lo.z, hi.z, lo.w, hi.w));
}
const BK = 32u;
alias Four = vec4<f16>;
var<workgroup> xs: array<f16, 2560>;
var<workgroup> ws: array<f16, 5120>;
var<workgroup> patches: array<f32, 2048>;
// Four words: a single one would misalign the arrays beside it, which matrices are loaded from.
var<workgroup> chosen: vec4u;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(subgroup_id) sg: u32, @builtin(subgroup_invocation_id) lane: u32) {
  if (lid == 0u) { chosen.x = b8[wid.x]; }
  let expert = workgroupUniformLoad(&chosen).x - params.first_expert;
  if (expert >= 8u) { return; }
  let n0 = wid.y * 64u;
  var step = wid.z * params.steps;
  let last = min(step + params.steps, 6u);
  let x0_row = (lid) / 4u;
  let x0_k = (lid) % 4u * 8u;
  let x0_start = min(b8[params.tiles + wid.x * 64u + x0_row], params.rows - 1u) / 2u * K;
  var x0_0: XRaw;
  let w0_column = (lid) / 2u;
  let w0_k = (lid) % 2u * 16u;
  let w0_n = min(n0 + w0_column % 64u, N - 1u);
  let w0_at = (w0_column % 64u) / 8u * 16u + (w0_column / 64u) * 8u + (w0_column % 64u) % 8u;
  var w0_0: Raw;
  let first = step;
  { x0_0 = load_x(x0_start, (min(step + 0u, last - 1u)) * BK + x0_k); }
      { if (w0_column < 64u) { w0_0 = load_gate(expert, w0_n, (min(step + 0u, last - 1u)) * BK + w0_k); } else { w0_0 = load_up(expert, w0_n, (min(step + 0u, last - 1u)) * BK + w0_k); } }
  let top = sg / 4u * 32u;
  let side = sg % 4u * 32u;
  var s0_0: subgroup_matrix_result<f32, 16, 16>; var s0_1: subgroup_matrix_result<f32, 16, 16>; var s1_0: subgroup_matrix_result<f32, 16, 16>; var s1_1: subgroup_matrix_result<f32, 16, 16>;
  for (; step < last; step++) {
    workgroupBarrier();
    { let o = x_octet(x0_0); let to = x0_row * 40u + x0_k; xs[to + 0u] = o.lo.x; xs[to + 1u] = o.lo.y; xs[to + 2u] = o.lo.z; xs[to + 3u] = o.lo.w; xs[to + 4u] = o.hi.x; xs[to + 5u] = o.hi.y; xs[to + 6u] = o.hi.z; xs[to + 7u] = o.hi.w; }
    { { let o = w_octet0(w0_0); let to = w0_at * 40u + w0_k + 0u; ws[to + 0u] = o.lo.x; ws[to + 1u] = o.lo.y; ws[to + 2u] = o.lo.z; ws[to + 3u] = o.lo.w; ws[to + 4u] = o.hi.x; ws[to + 5u] = o.hi.y; ws[to + 6u] = o.hi.z; ws[to + 7u] = o.hi.w; } { let o = w_octet1(w0_0); let to = w0_at * 40u + w0_k + 8u; ws[to + 0u] = o.lo.x; ws[to + 1u] = o.lo.y; ws[to + 2u] = o.lo.z; ws[to + 3u] = o.lo.w; ws[to + 4u] = o.hi.x; ws[to + 5u] = o.hi.y; ws[to + 6u] = o.hi.z; ws[to + 7u] = o.hi.w; } }
    workgroupBarrier();
    if (step + 1u < last && (step + 1u - first) % 1u == 0u) {
      { x0_0 = load_x(x0_start, (min(step + 1u, last - 1u)) * BK + x0_k); }
      { if (w0_column < 64u) { w0_0 = load_gate(expert, w0_n, (min(step + 1u, last - 1u)) * BK + w0_k); } else { w0_0 = load_up(expert, w0_n, (min(step + 1u, last - 1u)) * BK + w0_k); } }
    }
    {
      let x_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 0u) * 40u + 0u, 40u);
      let x_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 16u) * 40u + 0u, 40u);
      let w_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 0u) * 40u + 0u, 40u);
      let w_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 16u) * 40u + 0u, 40u);
      s0_0 = subgroupMatrixMultiplyAccumulate(x_0, w_0, s0_0);
      s0_1 = subgroupMatrixMultiplyAccumulate(x_0, w_1, s0_1);
      s1_0 = subgroupMatrixMultiplyAccumulate(x_1, w_0, s1_0);
      s1_1 = subgroupMatrixMultiplyAccumulate(x_1, w_1, s1_1);
    }
    {
      let x_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 0u) * 40u + 16u, 40u);
      let x_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 16u) * 40u + 16u, 40u);
      let w_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 0u) * 40u + 16u, 40u);
      let w_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 16u) * 40u + 16u, 40u);
      s0_0 = subgroupMatrixMultiplyAccumulate(x_0, w_0, s0_0);
      s0_1 = subgroupMatrixMultiplyAccumulate(x_0, w_1, s0_1);
      s1_0 = subgroupMatrixMultiplyAccumulate(x_1, w_0, s1_0);
      s1_1 = subgroupMatrixMultiplyAccumulate(x_1, w_1, s1_1);
    }
  }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 0u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s0_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s0_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 0u && at < 256u; at += 32u) {
    let c = at % 16u;
    let r = at / 16u;
    let row = b8[params.tiles + wid.x * 64u + top + 0u + r];
    let n = n0 + side / 2u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 8u * 16u + c % 8u;
      b1[row * 96u + params.column + n] = glu(patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u), patches[first + 8u] + select(0.0, bitcast<f32>(extractBits(b7[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u));
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 1u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s0_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s0_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 1u && at < 256u; at += 32u) {
    let c = at % 16u;
    let r = at / 16u;
    let row = b8[params.tiles + wid.x * 64u + top + 0u + r];
    let n = n0 + side / 2u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 8u * 16u + c % 8u;
      b1[row * 96u + params.column + n] = glu(patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u), patches[first + 8u] + select(0.0, bitcast<f32>(extractBits(b7[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u));
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 0u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s1_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s1_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 0u && at < 256u; at += 32u) {
    let c = at % 16u;
    let r = at / 16u;
    let row = b8[params.tiles + wid.x * 64u + top + 16u + r];
    let n = n0 + side / 2u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 8u * 16u + c % 8u;
      b1[row * 96u + params.column + n] = glu(patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u), patches[first + 8u] + select(0.0, bitcast<f32>(extractBits(b7[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u));
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 1u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s1_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s1_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 1u && at < 256u; at += 32u) {
    let c = at % 16u;
    let r = at / 16u;
    let row = b8[params.tiles + wid.x * 64u + top + 16u + r];
    let n = n0 + side / 2u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 8u * 16u + c % 8u;
      b1[row * 96u + params.column + n] = glu(patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u), patches[first + 8u] + select(0.0, bitcast<f32>(extractBits(b7[((0u >> 1u) + (expert * 96u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 96u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u));
    }
  } }
}

// == gemm mxfp4 grouped 64x128x32 matrix
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, subgroup_uniformity);
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
@group(0) @binding(3) var<storage, read> b2: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read_write> b5: array<u32>;
struct Octet { lo: vec4<f16>, hi: vec4<f16> }
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }
const K = 96u;
const N = 192u;
struct Raw { q0: vec2<u32>, scale: f32 }
fn w_octet0(r: Raw) -> Octet { let s = vec2<f16>(f16(16384.0 * min(r.scale, 2.0)));
  var a = bitcast<vec2<f16>>(((r.q0.x << 9u) & 0x0e000e00u) | ((r.q0.x << 12u) & 0x80008000u)) * s;
  var b = bitcast<vec2<f16>>(((r.q0.x << 5u) & 0x0e000e00u) | ((r.q0.x << 8u) & 0x80008000u)) * s;
  var c = bitcast<vec2<f16>>(((r.q0.x << 1u) & 0x0e000e00u) | ((r.q0.x << 4u) & 0x80008000u)) * s;
  var d = bitcast<vec2<f16>>(((r.q0.x >> 3u) & 0x0e000e00u) | ((r.q0.x ) & 0x80008000u)) * s;
  if (r.scale > 2.0) {
    let rest = vec2<f16>(f16(min(0.5 * r.scale, 16384.0)));
    a *= rest; b *= rest; c *= rest; d *= rest;
  }
  return Octet(vec4<f16>(a, b), vec4<f16>(c, d)); }
fn w_octet1(r: Raw) -> Octet { let s = vec2<f16>(f16(16384.0 * min(r.scale, 2.0)));
  var a = bitcast<vec2<f16>>(((r.q0.y << 9u) & 0x0e000e00u) | ((r.q0.y << 12u) & 0x80008000u)) * s;
  var b = bitcast<vec2<f16>>(((r.q0.y << 5u) & 0x0e000e00u) | ((r.q0.y << 8u) & 0x80008000u)) * s;
  var c = bitcast<vec2<f16>>(((r.q0.y << 1u) & 0x0e000e00u) | ((r.q0.y << 4u) & 0x80008000u)) * s;
  var d = bitcast<vec2<f16>>(((r.q0.y >> 3u) & 0x0e000e00u) | ((r.q0.y ) & 0x80008000u)) * s;
  if (r.scale > 2.0) {
    let rest = vec2<f16>(f16(min(0.5 * r.scale, 16384.0)));
    a *= rest; b *= rest; c *= rest; d *= rest;
  }
  return Octet(vec4<f16>(a, b), vec4<f16>(c, d)); }
fn load_w(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 1152u + n * 6u + k / 16u;
  return Raw(b2[at + 0u], e8m0(extractBits(b3[(0u + (e * 576u + n * 3u + k / 32u)) >> 2u], 8u * ((0u + (e * 576u + n * 3u + k / 32u)) & 3u), 8u)).x);
}
struct XRaw { lo: vec4<f32>, hi: vec4<f32> }
fn load_x(start: u32, k: u32) -> XRaw {  return XRaw(b0[(start + k) / 4u + 0u], b0[(start + k) / 4u + 1u]); }
fn x_octet(r: XRaw) -> Octet {
  let lo = Four(r.lo);
  let hi = Four(r.hi);
  return Octet(vec4(lo.x, hi.x, lo.y, hi.y), vec4(lo.z, hi.z, lo.w, hi.w));
}
const BK = 32u;
alias Four = vec4<f16>;
var<workgroup> xs: array<f16, 2560>;
var<workgroup> ws: array<f16, 5120>;
var<workgroup> patches: array<f32, 2048>;
// Four words: a single one would misalign the arrays beside it, which matrices are loaded from.
var<workgroup> chosen: vec4u;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(subgroup_id) sg: u32, @builtin(subgroup_invocation_id) lane: u32) {
  if (lid == 0u) { chosen.x = b5[wid.x]; }
  let expert = workgroupUniformLoad(&chosen).x - params.first_expert;
  if (expert >= 8u) { return; }
  let n0 = wid.y * 128u;
  var step = wid.z * params.steps;
  let last = min(step + params.steps, 3u);
  let x0_row = (lid) / 4u;
  let x0_k = (lid) % 4u * 8u;
  let x0_start = min(b5[params.tiles + wid.x * 64u + x0_row], params.rows - 1u) / 1u * K;
  var x0_0: XRaw;
  let w0_column = (lid) / 2u;
  let w0_k = (lid) % 2u * 16u;
  let w0_n = min(n0 + w0_column % 128u, N - 1u);
  let w0_at = (w0_column % 128u) / 16u * 16u + (w0_column / 128u) * 16u + (w0_column % 128u) % 16u;
  var w0_0: Raw;
  let first = step;
  { x0_0 = load_x(x0_start, (min(step + 0u, last - 1u)) * BK + x0_k); }
      { w0_0 = load_w(expert, w0_n, (min(step + 0u, last - 1u)) * BK + w0_k); }
  let top = sg / 4u * 32u;
  let side = sg % 4u * 32u;
  var s0_0: subgroup_matrix_result<f32, 16, 16>; var s0_1: subgroup_matrix_result<f32, 16, 16>; var s1_0: subgroup_matrix_result<f32, 16, 16>; var s1_1: subgroup_matrix_result<f32, 16, 16>;
  for (; step < last; step++) {
    workgroupBarrier();
    { let o = x_octet(x0_0); let to = x0_row * 40u + x0_k; xs[to + 0u] = o.lo.x; xs[to + 1u] = o.lo.y; xs[to + 2u] = o.lo.z; xs[to + 3u] = o.lo.w; xs[to + 4u] = o.hi.x; xs[to + 5u] = o.hi.y; xs[to + 6u] = o.hi.z; xs[to + 7u] = o.hi.w; }
    { { let o = w_octet0(w0_0); let to = w0_at * 40u + w0_k + 0u; ws[to + 0u] = o.lo.x; ws[to + 1u] = o.lo.y; ws[to + 2u] = o.lo.z; ws[to + 3u] = o.lo.w; ws[to + 4u] = o.hi.x; ws[to + 5u] = o.hi.y; ws[to + 6u] = o.hi.z; ws[to + 7u] = o.hi.w; } { let o = w_octet1(w0_0); let to = w0_at * 40u + w0_k + 8u; ws[to + 0u] = o.lo.x; ws[to + 1u] = o.lo.y; ws[to + 2u] = o.lo.z; ws[to + 3u] = o.lo.w; ws[to + 4u] = o.hi.x; ws[to + 5u] = o.hi.y; ws[to + 6u] = o.hi.z; ws[to + 7u] = o.hi.w; } }
    workgroupBarrier();
    if (step + 1u < last && (step + 1u - first) % 1u == 0u) {
      { x0_0 = load_x(x0_start, (min(step + 1u, last - 1u)) * BK + x0_k); }
      { w0_0 = load_w(expert, w0_n, (min(step + 1u, last - 1u)) * BK + w0_k); }
    }
    {
      let x_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 0u) * 40u + 0u, 40u);
      let x_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 16u) * 40u + 0u, 40u);
      let w_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 0u) * 40u + 0u, 40u);
      let w_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 16u) * 40u + 0u, 40u);
      s0_0 = subgroupMatrixMultiplyAccumulate(x_0, w_0, s0_0);
      s0_1 = subgroupMatrixMultiplyAccumulate(x_0, w_1, s0_1);
      s1_0 = subgroupMatrixMultiplyAccumulate(x_1, w_0, s1_0);
      s1_1 = subgroupMatrixMultiplyAccumulate(x_1, w_1, s1_1);
    }
    {
      let x_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 0u) * 40u + 16u, 40u);
      let x_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 16u) * 40u + 16u, 40u);
      let w_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 0u) * 40u + 16u, 40u);
      let w_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 16u) * 40u + 16u, 40u);
      s0_0 = subgroupMatrixMultiplyAccumulate(x_0, w_0, s0_0);
      s0_1 = subgroupMatrixMultiplyAccumulate(x_0, w_1, s0_1);
      s1_0 = subgroupMatrixMultiplyAccumulate(x_1, w_0, s1_0);
      s1_1 = subgroupMatrixMultiplyAccumulate(x_1, w_1, s1_1);
    }
  }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 0u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s0_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s0_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 0u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = b5[params.tiles + wid.x * 64u + top + 0u + r];
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 192u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 192u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 192u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 1u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s0_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s0_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 1u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = b5[params.tiles + wid.x * 64u + top + 0u + r];
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 192u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 192u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 192u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 0u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s1_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s1_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 0u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = b5[params.tiles + wid.x * 64u + top + 16u + r];
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 192u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 192u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 192u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 1u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s1_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s1_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 1u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = b5[params.tiles + wid.x * 64u + top + 16u + r];
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 192u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b4[((0u >> 1u) + (expert * 192u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 192u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
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
