// == matvec affine8 192x128, residual, router
enable subgroups;
diagnostic(off, subgroup_uniformity);
@group(0) @binding(1) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read_write> b6: array<f32>;
@group(0) @binding(8) var<storage, read> b7: array<f32>;
@group(0) @binding(9) var<storage, read> b8: array<vec4<u32>>;
@group(0) @binding(10) var<storage, read> b9: array<u32>;
@group(0) @binding(11) var<storage, read> b10: array<u32>;
@group(0) @binding(12) var<storage, read> b11: array<u32>;
fn quants8(q: u32) -> vec4f {
  let v = vec4u(q & 0xffu, (q >> 8u) & 0xffu, (q >> 16u) & 0xffu, q >> 24u);
  return bitcast<vec4f>(v | vec4u(0x4B000000u)) - vec4f(8388608.0);
}
var<workgroup> xs: array<vec4<f32>, 160>;
var<workgroup> contributions: array<f32, 704>;
@compute @workgroup_size(704)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
  let first_row = wid.y * 1u;
  {
var task = ((wid.x - 0u) * 22u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32;
{ let task = load_task; w_row0 = (min(task * 1u + 0u, 191u)) * 8u;
s_row0 = (min(task * 1u + 0u, 191u)) * 2u;
b_row0 = (min(task * 1u + 0u, 191u)) * 2u; }
var t0_w0: vec4u; var t0_s0: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 7u);
t0_w0 = b8[w_row0 + c];
t0_s0 = vec2f(bitcast<f32>(extractBits(b9[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b10[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 7u);
t1_w0 = b8[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b9[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b10[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
var bias0 = bitcast<f32>(extractBits(b11[((0u >> 1u) + ((min(task * 1u + 0u, 191u)) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((min(task * 1u + 0u, 191u)) * 1u)) & 1u), 16u) << 16u);
var residual0_0 = b7[first_row * 192u + 0u + min(task * 1u + 0u, 191u)];
var column0 = bitcast<f32>(extractBits(b2[((0u >> 1u) + (min(task * 1u + 0u, 191u))) >> 1u], 16u * (((0u >> 1u) + (min(task * 1u + 0u, 191u))) & 1u), 16u) << 16u) * fma(f32(extractBits(b3[(min(lane + 0u, 7u)) * 48u + (min(task * 1u + 0u, 191u)) / 4u], (min(task * 1u + 0u, 191u)) % 4u * 8u, 8u)), bitcast<f32>(extractBits(b4[((0u >> 1u) + ((min(lane + 0u, 7u)) * 3u + (min(task * 1u + 0u, 191u)) / 64u)) >> 1u], 16u * (((0u >> 1u) + ((min(lane + 0u, 7u)) * 3u + (min(task * 1u + 0u, 191u)) / 64u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + ((min(lane + 0u, 7u)) * 3u + (min(task * 1u + 0u, 191u)) / 64u)) >> 1u], 16u * (((0u >> 1u) + ((min(lane + 0u, 7u)) * 3u + (min(task * 1u + 0u, 191u)) / 64u)) & 1u), 16u) << 16u));
{
var a0_0 = vec4f();
var a0_1 = vec4f();
if (lid < 16u) {
a0_0 = b0[((first_row) * 128u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((first_row) * 128u + (lid + 0u) * 8u) / 4u + 1u];
}
if (lid < 16u) {
let v0 = a0_0;
let v1 = a0_1;
let base = 0u * 160u;
xs[base + (((lid + 0u)) / 2u) * 5u + (((lid + 0u)) % 2u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 2u) * 5u + (((lid + 0u)) % 2u) * 2u + 1u] = v1;
var sum = dot(v0 + v1, vec4f(1.0));
sum = sum + subgroupShuffleXor(sum, 1u);
if (((lid + 0u)) % 2u == 0u) { xs[base + (((lid + 0u)) / 2u) * 5u + 4u] = vec4f(sum); }
}
}
workgroupBarrier();
var acc0_0 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u;) {
{
  let w0 = t0_w0; let s0 = t0_s0;
  let x0_0 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 0u];
let x0_1 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 1u];
let x0_2 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 2u];
let x0_3 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 3u];
let x0_sum = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 4u].x;
  {
let q0 = quants8(w0.x);
let q1 = quants8(w0.y);
let q2 = quants8(w0.z);
let q3 = quants8(w0.w);
acc0_0 += fma(dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3), s0.x, s0.y * x0_sum);
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 7u);
t0_w0 = b8[w_row0 + c];
t0_s0 = vec2f(bitcast<f32>(extractBits(b9[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b10[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
if (i == 0u) { break; }
{
  let w0 = t1_w0; let s0 = t1_s0;
  let x0_0 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 0u];
let x0_1 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 1u];
let x0_2 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 2u];
let x0_3 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 3u];
let x0_sum = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 4u].x;
  {
let q0 = quants8(w0.x);
let q1 = quants8(w0.y);
let q2 = quants8(w0.z);
let q3 = quants8(w0.w);
acc0_0 += fma(dot(q0, x0_0) + dot(q1, x0_1) + dot(q2, x0_2) + dot(q3, x0_3), s0.x, s0.y * x0_sum);
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 7u);
t1_w0 = b8[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b9[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b10[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
}
acc0_0 += subgroupShuffleXor(acc0_0, 1u);
acc0_0 += subgroupShuffleXor(acc0_0, 2u);
acc0_0 += subgroupShuffleXor(acc0_0, 4u);
acc0_0 += subgroupShuffleXor(acc0_0, 8u);
acc0_0 += subgroupShuffleXor(acc0_0, 16u);
let y0 = acc0_0 + bias0 + residual0_0;
if (lane == 0u) {
  let n = task * 1u + 0u;
  if (n < 192u) {
    b1[(first_row + 0u) * 192u + 0u + n] = y0;
  }
}
contributions[group * 32u + 0u + lane] = select(0.0, y0 * column0, task < 192u);
workgroupBarrier();
for (var e = lid; e < 8u; e += 704u) {
  var sum = 0.0;
  for (var i = 0u; i < 22u; i++) { sum += contributions[i * 32u + e]; }
  b6[e * 9u + wid.x] = sum;
}}
}

// == top 2, experts gate+up mxfp4 96x192, norm
enable subgroups;
diagnostic(off, subgroup_uniformity);
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<u32>;
@group(0) @binding(4) var<storage, read_write> b3: array<f32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
@group(0) @binding(8) var<storage, read> b7: array<u32>;
@group(0) @binding(9) var<storage, read> b8: array<vec4<u32>>;
@group(0) @binding(10) var<storage, read> b9: array<u32>;
@group(0) @binding(11) var<storage, read> b10: array<u32>;
@group(0) @binding(12) var<storage, read_write> b11: array<f32>;
@group(0) @binding(13) var<storage, read> b12: array<vec4<u32>>;
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
fn goes_before(a: f32, i: u32, b: f32, j: u32) -> bool { return a > b || (a == b && i < j); }
var<workgroup> ids: array<u32, 2>;
var<workgroup> chosen: array<f32, 2>;
var<workgroup> raw_logits: array<f32, 8>;
var<workgroup> router_biases: array<f32, 8>;
var<workgroup> places: array<atomic<u32>, 8>;
var<workgroup> xs: array<vec4<f32>, 288>;
var<workgroup> squares: array<f32, 22>;
@compute @workgroup_size(704)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
  let logit0_0 = select(0.0, b1[min(group + 0u, 7u) * 9u + min(lane + 0u, 8u)], lane + 0u < 9u);
for (var e = lid; e < 8u; e += 704u) { router_biases[e] = bitcast<f32>(extractBits(b4[((0u >> 1u) + (e * 1u)) >> 1u], 16u * (((0u >> 1u) + (e * 1u)) & 1u), 16u) << 16u); }
{
var a0_0 = vec4f();
var a0_1 = vec4f();
var g0_0 = vec4f();
var g0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((wid.y) * 192u + (lid + 0u) * 8u) / 4u + 1u];
{ let w = b12[(lid + 0u)]; g0_0 = bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); g0_1 = bitcast<vec4f>(vec4u(w.z << 16u, w.z & 0xffff0000u, w.w << 16u, w.w & 0xffff0000u)); }
}
var square = dot(a0_0, a0_0) + dot(a0_1, a0_1);
square += subgroupShuffleXor(square, 1u);
square += subgroupShuffleXor(square, 2u);
square += subgroupShuffleXor(square, 4u);
square += subgroupShuffleXor(square, 8u);
square += subgroupShuffleXor(square, 16u);
if (lane == 0u) { squares[0u * 22u + group] = square; }
if (lid < 24u) {
let v0 = a0_0 * g0_0;
let v1 = a0_1 * g0_1;
let base = 0u * 288u;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 4u) * 9u + (((lid + 0u)) % 4u) * 2u + 1u] = v1;
}
}
var logit0 = logit0_0;
logit0 += subgroupShuffleXor(logit0, 1u);
logit0 += subgroupShuffleXor(logit0, 2u);
logit0 += subgroupShuffleXor(logit0, 4u);
logit0 += subgroupShuffleXor(logit0, 8u);
logit0 += subgroupShuffleXor(logit0, 16u);
if (lane == 0u && group + 0u < 8u) { raw_logits[group + 0u] = logit0; }
workgroupBarrier();
var square0 = select(0.0, squares[0u + min(lane, 21u)], lane < 22u);
square0 += subgroupShuffleXor(square0, 1u);
square0 += subgroupShuffleXor(square0, 2u);
square0 += subgroupShuffleXor(square0, 4u);
square0 += subgroupShuffleXor(square0, 8u);
square0 += subgroupShuffleXor(square0, 16u);
let inverse0 = inverseSqrt(square0 / 192.0 + 0.00001f);
for (var pair = lid; pair < 64u; pair += 704u) {
  let n = pair / 8u;
  let other = pair % 8u;
  if (goes_before(fma(raw_logits[other], inverse0, router_biases[other]), other, fma(raw_logits[n], inverse0, router_biases[n]), n)) { atomicAdd(&places[n], 1u); }
}
workgroupBarrier();
for (var n = lid; n < 8u; n += 704u) {
  let place = atomicLoad(&places[n]);
  let own = fma(raw_logits[n], inverse0, router_biases[n]);
  if (place < 2u) { ids[place] = n; chosen[place] = own; }
}
workgroupBarrier();
if (wid.x == 0u) {
  if (lid < 2u) {
    var sum = 0.0;
    for (var i = 0u; i < 2u; i++) { sum += exp(chosen[i] - chosen[0]); }
    b2[lid] = ids[lid];
    b3[lid] = exp(chosen[lid] - chosen[0]) / sum;
  }}
var task = (wid.x * 22u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32; var w_row1: u32; var s_row1: u32; var b_row1: u32;
{ let task = load_task; w_row0 = (min(task, 191u) % 96u) * 6u + (ids[min(task, 191u) / 96u]) * 576u;
s_row0 = (min(task, 191u) % 96u) * 6u + (ids[min(task, 191u) / 96u]) * 576u;
b_row0 = 0u;
w_row1 = (min(task, 191u) % 96u) * 6u + (ids[min(task, 191u) / 96u]) * 576u;
s_row1 = (min(task, 191u) % 96u) * 6u + (ids[min(task, 191u) / 96u]) * 576u;
b_row1 = 0u; }
var t0_w0: vec4u; var t0_s0: vec2f; var t0_w1: vec4u; var t0_s1: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f; var t1_w1: vec4u; var t1_s1: vec2f;
{ var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b5[w_row0 + c];
t0_s0 = e8m0(extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t0_w1 = b8[w_row1 + c];
t0_s1 = e8m0(extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b5[w_row0 + c];
t1_s0 = e8m0(extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t1_w1 = b8[w_row1 + c];
t1_s1 = e8m0(extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
load_turn += 1u;
 }
var gate_bias = bitcast<f32>(extractBits(b7[((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
var up_bias = bitcast<f32>(extractBits(b10[((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
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
t0_w0 = b5[w_row0 + c];
t0_s0 = e8m0(extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t0_w1 = b8[w_row1 + c];
t0_s1 = e8m0(extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
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
t1_w0 = b5[w_row0 + c];
t1_s0 = e8m0(extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u));
t1_w1 = b8[w_row1 + c];
t1_s1 = e8m0(extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u));
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
}
acc0_0 += subgroupShuffleXor(acc0_0, 1u); acc1_0 += subgroupShuffleXor(acc1_0, 1u);
acc0_0 += subgroupShuffleXor(acc0_0, 2u); acc1_0 += subgroupShuffleXor(acc1_0, 2u);
acc0_0 += subgroupShuffleXor(acc0_0, 4u); acc1_0 += subgroupShuffleXor(acc1_0, 4u);
acc0_0 += subgroupShuffleXor(acc0_0, 8u); acc1_0 += subgroupShuffleXor(acc1_0, 8u);
acc0_0 += subgroupShuffleXor(acc0_0, 16u); acc1_0 += subgroupShuffleXor(acc1_0, 16u);
if (lane == 0u && task < 192u) {
  let gate = acc0_0 * inverse0 + gate_bias;
  let up = acc1_0 * inverse0 + up_bias;
  b11[wid.y * 192u + task] = glu(gate, up);
}
}
