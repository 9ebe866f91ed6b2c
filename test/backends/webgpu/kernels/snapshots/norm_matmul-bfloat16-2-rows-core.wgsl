// == matvec bfloat16 96+32x192, norm
struct Params {
  L: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
var<workgroup> xs: array<vec4<f32>, 192>;
var<workgroup> partial: array<f32, 128>;
var<workgroup> squares: array<f32, 128>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
  let first_row = wid.y * 2u;
  if (wid.x < 48u) {
var task = ((wid.x - 0u) * 2u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32;
{ let task = load_task; w_row0 = (min(task * 1u + 0u, 95u)) * 24u;
s_row0 = 0u;
b_row0 = 0u; }
var t0_w0: vec4u; var t0_s0: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 23u);
t0_w0 = b3[w_row0 + c];
t0_s0 = vec2f();
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 23u);
t1_w0 = b3[w_row0 + c];
t1_s0 = vec2f();
load_turn += 1u;
 }
var bias0 = bitcast<f32>(extractBits(b4[((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) & 1u), 16u) << 16u);
for (var l = 0u; l < 2u; l++) {
var a0_0 = vec4f();
var a0_1 = vec4f();
var g0_0 = vec4f();
var g0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((min(first_row + l, params.L - 1u)) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((min(first_row + l, params.L - 1u)) * 192u + (lid + 0u) * 8u) / 4u + 1u];
{ let w = b2[(lid + 0u)]; g0_0 = bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); g0_1 = bitcast<vec4f>(vec4u(w.z << 16u, w.z & 0xffff0000u, w.w << 16u, w.w & 0xffff0000u)); }
}
squares[l * 64u + lid] = dot(a0_0, a0_0) + dot(a0_1, a0_1);
if (lid < 24u) {
let v0 = a0_0 * g0_0;
let v1 = a0_1 * g0_1;
let base = l * 96u;
xs[base + (((lid + 0u)) / 1u) * 3u + (((lid + 0u)) % 1u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 1u) * 3u + (((lid + 0u)) % 1u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
var square0 = 0.0;
for (var i = 0u; i < 64u; i++) { square0 += squares[0u + i]; }
let inverse0 = inverseSqrt(square0 / 192.0 + 0.00001f);
var square1 = 0.0;
for (var i = 0u; i < 64u; i++) { square1 += squares[64u + i]; }
let inverse1 = inverseSqrt(square1 / 192.0 + 0.00001f);
var acc0_0 = 0.0; var acc0_1 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u; i--) {
  let w0 = t0_w0; let s0 = t0_s0;
  t0_w0 = t1_w0; t0_s0 = t1_s0;
  if (i > 2u) { var c = min(load_turn * 32u + lane, 23u);
t1_w0 = b3[w_row0 + c];
t1_s0 = vec2f();
load_turn += 1u;
 }
  let x0_0 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 0u];
let x0_1 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 1u];
  let x1_0 = xs[(1u) * 96u + (turn * 32u + lane) * 3u + 0u];
let x1_1 = xs[(1u) * 96u + (turn * 32u + lane) * 3u + 1u];
  {
let q0 = bitcast<vec4f>(vec4u(w0.x << 16u, w0.x & 0xffff0000u, w0.y << 16u, w0.y & 0xffff0000u));
let q1 = bitcast<vec4f>(vec4u(w0.z << 16u, w0.z & 0xffff0000u, w0.w << 16u, w0.w & 0xffff0000u));
acc0_0 += dot(q0, x0_0) + dot(q1, x0_1);
acc0_1 += dot(q0, x1_0) + dot(q1, x1_1);
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
let y0 = acc0_0 * inverse0 + bias0;
if (lane == 0u) {
  let n = task * 1u + 0u;
  if (n < 96u && first_row + 0u < params.L) {
    b1[(first_row + 0u) * 128u + 0u + n] = y0;
  }
}
let y1 = acc0_1 * inverse1 + bias0;
if (lane == 1u) {
  let n = task * 1u + 0u;
  if (n < 96u && first_row + 1u < params.L) {
    b1[(first_row + 1u) * 128u + 0u + n] = y1;
  }
}
} else {
var task = ((wid.x - 48u) * 2u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32;
{ let task = load_task; w_row0 = (min(task * 1u + 0u, 31u)) * 24u;
s_row0 = 0u;
b_row0 = 0u; }
var t0_w0: vec4u; var t0_s0: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 23u);
t0_w0 = b5[w_row0 + c];
t0_s0 = vec2f();
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 23u);
t1_w0 = b5[w_row0 + c];
t1_s0 = vec2f();
load_turn += 1u;
 }
var bias0 = bitcast<f32>(extractBits(b6[((0u >> 1u) + ((min(task * 1u + 0u, 31u)) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((min(task * 1u + 0u, 31u)) * 1u)) & 1u), 16u) << 16u);
for (var l = 0u; l < 2u; l++) {
var a0_0 = vec4f();
var a0_1 = vec4f();
var g0_0 = vec4f();
var g0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((min(first_row + l, params.L - 1u)) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((min(first_row + l, params.L - 1u)) * 192u + (lid + 0u) * 8u) / 4u + 1u];
{ let w = b2[(lid + 0u)]; g0_0 = bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); g0_1 = bitcast<vec4f>(vec4u(w.z << 16u, w.z & 0xffff0000u, w.w << 16u, w.w & 0xffff0000u)); }
}
squares[l * 64u + lid] = dot(a0_0, a0_0) + dot(a0_1, a0_1);
if (lid < 24u) {
let v0 = a0_0 * g0_0;
let v1 = a0_1 * g0_1;
let base = l * 96u;
xs[base + (((lid + 0u)) / 1u) * 3u + (((lid + 0u)) % 1u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 1u) * 3u + (((lid + 0u)) % 1u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
var square0 = 0.0;
for (var i = 0u; i < 64u; i++) { square0 += squares[0u + i]; }
let inverse0 = inverseSqrt(square0 / 192.0 + 0.00001f);
var square1 = 0.0;
for (var i = 0u; i < 64u; i++) { square1 += squares[64u + i]; }
let inverse1 = inverseSqrt(square1 / 192.0 + 0.00001f);
var acc0_0 = 0.0; var acc0_1 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u; i--) {
  let w0 = t0_w0; let s0 = t0_s0;
  t0_w0 = t1_w0; t0_s0 = t1_s0;
  if (i > 2u) { var c = min(load_turn * 32u + lane, 23u);
t1_w0 = b5[w_row0 + c];
t1_s0 = vec2f();
load_turn += 1u;
 }
  let x0_0 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 0u];
let x0_1 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 1u];
  let x1_0 = xs[(1u) * 96u + (turn * 32u + lane) * 3u + 0u];
let x1_1 = xs[(1u) * 96u + (turn * 32u + lane) * 3u + 1u];
  {
let q0 = bitcast<vec4f>(vec4u(w0.x << 16u, w0.x & 0xffff0000u, w0.y << 16u, w0.y & 0xffff0000u));
let q1 = bitcast<vec4f>(vec4u(w0.z << 16u, w0.z & 0xffff0000u, w0.w << 16u, w0.w & 0xffff0000u));
acc0_0 += dot(q0, x0_0) + dot(q1, x0_1);
acc0_1 += dot(q0, x1_0) + dot(q1, x1_1);
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
let y0 = acc0_0 * inverse0 + bias0;
if (lane == 0u) {
  let n = task * 1u + 0u;
  if (n < 32u && first_row + 0u < params.L) {
    b1[(first_row + 0u) * 128u + 96u + n] = y0;
  }
}
let y1 = acc0_1 * inverse1 + bias0;
if (lane == 1u) {
  let n = task * 1u + 0u;
  if (n < 32u && first_row + 1u < params.L) {
    b1[(first_row + 1u) * 128u + 96u + n] = y1;
  }
}
}
}
