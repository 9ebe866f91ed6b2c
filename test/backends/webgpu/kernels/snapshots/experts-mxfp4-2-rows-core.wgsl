// == experts gate+up mxfp4 96x192, norm
@group(0) @binding(1) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
@group(0) @binding(8) var<storage, read> b7: array<u32>;
@group(0) @binding(9) var<storage, read_write> b8: array<f32>;
@group(0) @binding(10) var<storage, read> b9: array<vec4<u32>>;
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
var<workgroup> xs: array<vec4<f32>, 288>;
var<workgroup> partial: array<f32, 128>;
var<workgroup> squares: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
var task = (wid.x * 2u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32; var w_row1: u32; var s_row1: u32; var b_row1: u32;
{ let task = load_task; w_row0 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
s_row0 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
b_row0 = 0u;
w_row1 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
s_row1 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
b_row1 = 0u; }
var t0_w0: vec4u; var t0_s0: vec2f; var t0_w1: vec4u; var t0_s1: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f; var t1_w1: vec4u; var t1_s1: vec2f;
{ var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b2[w_row0 + c];
t0_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t0_w1 = b5[w_row1 + c];
t0_s1 = e8m0(extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b2[w_row0 + c];
t1_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t1_w1 = b5[w_row1 + c];
t1_s1 = e8m0(extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
load_turn += 1u;
 }
var gate_bias = bitcast<f32>(extractBits(b4[((0u >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
var up_bias = bitcast<f32>(extractBits(b7[((0u >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
{
var a0_0 = vec4f();
var a0_1 = vec4f();
var g0_0 = vec4f();
var g0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 1u];
{ let w = b9[(lid + 0u)]; g0_0 = bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); g0_1 = bitcast<vec4f>(vec4u(w.z << 16u, w.z & 0xffff0000u, w.w << 16u, w.w & 0xffff0000u)); }
}
squares[0u * 64u + lid] = dot(a0_0, a0_0) + dot(a0_1, a0_1);
if (lid < 24u) {
let v0 = a0_0 * g0_0;
let v1 = a0_1 * g0_1;
let base = 0u * 288u;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
var square0 = 0.0;
for (var i = 0u; i < 64u; i++) { square0 += squares[0u + i]; }
let inverse0 = inverseSqrt(square0 / 192.0 + 0.00001f);
var acc0_0 = 0.0; var acc1_0 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u;) {
{
  let w0 = t0_w0; let s0 = t0_s0; let w1 = t0_w1; let s1 = t0_s1;
  let x0_0 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 0u];
let x0_1 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 1u];
let x0_2 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 2u];
let x0_3 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 3u];
let x0_4 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 4u];
let x0_5 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 5u];
let x0_6 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 6u];
let x0_7 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 7u];
  {
let q0 = e2m1(w0.x);
let q1 = e2m1(w0.x >> 16u);
let q2 = e2m1(w0.y);
let q3 = e2m1(w0.y >> 16u);
let q4 = e2m1(w0.z);
let q5 = e2m1(w0.z >> 16u);
let q6 = e2m1(w0.w);
let q7 = e2m1(w0.w >> 16u);
acc0_0 += (dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7)) * 0.5 * s0.x * s0.y;
}
  {
let q0 = e2m1(w1.x);
let q1 = e2m1(w1.x >> 16u);
let q2 = e2m1(w1.y);
let q3 = e2m1(w1.y >> 16u);
let q4 = e2m1(w1.z);
let q5 = e2m1(w1.z >> 16u);
let q6 = e2m1(w1.w);
let q7 = e2m1(w1.w >> 16u);
acc1_0 += (dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7)) * 0.5 * s1.x * s1.y;
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b2[w_row0 + c];
t0_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t0_w1 = b5[w_row1 + c];
t0_s1 = e8m0(extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
if (i == 0u) { break; }
{
  let w0 = t1_w0; let s0 = t1_s0; let w1 = t1_w1; let s1 = t1_s1;
  let x0_0 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 0u];
let x0_1 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 1u];
let x0_2 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 2u];
let x0_3 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 3u];
let x0_4 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 4u];
let x0_5 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 5u];
let x0_6 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 6u];
let x0_7 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 7u];
  {
let q0 = e2m1(w0.x);
let q1 = e2m1(w0.x >> 16u);
let q2 = e2m1(w0.y);
let q3 = e2m1(w0.y >> 16u);
let q4 = e2m1(w0.z);
let q5 = e2m1(w0.z >> 16u);
let q6 = e2m1(w0.w);
let q7 = e2m1(w0.w >> 16u);
acc0_0 += (dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7)) * 0.5 * s0.x * s0.y;
}
  {
let q0 = e2m1(w1.x);
let q1 = e2m1(w1.x >> 16u);
let q2 = e2m1(w1.y);
let q3 = e2m1(w1.y >> 16u);
let q4 = e2m1(w1.z);
let q5 = e2m1(w1.z >> 16u);
let q6 = e2m1(w1.w);
let q7 = e2m1(w1.w >> 16u);
acc1_0 += (dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7)) * 0.5 * s1.x * s1.y;
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b2[w_row0 + c];
t1_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t1_w1 = b5[w_row1 + c];
t1_s1 = e8m0(extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
}
workgroupBarrier();
if (lid % 1u == 0u) {
  partial[(lid / 1u) * 2u + 0u] = acc0_0; partial[(lid / 1u) * 2u + 1u] = acc1_0;
}
workgroupBarrier();
acc0_0 = 0.0; acc1_0 = 0.0;
for (var p = group * 32u; p < (group + 1u) * 32u; p++) {
  acc0_0 += partial[p * 2u + 0u]; acc1_0 += partial[p * 2u + 1u];
}
if (lane == 0u && task < 192u) {
  let gate = acc0_0 * inverse0 + gate_bias;
  let up = acc1_0 * inverse0 + up_bias;
  b8[wid.y * 192u + task] = glu(gate, up);
}
}

// == experts down mxfp4 192x96, sum, residual
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<f32>;
@group(0) @binding(7) var<storage, read> b6: array<f32>;
@group(0) @binding(8) var<storage, read_write> b7: array<f32>;
fn e2m1(q: u32) -> vec4f {
  let code = vec4u(q, q >> 4u, q >> 8u, q >> 12u);
  let twice = vec4f((vec4u(0xc8643210u) >> ((code & vec4u(7u)) << vec4u(2u))) & vec4u(15u));
  return bitcast<vec4f>(bitcast<vec4u>(twice) | ((code & vec4u(8u)) << vec4u(28u)));
}
fn e8m0(s: u32) -> vec2f { return vec2f(bitcast<f32>(max(s, 1u) << 23u), select(1.0, 0.5, s == 0u)); }
var<workgroup> xs: array<vec4<f32>, 288>;
var<workgroup> partial: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
  let own = min(lane, 1u);
  let expert0 = b1[wid.y * 2u + 0u]; let expert1 = b1[wid.y * 2u + 1u];
var task = (wid.x * 2u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32;
var t0_w0: vec4u; var t0_s0: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t0_w0 = b2[w_row0 + c];
t0_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t1_w0 = b2[w_row0 + c];
t1_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
load_turn += 1u;
 }
var residual = b6[wid.y * 192u + min(task, 191u)];
var bias = select(0.0, b5[wid.y * 2u + own] * bitcast<f32>(extractBits(b4[((0u >> 1u) + ((b1[wid.y * 2u + own]) * 192u + (min(task, 191u)) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((b1[wid.y * 2u + own]) * 192u + (min(task, 191u)) * 1u)) & 1u), 16u) << 16u), lane < 2u);
{
var a0_0 = vec4f();
var a0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 1u];
}
if (lid < 24u) {
let factor = b5[wid.y * 2u + ((lid + 0u) * 8u) / 96u];
let v0 = a0_0 * factor;
let v1 = a0_1 * factor;
let base = 0u * 288u;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
var acc0_0 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u;) {
{
  let w0 = t0_w0; let s0 = t0_s0;
  let x0_0 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 0u];
let x0_1 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 1u];
let x0_2 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 2u];
let x0_3 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 3u];
let x0_4 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 4u];
let x0_5 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 5u];
let x0_6 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 6u];
let x0_7 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 7u];
  {
let q0 = e2m1(w0.x);
let q1 = e2m1(w0.x >> 16u);
let q2 = e2m1(w0.y);
let q3 = e2m1(w0.y >> 16u);
let q4 = e2m1(w0.z);
let q5 = e2m1(w0.z >> 16u);
let q6 = e2m1(w0.w);
let q7 = e2m1(w0.w >> 16u);
acc0_0 += (dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7)) * 0.5 * s0.x * s0.y;
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t0_w0 = b2[w_row0 + c];
t0_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
if (i == 0u) { break; }
{
  let w0 = t1_w0; let s0 = t1_s0;
  let x0_0 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 0u];
let x0_1 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 1u];
let x0_2 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 2u];
let x0_3 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 3u];
let x0_4 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 4u];
let x0_5 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 5u];
let x0_6 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 6u];
let x0_7 = xs[(0u) * 288u + (turn * 32u + lane) * 9u + 7u];
  {
let q0 = e2m1(w0.x);
let q1 = e2m1(w0.x >> 16u);
let q2 = e2m1(w0.y);
let q3 = e2m1(w0.y >> 16u);
let q4 = e2m1(w0.z);
let q5 = e2m1(w0.z >> 16u);
let q6 = e2m1(w0.w);
let q7 = e2m1(w0.w >> 16u);
acc0_0 += (dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7)) * 0.5 * s0.x * s0.y;
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t1_w0 = b2[w_row0 + c];
t1_s0 = e8m0(extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
}
acc0_0 += bias;
workgroupBarrier();
if (lid % 1u == 0u) {
  partial[(lid / 1u) * 1u + 0u] = acc0_0;
}
workgroupBarrier();
acc0_0 = 0.0;
for (var p = group * 32u; p < (group + 1u) * 32u; p++) {
  acc0_0 += partial[p * 1u + 0u];
}
if (lane == 0u && task < 192u) {
  b7[wid.y * 192u + task] = residual + acc0_0;
}
}
