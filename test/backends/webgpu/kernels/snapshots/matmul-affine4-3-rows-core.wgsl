// == matvec affine4 96x192, residual
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
@group(0) @binding(7) var<storage, read> b6: array<u32>;
fn quants4(q: u32) -> vec4f {
  let v = vec4u(q, q >> 4u, q >> 8u, q >> 12u) & vec4u(15u);
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}
var<workgroup> xs: array<vec4<f32>, 576>;
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
{ let task = load_task; w_row0 = (min(task * 1u + 0u, 95u)) * 6u;
s_row0 = (min(task * 1u + 0u, 95u)) * 6u;
b_row0 = (min(task * 1u + 0u, 95u)) * 6u; }
var t0_w0: vec4u; var t0_s0: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b3[w_row0 + c];
t0_s0 = vec2f(bitcast<f32>(extractBits(b4[((0u >> 1u) + (s_row0 + (c) / 1u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + (b_row0 + (c) / 1u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 1u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b3[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b4[((0u >> 1u) + (s_row0 + (c) / 1u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + (b_row0 + (c) / 1u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 1u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
var bias0 = bitcast<f32>(extractBits(b6[((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) & 1u), 16u) << 16u);
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
let base = ((lid + 0u) / 24u) * 288u;
xs[base + ((((lid + 0u) % 24u)) / 4u) * 9u + ((((lid + 0u) % 24u)) % 4u) * 2u + 0u] = v0;
xs[base + ((((lid + 0u) % 24u)) / 4u) * 9u + ((((lid + 0u) % 24u)) % 4u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
var acc0_0 = 0.0; var acc0_1 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u; i--) {
  let w0 = t0_w0; let s0 = t0_s0;
  t0_w0 = t1_w0; t0_s0 = t1_s0;
  if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b3[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b4[((0u >> 1u) + (s_row0 + (c) / 1u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + (b_row0 + (c) / 1u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 1u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
  let x0_0 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 0u];
let x0_1 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 1u];
let x0_2 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 2u];
let x0_3 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 3u];
let x0_4 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 4u];
let x0_5 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 5u];
let x0_6 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 6u];
let x0_7 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 7u];
let x0_sum = dot(x0_0 + x0_1 + x0_2 + x0_3 + x0_4 + x0_5 + x0_6 + x0_7, vec4f(1.0));
  let x1_0 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 0u];
let x1_1 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 1u];
let x1_2 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 2u];
let x1_3 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 3u];
let x1_4 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 4u];
let x1_5 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 5u];
let x1_6 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 6u];
let x1_7 = xs[(1u) * 288u + (turn * 32u + lane) * 9u + 7u];
let x1_sum = dot(x1_0 + x1_1 + x1_2 + x1_3 + x1_4 + x1_5 + x1_6 + x1_7, vec4f(1.0));
  {
let q0 = quants4(w0.x);
let q1 = quants4(w0.x >> 16u);
let q2 = quants4(w0.y);
let q3 = quants4(w0.y >> 16u);
let q4 = quants4(w0.z);
let q5 = quants4(w0.z >> 16u);
let q6 = quants4(w0.w);
let q7 = quants4(w0.w >> 16u);
acc0_0 += fma(dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7), s0.x, s0.y * x0_sum);
acc0_1 += fma(dot(q0, x1_0) + dot(q1, x1_1) + dot(q2, x1_2) + dot(q3, x1_3) + dot(q4, x1_4) + dot(q5, x1_5) + dot(q6, x1_6) + dot(q7, x1_7), s0.x, s0.y * x1_sum);
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
