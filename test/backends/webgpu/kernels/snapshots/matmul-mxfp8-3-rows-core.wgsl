// == matvec mxfp8 96x192, residual
struct Params {
  L: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> b3: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
fn e4m3(q: u32) -> vec4f {
  let code = vec4u(q, q >> 8u, q >> 16u, q >> 24u);
  let m = code & vec4u(127u);
  let normal = bitcast<vec4f>((m << vec4u(20u)) + vec4u(120u << 23u));
  let magnitude = select(normal, vec4f(m) * 0.001953125, m < vec4u(8u));
  return select(magnitude, -magnitude, (code & vec4u(128u)) != vec4u(0u));
}
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }
var<workgroup> xs: array<vec4<f32>, 320>;
var<workgroup> partial: array<f32, 128>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
  let first_row = wid.y * 2u;
  {
var task = ((wid.x - 0u) * 2u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32;
{ let task = load_task; w_row0 = (min(task * 1u + 0u, 95u)) * 12u;
s_row0 = (min(task * 1u + 0u, 95u)) * 6u;
b_row0 = 0u; }
var t0_w0: vec4u; var t0_s0: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 11u);
t0_w0 = b3[w_row0 + c];
t0_s0 = e8m0(extractBits(b4[(0u + (s_row0 + (c) / 2u)) >> 2u], 8u * ((0u + (s_row0 + (c) / 2u)) & 3u), 8u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 11u);
t1_w0 = b3[w_row0 + c];
t1_s0 = e8m0(extractBits(b4[(0u + (s_row0 + (c) / 2u)) >> 2u], 8u * ((0u + (s_row0 + (c) / 2u)) & 3u), 8u));
load_turn += 1u;
 }
var bias0 = bitcast<f32>(extractBits(b5[((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) & 1u), 16u) << 16u);
var residual0_0 = b2[min(first_row + 0u, params.L - 1u) * 96u + 0u + min(task * 1u + 0u, 95u)];
var residual0_1 = b2[min(first_row + 1u, params.L - 1u) * 96u + 0u + min(task * 1u + 0u, 95u)];
{
var a0_0 = vec4f();
var a0_1 = vec4f();
if (lid < 48u) {
a0_0 = b0[((min(first_row + ((lid + 0u) / 24u), params.L - 1u)) * 192u + ((lid + 0u) % 24u) * 8u) / 4u + 0u];
a0_1 = b0[((min(first_row + ((lid + 0u) / 24u), params.L - 1u)) * 192u + ((lid + 0u) % 24u) * 8u) / 4u + 1u];
}
if (lid < 48u) {
let v0 = a0_0;
let v1 = a0_1;
let base = ((lid + 0u) / 24u) * 160u;
xs[base + ((((lid + 0u) % 24u)) / 2u) * 5u + ((((lid + 0u) % 24u)) % 2u) * 2u + 0u] = v0;
xs[base + ((((lid + 0u) % 24u)) / 2u) * 5u + ((((lid + 0u) % 24u)) % 2u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
var acc0_0 = 0.0; var acc0_1 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u; i--) {
  let w0 = t0_w0; let s0 = t0_s0;
  t0_w0 = t1_w0; t0_s0 = t1_s0;
  if (i > 2u) { var c = min(load_turn * 32u + lane, 11u);
t1_w0 = b3[w_row0 + c];
t1_s0 = e8m0(extractBits(b4[(0u + (s_row0 + (c) / 2u)) >> 2u], 8u * ((0u + (s_row0 + (c) / 2u)) & 3u), 8u));
load_turn += 1u;
 }
  let x0_0 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 0u];
let x0_1 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 1u];
let x0_2 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 2u];
let x0_3 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 3u];
  let x1_0 = xs[(1u) * 160u + (turn * 32u + lane) * 5u + 0u];
let x1_1 = xs[(1u) * 160u + (turn * 32u + lane) * 5u + 1u];
let x1_2 = xs[(1u) * 160u + (turn * 32u + lane) * 5u + 2u];
let x1_3 = xs[(1u) * 160u + (turn * 32u + lane) * 5u + 3u];
  {
let q0 = e4m3(w0.x);
let q1 = e4m3(w0.y);
let q2 = e4m3(w0.z);
let q3 = e4m3(w0.w);
acc0_0 += (dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3)) * s0.x * s0.y;
acc0_1 += (dot(q0, x1_0) + dot(q1, x1_1) + dot(q2, x1_2) + dot(q3, x1_3)) * s0.x * s0.y;
}
  turn += 1u;
}
workgroupBarrier();
if (lid % 1u == 0u) {
  partial[(lid / 1u) * 2u + 0u] = acc0_0; partial[(lid / 1u) * 2u + 1u] = acc0_1;
}
workgroupBarrier();
acc0_0 = 0.0; acc0_1 = 0.0;
for (var p = group * 32u; p < (group + 1u) * 32u; p++) {
  acc0_0 += partial[p * 2u + 0u]; acc0_1 += partial[p * 2u + 1u];
}
let y0 = acc0_0 + bias0 + residual0_0;
if (lane == 0u) {
  let n = task * 1u + 0u;
  if (n < 96u && first_row + 0u < params.L) {
    b1[(first_row + 0u) * 96u + 0u + n] = y0;
  }
}
let y1 = acc0_1 + bias0 + residual0_1;
if (lane == 1u) {
  let n = task * 1u + 0u;
  if (n < 96u && first_row + 1u < params.L) {
    b1[(first_row + 1u) * 96u + 0u + n] = y1;
  }
}
}
}
