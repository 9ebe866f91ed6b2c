// == experts gate+up affine4 96x192
struct Params {
  scales0_start: u32,
  biases0_start: u32,
  bias0_start: u32,
  weight1_start: u32,
  scales1_start: u32,
  biases1_start: u32,
  bias1_start: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
fn quants4(q: u32) -> vec4f {
  let v = vec4u(q, q >> 4u, q >> 8u, q >> 12u) & vec4u(15u);
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}
fn glu(gate: f32, up: f32) -> f32 {
  let g = min(gate, 3.4028234663852886e+38f);
  let u = clamp(up, -3.4028234663852886e+38f, 3.4028234663852886e+38f);
  let t = clamp(g, -1e12, 1e12);
  let z = clamp(1.0f * clamp(g, -1e30, 1e30) + 0.0f * t * t * t, -88.0, 88.0);
  return select(g / (1.0 + exp(-z)), 0.0, z == -88.0) * (u + 0.0f);
}
var<workgroup> xs: array<vec4<f32>, 288>;
var<workgroup> partial: array<f32, 128>;
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
b_row0 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
w_row1 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
s_row1 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
b_row1 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u; }
var t0_w0: vec4u; var t0_s0: vec2f; var t0_w1: vec4u; var t0_s1: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f; var t1_w1: vec4u; var t1_s1: vec2f;
{ var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b2[w_row0 + c];
t0_s0 = vec2f(bitcast<f32>(extractBits(b1[((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) >> 1u], 16u * (((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) >> 1u], 16u * (((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) & 1u), 16u) << 16u));
t0_w1 = b2[(params.weight1_start >> 4u) + (w_row1 + c)];
t0_s1 = vec2f(bitcast<f32>(extractBits(b1[((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) >> 1u], 16u * (((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) >> 1u], 16u * (((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b2[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b1[((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) >> 1u], 16u * (((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) >> 1u], 16u * (((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) & 1u), 16u) << 16u));
t1_w1 = b2[(params.weight1_start >> 4u) + (w_row1 + c)];
t1_s1 = vec2f(bitcast<f32>(extractBits(b1[((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) >> 1u], 16u * (((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) >> 1u], 16u * (((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
var gate_bias = bitcast<f32>(extractBits(b1[((params.bias0_start >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((params.bias0_start >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
var up_bias = bitcast<f32>(extractBits(b1[((params.bias1_start >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((params.bias1_start >> 1u) + ((b1[wid.y * 2u + min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
{
var a0_0 = vec4f();
var a0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 1u];
}
if (lid < 24u) {
let v0 = a0_0;
let v1 = a0_1;
let base = 0u * 288u;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
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
let x0_sum = dot(x0_0 + x0_1 + x0_2 + x0_3 + x0_4 + x0_5 + x0_6 + x0_7, vec4f(1.0));
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
}
  {
let q0 = quants4(w1.x);
let q1 = quants4(w1.x >> 16u);
let q2 = quants4(w1.y);
let q3 = quants4(w1.y >> 16u);
let q4 = quants4(w1.z);
let q5 = quants4(w1.z >> 16u);
let q6 = quants4(w1.w);
let q7 = quants4(w1.w >> 16u);
acc1_0 += fma(dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7), s1.x, s1.y * x0_sum);
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b2[w_row0 + c];
t0_s0 = vec2f(bitcast<f32>(extractBits(b1[((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) >> 1u], 16u * (((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) >> 1u], 16u * (((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) & 1u), 16u) << 16u));
t0_w1 = b2[(params.weight1_start >> 4u) + (w_row1 + c)];
t0_s1 = vec2f(bitcast<f32>(extractBits(b1[((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) >> 1u], 16u * (((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) >> 1u], 16u * (((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) & 1u), 16u) << 16u));
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
let x0_sum = dot(x0_0 + x0_1 + x0_2 + x0_3 + x0_4 + x0_5 + x0_6 + x0_7, vec4f(1.0));
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
}
  {
let q0 = quants4(w1.x);
let q1 = quants4(w1.x >> 16u);
let q2 = quants4(w1.y);
let q3 = quants4(w1.y >> 16u);
let q4 = quants4(w1.z);
let q5 = quants4(w1.z >> 16u);
let q6 = quants4(w1.w);
let q7 = quants4(w1.w >> 16u);
acc1_0 += fma(dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3) + dot(q4, x0_4) + dot(q5, x0_5) + dot(q6, x0_6) + dot(q7, x0_7), s1.x, s1.y * x0_sum);
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b2[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b1[((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) >> 1u], 16u * (((params.scales0_start >> 1u) + (s_row0 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) >> 1u], 16u * (((params.biases0_start >> 1u) + (b_row0 + (c) / 1u)) & 1u), 16u) << 16u));
t1_w1 = b2[(params.weight1_start >> 4u) + (w_row1 + c)];
t1_s1 = vec2f(bitcast<f32>(extractBits(b1[((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) >> 1u], 16u * (((params.scales1_start >> 1u) + (s_row1 + (c) / 1u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b1[((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) >> 1u], 16u * (((params.biases1_start >> 1u) + (b_row1 + (c) / 1u)) & 1u), 16u) << 16u));
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
  let gate = acc0_0 + gate_bias;
  let up = acc1_0 + up_bias;
  b3[wid.y * 192u + task] = glu(gate, up);
}
}
