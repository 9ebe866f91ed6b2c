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

// == gemm affine8 128x128x32 matrix
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, subgroup_uniformity);
struct Params {
  rows: u32,
  column: u32,
  steps: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
struct Octet { lo: vec4<f16>, hi: vec4<f16> }
fn quants8(q: u32) -> vec4f {
  let v = vec4u(q & 0xffu, (q >> 8u) & 0xffu, (q >> 16u) & 0xffu, q >> 24u);
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}
const K = 192u;
const N = 96u;
struct Raw { q0: vec4<u32>, scale: f32, bias: f32 }
fn w_octet0(r: Raw) -> Octet { return Octet(vec4<f16>(quants8(r.q0.x) * r.scale + r.bias), vec4<f16>(quants8(r.q0.y) * r.scale + r.bias)); }
fn w_octet1(r: Raw) -> Octet { return Octet(vec4<f16>(quants8(r.q0.z) * r.scale + r.bias), vec4<f16>(quants8(r.q0.w) * r.scale + r.bias)); }
fn load_w(e: u32, n: u32, k: u32) -> Raw {
  let at = e * 0u + n * 12u + k / 16u;
  return Raw(b2[at + 0u], bitcast<f32>(extractBits(b3[((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) >> 1u], 16u * (((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b4[((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) >> 1u], 16u * (((0u >> 1u) + (e * 0u + n * 3u + k / 64u)) & 1u), 16u) << 16u));
}
struct XRaw { q: vec4<u32> }
fn load_x(start: u32, k: u32) -> XRaw {  return XRaw(b0[(start + k) / 8u]); }
fn x_octet(r: XRaw) -> Octet {
  let lo = bitcast<vec4<f16>>(r.q.xy);
  let hi = bitcast<vec4<f16>>(r.q.zw);
  return Octet(lo, hi);
}
const BK = 32u;
alias Four = vec4<f16>;
var<workgroup> xs: array<f16, 5120>;
var<workgroup> ws: array<f16, 5120>;
var<workgroup> patches: array<f32, 2048>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(subgroup_id) sg: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let expert = 0u;
  let n0 = wid.y * 128u;
  var step = wid.z * params.steps;
  let last = min(step + params.steps, 6u);
  let x0_row = (lid) / 4u;
  let x0_k = (lid) % 4u * 8u;
  let x0_start = min(wid.x * 128u + x0_row, params.rows - 1u) * K;
  var x0_0: XRaw;
  let x1_row = (lid + 256u) / 4u;
  let x1_k = (lid + 256u) % 4u * 8u;
  let x1_start = min(wid.x * 128u + x1_row, params.rows - 1u) * K;
  var x1_0: XRaw;
  let w0_column = (lid) / 2u;
  let w0_k = (lid) % 2u * 16u;
  let w0_n = min(n0 + w0_column % 128u, N - 1u);
  let w0_at = (w0_column % 128u) / 16u * 16u + (w0_column / 128u) * 16u + (w0_column % 128u) % 16u;
  var w0_0: Raw;
  let first = step;
  { x0_0 = load_x(x0_start, (min(step + 0u, last - 1u)) * BK + x0_k); }
      { x1_0 = load_x(x1_start, (min(step + 0u, last - 1u)) * BK + x1_k); }
      { w0_0 = load_w(expert, w0_n, (min(step + 0u, last - 1u)) * BK + w0_k); }
  let top = sg / 4u * 64u;
  let side = sg % 4u * 32u;
  var s0_0: subgroup_matrix_result<f32, 16, 16>; var s0_1: subgroup_matrix_result<f32, 16, 16>; var s1_0: subgroup_matrix_result<f32, 16, 16>; var s1_1: subgroup_matrix_result<f32, 16, 16>; var s2_0: subgroup_matrix_result<f32, 16, 16>; var s2_1: subgroup_matrix_result<f32, 16, 16>; var s3_0: subgroup_matrix_result<f32, 16, 16>; var s3_1: subgroup_matrix_result<f32, 16, 16>;
  for (; step < last; step++) {
    workgroupBarrier();
    { let o = x_octet(x0_0); let to = x0_row * 40u + x0_k; xs[to + 0u] = o.lo.x; xs[to + 1u] = o.lo.y; xs[to + 2u] = o.lo.z; xs[to + 3u] = o.lo.w; xs[to + 4u] = o.hi.x; xs[to + 5u] = o.hi.y; xs[to + 6u] = o.hi.z; xs[to + 7u] = o.hi.w; }
    { let o = x_octet(x1_0); let to = x1_row * 40u + x1_k; xs[to + 0u] = o.lo.x; xs[to + 1u] = o.lo.y; xs[to + 2u] = o.lo.z; xs[to + 3u] = o.lo.w; xs[to + 4u] = o.hi.x; xs[to + 5u] = o.hi.y; xs[to + 6u] = o.hi.z; xs[to + 7u] = o.hi.w; }
    { { let o = w_octet0(w0_0); let to = w0_at * 40u + w0_k + 0u; ws[to + 0u] = o.lo.x; ws[to + 1u] = o.lo.y; ws[to + 2u] = o.lo.z; ws[to + 3u] = o.lo.w; ws[to + 4u] = o.hi.x; ws[to + 5u] = o.hi.y; ws[to + 6u] = o.hi.z; ws[to + 7u] = o.hi.w; } { let o = w_octet1(w0_0); let to = w0_at * 40u + w0_k + 8u; ws[to + 0u] = o.lo.x; ws[to + 1u] = o.lo.y; ws[to + 2u] = o.lo.z; ws[to + 3u] = o.lo.w; ws[to + 4u] = o.hi.x; ws[to + 5u] = o.hi.y; ws[to + 6u] = o.hi.z; ws[to + 7u] = o.hi.w; } }
    workgroupBarrier();
    if (step + 1u < last && (step + 1u - first) % 1u == 0u) {
      { x0_0 = load_x(x0_start, (min(step + 1u, last - 1u)) * BK + x0_k); }
      { x1_0 = load_x(x1_start, (min(step + 1u, last - 1u)) * BK + x1_k); }
      { w0_0 = load_w(expert, w0_n, (min(step + 1u, last - 1u)) * BK + w0_k); }
    }
    {
      let x_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 0u) * 40u + 0u, 40u);
      let x_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 16u) * 40u + 0u, 40u);
      let x_2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 32u) * 40u + 0u, 40u);
      let x_3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 48u) * 40u + 0u, 40u);
      let w_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 0u) * 40u + 0u, 40u);
      let w_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 16u) * 40u + 0u, 40u);
      s0_0 = subgroupMatrixMultiplyAccumulate(x_0, w_0, s0_0);
      s0_1 = subgroupMatrixMultiplyAccumulate(x_0, w_1, s0_1);
      s1_0 = subgroupMatrixMultiplyAccumulate(x_1, w_0, s1_0);
      s1_1 = subgroupMatrixMultiplyAccumulate(x_1, w_1, s1_1);
      s2_0 = subgroupMatrixMultiplyAccumulate(x_2, w_0, s2_0);
      s2_1 = subgroupMatrixMultiplyAccumulate(x_2, w_1, s2_1);
      s3_0 = subgroupMatrixMultiplyAccumulate(x_3, w_0, s3_0);
      s3_1 = subgroupMatrixMultiplyAccumulate(x_3, w_1, s3_1);
    }
    {
      let x_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 0u) * 40u + 16u, 40u);
      let x_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 16u) * 40u + 16u, 40u);
      let x_2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 32u) * 40u + 16u, 40u);
      let x_3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&xs, (top + 48u) * 40u + 16u, 40u);
      let w_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 0u) * 40u + 16u, 40u);
      let w_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&ws, (side + 16u) * 40u + 16u, 40u);
      s0_0 = subgroupMatrixMultiplyAccumulate(x_0, w_0, s0_0);
      s0_1 = subgroupMatrixMultiplyAccumulate(x_0, w_1, s0_1);
      s1_0 = subgroupMatrixMultiplyAccumulate(x_1, w_0, s1_0);
      s1_1 = subgroupMatrixMultiplyAccumulate(x_1, w_1, s1_1);
      s2_0 = subgroupMatrixMultiplyAccumulate(x_2, w_0, s2_0);
      s2_1 = subgroupMatrixMultiplyAccumulate(x_2, w_1, s2_1);
      s3_0 = subgroupMatrixMultiplyAccumulate(x_3, w_0, s3_0);
      s3_1 = subgroupMatrixMultiplyAccumulate(x_3, w_1, s3_1);
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
    let row = select(0xffffffffu, wid.x * 128u + top + 0u + r, wid.x * 128u + top + 0u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
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
    let row = select(0xffffffffu, wid.x * 128u + top + 0u + r, wid.x * 128u + top + 0u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
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
    let row = select(0xffffffffu, wid.x * 128u + top + 16u + r, wid.x * 128u + top + 16u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
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
    let row = select(0xffffffffu, wid.x * 128u + top + 16u + r, wid.x * 128u + top + 16u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 0u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s2_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s2_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 0u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = select(0xffffffffu, wid.x * 128u + top + 32u + r, wid.x * 128u + top + 32u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 1u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s2_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s2_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 1u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = select(0xffffffffu, wid.x * 128u + top + 32u + r, wid.x * 128u + top + 32u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 0u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s3_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s3_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 0u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = select(0xffffffffu, wid.x * 128u + top + 48u + r, wid.x * 128u + top + 48u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
  { workgroupBarrier();
  let corner = sg % 4u * 512u;
  if (sg / 4u == 1u) {
    subgroupMatrixStore<row_major>(&patches, corner + 0u, s3_0, 32u);
    subgroupMatrixStore<row_major>(&patches, corner + 16u, s3_1, 32u);
  }
  workgroupBarrier();
  for (var at = lane; sg / 4u == 1u && at < 512u; at += 32u) {
    let c = at % 32u;
    let r = at / 32u;
    let row = select(0xffffffffu, wid.x * 128u + top + 48u + r, wid.x * 128u + top + 48u + r < params.rows);
    let n = n0 + side / 1u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * 32u + c / 16u * 16u + c % 16u;
      b1[(wid.z * params.rows + row) * 96u + params.column + n] = patches[first + 0u] + select(0.0, bitcast<f32>(extractBits(b5[((0u >> 1u) + (expert * 0u + n * 1u)) >> 1u], 16u * (((0u >> 1u) + (expert * 0u + n * 1u)) & 1u), 16u) << 16u), wid.z == 0u);
    }
  } }
}
