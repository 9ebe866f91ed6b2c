// == matvec affine8 f16 192x128, residual, router
enable f16;
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
fn quant_pair(q: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((q & 0x00ff00ffu) | 0x64006400u) - vec2<f16>(1152.0h);
}
var<workgroup> xs: array<vec4<u32>, 96>;
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
let base = 0u * 96u;
let largest = max(abs(v0), abs(v1));
var own = max(max(largest.x, largest.y), max(largest.z, largest.w));
own = max(own, subgroupShuffleXor(own, 1u));
var sum = dot(v0 + v1, vec4f(1.0));
sum = sum + subgroupShuffleXor(sum, 1u);
let exponent = clamp(bitcast<u32>(own) >> 23u, 14u, 253u);
let fit = bitcast<f32>((258u - exponent) << 23u);
let at = base + (((lid + 0u)) / 2u) * 3u;
xs[at + ((lid + 0u)) % 2u] = vec4u(pack2x16float(fit * v0.xz), pack2x16float(fit * v0.yw), pack2x16float(fit * v1.xz), pack2x16float(fit * v1.yw));
if (((lid + 0u)) % 2u == 0u) { xs[at + 2u] = vec4u((exponent - 4u) << 23u, bitcast<u32>(sum), 0u, 0u); }
}
}
workgroupBarrier();
var acc0_0 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u;) {
{
  let w0 = t0_w0; let s0 = t0_s0;
  let x0_0 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 0u];
let x0_1 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 1u]; let x0_pad = bitcast<vec2f>(xs[(0u) * 96u + (turn * 32u + lane) * 3u + 2u].xy);
  {
let q00 = quant_pair(w0.x); let q01 = quant_pair(w0.x >> 8u);
let q10 = quant_pair(w0.y); let q11 = quant_pair(w0.y >> 8u);
let q20 = quant_pair(w0.z); let q21 = quant_pair(w0.z >> 8u);
let q30 = quant_pair(w0.w); let q31 = quant_pair(w0.w >> 8u);
acc0_0 += fma(dot(vec2f(fma(q11, bitcast<vec2<f16>>(x0_0.w), fma(q10, bitcast<vec2<f16>>(x0_0.z), fma(q01, bitcast<vec2<f16>>(x0_0.y), q00 * bitcast<vec2<f16>>(x0_0.x)))) + fma(q31, bitcast<vec2<f16>>(x0_1.w), fma(q30, bitcast<vec2<f16>>(x0_1.z), fma(q21, bitcast<vec2<f16>>(x0_1.y), q20 * bitcast<vec2<f16>>(x0_1.x))))), vec2f(x0_pad.x)), s0.x, fma(s0.x, 128.0, s0.y) * x0_pad.y);
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
  let x0_0 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 0u];
let x0_1 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 1u]; let x0_pad = bitcast<vec2f>(xs[(0u) * 96u + (turn * 32u + lane) * 3u + 2u].xy);
  {
let q00 = quant_pair(w0.x); let q01 = quant_pair(w0.x >> 8u);
let q10 = quant_pair(w0.y); let q11 = quant_pair(w0.y >> 8u);
let q20 = quant_pair(w0.z); let q21 = quant_pair(w0.z >> 8u);
let q30 = quant_pair(w0.w); let q31 = quant_pair(w0.w >> 8u);
acc0_0 += fma(dot(vec2f(fma(q11, bitcast<vec2<f16>>(x0_0.w), fma(q10, bitcast<vec2<f16>>(x0_0.z), fma(q01, bitcast<vec2<f16>>(x0_0.y), q00 * bitcast<vec2<f16>>(x0_0.x)))) + fma(q31, bitcast<vec2<f16>>(x0_1.w), fma(q30, bitcast<vec2<f16>>(x0_1.z), fma(q21, bitcast<vec2<f16>>(x0_1.y), q20 * bitcast<vec2<f16>>(x0_1.x))))), vec2f(x0_pad.x)), s0.x, fma(s0.x, 128.0, s0.y) * x0_pad.y);
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

// == top 2, experts gate+up mxfp4 f16 96x192, norm
enable f16;
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
fn pair_sum(pair: vec2<f16>, exponent: u32) -> f32 {
  return (f32(pair.x) + f32(pair.y)) * bitcast<f32>((clamp(exponent, 126u, 380u) - 126u) << 23u);
}
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
var<workgroup> xs: array<vec4<u32>, 160>;
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
let base = 0u * 160u;
let largest = max(abs(v0), abs(v1));
var own = max(max(largest.x, largest.y), max(largest.z, largest.w));
own = max(own, subgroupShuffleXor(own, 1u));
own = max(own, subgroupShuffleXor(own, 2u));
let exponent = clamp(bitcast<u32>(own) >> 23u, 14u, 253u);
let fit = bitcast<f32>((267u - exponent) << 23u);
let at = base + (((lid + 0u)) / 4u) * 5u;
xs[at + ((lid + 0u)) % 4u] = vec4u(pack2x16float(fit * vec2f(v0.x, v1.x)), pack2x16float(fit * vec2f(v0.y, v1.y)), pack2x16float(fit * vec2f(v0.z, v1.z)), pack2x16float(fit * vec2f(v0.w, v1.w)));
if (((lid + 0u)) % 4u == 0u) { xs[at + 4u].x = exponent; }
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
var t0_w0: vec4u; var t0_s0: u32; var t0_w1: vec4u; var t0_s1: u32;
var t1_w0: vec4u; var t1_s0: u32; var t1_w1: vec4u; var t1_s1: u32;
{ var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b5[w_row0 + c];
t0_s0 = extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t0_w1 = b8[w_row1 + c];
t0_s1 = extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b5[w_row0 + c];
t1_s0 = extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t1_w1 = b8[w_row1 + c];
t1_s1 = extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
load_turn += 1u;
 }
var gate_bias = bitcast<f32>(extractBits(b7[((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
var up_bias = bitcast<f32>(extractBits(b10[((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((ids[min(task, 191u) / 96u]) * 96u + (min(task, 191u) % 96u) * 1u)) & 1u), 16u) << 16u);
var acc0_0 = 0.0; var acc1_0 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u;) {
{
  let w0 = t0_w0; let s0 = t0_s0; let w1 = t0_w1; let s1 = t0_s1;
  let x0_0 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 0u];
let x0_1 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 1u];
let x0_2 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 2u];
let x0_3 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 3u]; let x0_exponent = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 4u].x;
  {
let q00 = bitcast<vec2<f16>>(((w0.x << 9u) & 0x0e000e00u) | ((w0.x << 12u) & 0x80008000u));
let q01 = bitcast<vec2<f16>>(((w0.x << 5u) & 0x0e000e00u) | ((w0.x << 8u) & 0x80008000u));
let q02 = bitcast<vec2<f16>>(((w0.x << 1u) & 0x0e000e00u) | ((w0.x << 4u) & 0x80008000u));
let q03 = bitcast<vec2<f16>>(((w0.x >> 3u) & 0x0e000e00u) | ((w0.x ) & 0x80008000u));
let q10 = bitcast<vec2<f16>>(((w0.y << 9u) & 0x0e000e00u) | ((w0.y << 12u) & 0x80008000u));
let q11 = bitcast<vec2<f16>>(((w0.y << 5u) & 0x0e000e00u) | ((w0.y << 8u) & 0x80008000u));
let q12 = bitcast<vec2<f16>>(((w0.y << 1u) & 0x0e000e00u) | ((w0.y << 4u) & 0x80008000u));
let q13 = bitcast<vec2<f16>>(((w0.y >> 3u) & 0x0e000e00u) | ((w0.y ) & 0x80008000u));
let q20 = bitcast<vec2<f16>>(((w0.z << 9u) & 0x0e000e00u) | ((w0.z << 12u) & 0x80008000u));
let q21 = bitcast<vec2<f16>>(((w0.z << 5u) & 0x0e000e00u) | ((w0.z << 8u) & 0x80008000u));
let q22 = bitcast<vec2<f16>>(((w0.z << 1u) & 0x0e000e00u) | ((w0.z << 4u) & 0x80008000u));
let q23 = bitcast<vec2<f16>>(((w0.z >> 3u) & 0x0e000e00u) | ((w0.z ) & 0x80008000u));
let q30 = bitcast<vec2<f16>>(((w0.w << 9u) & 0x0e000e00u) | ((w0.w << 12u) & 0x80008000u));
let q31 = bitcast<vec2<f16>>(((w0.w << 5u) & 0x0e000e00u) | ((w0.w << 8u) & 0x80008000u));
let q32 = bitcast<vec2<f16>>(((w0.w << 1u) & 0x0e000e00u) | ((w0.w << 4u) & 0x80008000u));
let q33 = bitcast<vec2<f16>>(((w0.w >> 3u) & 0x0e000e00u) | ((w0.w ) & 0x80008000u));
acc0_0 += pair_sum(fma(q13, bitcast<vec2<f16>>(x0_1.w), fma(q12, bitcast<vec2<f16>>(x0_1.z), fma(q11, bitcast<vec2<f16>>(x0_1.y), fma(q10, bitcast<vec2<f16>>(x0_1.x), fma(q03, bitcast<vec2<f16>>(x0_0.w), fma(q02, bitcast<vec2<f16>>(x0_0.z), fma(q01, bitcast<vec2<f16>>(x0_0.y), q00 * bitcast<vec2<f16>>(x0_0.x)))))))) + fma(q33, bitcast<vec2<f16>>(x0_3.w), fma(q32, bitcast<vec2<f16>>(x0_3.z), fma(q31, bitcast<vec2<f16>>(x0_3.y), fma(q30, bitcast<vec2<f16>>(x0_3.x), fma(q23, bitcast<vec2<f16>>(x0_2.w), fma(q22, bitcast<vec2<f16>>(x0_2.z), fma(q21, bitcast<vec2<f16>>(x0_2.y), q20 * bitcast<vec2<f16>>(x0_2.x)))))))), s0 + x0_exponent);
}
  {
let q00 = bitcast<vec2<f16>>(((w1.x << 9u) & 0x0e000e00u) | ((w1.x << 12u) & 0x80008000u));
let q01 = bitcast<vec2<f16>>(((w1.x << 5u) & 0x0e000e00u) | ((w1.x << 8u) & 0x80008000u));
let q02 = bitcast<vec2<f16>>(((w1.x << 1u) & 0x0e000e00u) | ((w1.x << 4u) & 0x80008000u));
let q03 = bitcast<vec2<f16>>(((w1.x >> 3u) & 0x0e000e00u) | ((w1.x ) & 0x80008000u));
let q10 = bitcast<vec2<f16>>(((w1.y << 9u) & 0x0e000e00u) | ((w1.y << 12u) & 0x80008000u));
let q11 = bitcast<vec2<f16>>(((w1.y << 5u) & 0x0e000e00u) | ((w1.y << 8u) & 0x80008000u));
let q12 = bitcast<vec2<f16>>(((w1.y << 1u) & 0x0e000e00u) | ((w1.y << 4u) & 0x80008000u));
let q13 = bitcast<vec2<f16>>(((w1.y >> 3u) & 0x0e000e00u) | ((w1.y ) & 0x80008000u));
let q20 = bitcast<vec2<f16>>(((w1.z << 9u) & 0x0e000e00u) | ((w1.z << 12u) & 0x80008000u));
let q21 = bitcast<vec2<f16>>(((w1.z << 5u) & 0x0e000e00u) | ((w1.z << 8u) & 0x80008000u));
let q22 = bitcast<vec2<f16>>(((w1.z << 1u) & 0x0e000e00u) | ((w1.z << 4u) & 0x80008000u));
let q23 = bitcast<vec2<f16>>(((w1.z >> 3u) & 0x0e000e00u) | ((w1.z ) & 0x80008000u));
let q30 = bitcast<vec2<f16>>(((w1.w << 9u) & 0x0e000e00u) | ((w1.w << 12u) & 0x80008000u));
let q31 = bitcast<vec2<f16>>(((w1.w << 5u) & 0x0e000e00u) | ((w1.w << 8u) & 0x80008000u));
let q32 = bitcast<vec2<f16>>(((w1.w << 1u) & 0x0e000e00u) | ((w1.w << 4u) & 0x80008000u));
let q33 = bitcast<vec2<f16>>(((w1.w >> 3u) & 0x0e000e00u) | ((w1.w ) & 0x80008000u));
acc1_0 += pair_sum(fma(q13, bitcast<vec2<f16>>(x0_1.w), fma(q12, bitcast<vec2<f16>>(x0_1.z), fma(q11, bitcast<vec2<f16>>(x0_1.y), fma(q10, bitcast<vec2<f16>>(x0_1.x), fma(q03, bitcast<vec2<f16>>(x0_0.w), fma(q02, bitcast<vec2<f16>>(x0_0.z), fma(q01, bitcast<vec2<f16>>(x0_0.y), q00 * bitcast<vec2<f16>>(x0_0.x)))))))) + fma(q33, bitcast<vec2<f16>>(x0_3.w), fma(q32, bitcast<vec2<f16>>(x0_3.z), fma(q31, bitcast<vec2<f16>>(x0_3.y), fma(q30, bitcast<vec2<f16>>(x0_3.x), fma(q23, bitcast<vec2<f16>>(x0_2.w), fma(q22, bitcast<vec2<f16>>(x0_2.z), fma(q21, bitcast<vec2<f16>>(x0_2.y), q20 * bitcast<vec2<f16>>(x0_2.x)))))))), s1 + x0_exponent);
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b5[w_row0 + c];
t0_s0 = extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t0_w1 = b8[w_row1 + c];
t0_s1 = extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
if (i == 0u) { break; }
{
  let w0 = t1_w0; let s0 = t1_s0; let w1 = t1_w1; let s1 = t1_s1;
  let x0_0 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 0u];
let x0_1 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 1u];
let x0_2 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 2u];
let x0_3 = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 3u]; let x0_exponent = xs[(0u) * 160u + (turn * 32u + lane) * 5u + 4u].x;
  {
let q00 = bitcast<vec2<f16>>(((w0.x << 9u) & 0x0e000e00u) | ((w0.x << 12u) & 0x80008000u));
let q01 = bitcast<vec2<f16>>(((w0.x << 5u) & 0x0e000e00u) | ((w0.x << 8u) & 0x80008000u));
let q02 = bitcast<vec2<f16>>(((w0.x << 1u) & 0x0e000e00u) | ((w0.x << 4u) & 0x80008000u));
let q03 = bitcast<vec2<f16>>(((w0.x >> 3u) & 0x0e000e00u) | ((w0.x ) & 0x80008000u));
let q10 = bitcast<vec2<f16>>(((w0.y << 9u) & 0x0e000e00u) | ((w0.y << 12u) & 0x80008000u));
let q11 = bitcast<vec2<f16>>(((w0.y << 5u) & 0x0e000e00u) | ((w0.y << 8u) & 0x80008000u));
let q12 = bitcast<vec2<f16>>(((w0.y << 1u) & 0x0e000e00u) | ((w0.y << 4u) & 0x80008000u));
let q13 = bitcast<vec2<f16>>(((w0.y >> 3u) & 0x0e000e00u) | ((w0.y ) & 0x80008000u));
let q20 = bitcast<vec2<f16>>(((w0.z << 9u) & 0x0e000e00u) | ((w0.z << 12u) & 0x80008000u));
let q21 = bitcast<vec2<f16>>(((w0.z << 5u) & 0x0e000e00u) | ((w0.z << 8u) & 0x80008000u));
let q22 = bitcast<vec2<f16>>(((w0.z << 1u) & 0x0e000e00u) | ((w0.z << 4u) & 0x80008000u));
let q23 = bitcast<vec2<f16>>(((w0.z >> 3u) & 0x0e000e00u) | ((w0.z ) & 0x80008000u));
let q30 = bitcast<vec2<f16>>(((w0.w << 9u) & 0x0e000e00u) | ((w0.w << 12u) & 0x80008000u));
let q31 = bitcast<vec2<f16>>(((w0.w << 5u) & 0x0e000e00u) | ((w0.w << 8u) & 0x80008000u));
let q32 = bitcast<vec2<f16>>(((w0.w << 1u) & 0x0e000e00u) | ((w0.w << 4u) & 0x80008000u));
let q33 = bitcast<vec2<f16>>(((w0.w >> 3u) & 0x0e000e00u) | ((w0.w ) & 0x80008000u));
acc0_0 += pair_sum(fma(q13, bitcast<vec2<f16>>(x0_1.w), fma(q12, bitcast<vec2<f16>>(x0_1.z), fma(q11, bitcast<vec2<f16>>(x0_1.y), fma(q10, bitcast<vec2<f16>>(x0_1.x), fma(q03, bitcast<vec2<f16>>(x0_0.w), fma(q02, bitcast<vec2<f16>>(x0_0.z), fma(q01, bitcast<vec2<f16>>(x0_0.y), q00 * bitcast<vec2<f16>>(x0_0.x)))))))) + fma(q33, bitcast<vec2<f16>>(x0_3.w), fma(q32, bitcast<vec2<f16>>(x0_3.z), fma(q31, bitcast<vec2<f16>>(x0_3.y), fma(q30, bitcast<vec2<f16>>(x0_3.x), fma(q23, bitcast<vec2<f16>>(x0_2.w), fma(q22, bitcast<vec2<f16>>(x0_2.z), fma(q21, bitcast<vec2<f16>>(x0_2.y), q20 * bitcast<vec2<f16>>(x0_2.x)))))))), s0 + x0_exponent);
}
  {
let q00 = bitcast<vec2<f16>>(((w1.x << 9u) & 0x0e000e00u) | ((w1.x << 12u) & 0x80008000u));
let q01 = bitcast<vec2<f16>>(((w1.x << 5u) & 0x0e000e00u) | ((w1.x << 8u) & 0x80008000u));
let q02 = bitcast<vec2<f16>>(((w1.x << 1u) & 0x0e000e00u) | ((w1.x << 4u) & 0x80008000u));
let q03 = bitcast<vec2<f16>>(((w1.x >> 3u) & 0x0e000e00u) | ((w1.x ) & 0x80008000u));
let q10 = bitcast<vec2<f16>>(((w1.y << 9u) & 0x0e000e00u) | ((w1.y << 12u) & 0x80008000u));
let q11 = bitcast<vec2<f16>>(((w1.y << 5u) & 0x0e000e00u) | ((w1.y << 8u) & 0x80008000u));
let q12 = bitcast<vec2<f16>>(((w1.y << 1u) & 0x0e000e00u) | ((w1.y << 4u) & 0x80008000u));
let q13 = bitcast<vec2<f16>>(((w1.y >> 3u) & 0x0e000e00u) | ((w1.y ) & 0x80008000u));
let q20 = bitcast<vec2<f16>>(((w1.z << 9u) & 0x0e000e00u) | ((w1.z << 12u) & 0x80008000u));
let q21 = bitcast<vec2<f16>>(((w1.z << 5u) & 0x0e000e00u) | ((w1.z << 8u) & 0x80008000u));
let q22 = bitcast<vec2<f16>>(((w1.z << 1u) & 0x0e000e00u) | ((w1.z << 4u) & 0x80008000u));
let q23 = bitcast<vec2<f16>>(((w1.z >> 3u) & 0x0e000e00u) | ((w1.z ) & 0x80008000u));
let q30 = bitcast<vec2<f16>>(((w1.w << 9u) & 0x0e000e00u) | ((w1.w << 12u) & 0x80008000u));
let q31 = bitcast<vec2<f16>>(((w1.w << 5u) & 0x0e000e00u) | ((w1.w << 8u) & 0x80008000u));
let q32 = bitcast<vec2<f16>>(((w1.w << 1u) & 0x0e000e00u) | ((w1.w << 4u) & 0x80008000u));
let q33 = bitcast<vec2<f16>>(((w1.w >> 3u) & 0x0e000e00u) | ((w1.w ) & 0x80008000u));
acc1_0 += pair_sum(fma(q13, bitcast<vec2<f16>>(x0_1.w), fma(q12, bitcast<vec2<f16>>(x0_1.z), fma(q11, bitcast<vec2<f16>>(x0_1.y), fma(q10, bitcast<vec2<f16>>(x0_1.x), fma(q03, bitcast<vec2<f16>>(x0_0.w), fma(q02, bitcast<vec2<f16>>(x0_0.z), fma(q01, bitcast<vec2<f16>>(x0_0.y), q00 * bitcast<vec2<f16>>(x0_0.x)))))))) + fma(q33, bitcast<vec2<f16>>(x0_3.w), fma(q32, bitcast<vec2<f16>>(x0_3.z), fma(q31, bitcast<vec2<f16>>(x0_3.y), fma(q30, bitcast<vec2<f16>>(x0_3.x), fma(q23, bitcast<vec2<f16>>(x0_2.w), fma(q22, bitcast<vec2<f16>>(x0_2.z), fma(q21, bitcast<vec2<f16>>(x0_2.y), q20 * bitcast<vec2<f16>>(x0_2.x)))))))), s1 + x0_exponent);
}
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b5[w_row0 + c];
t1_s0 = extractBits(b6[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t1_w1 = b8[w_row1 + c];
t1_s1 = extractBits(b9[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
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
