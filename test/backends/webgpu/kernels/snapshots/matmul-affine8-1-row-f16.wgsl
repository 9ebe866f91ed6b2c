// == matvec affine8 f16 96x192, residual
enable f16;
enable subgroups;
diagnostic(off, subgroup_uniformity);
@group(0) @binding(1) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> b3: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<u32>;
@group(0) @binding(7) var<storage, read> b6: array<u32>;
fn quant_pair(q: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((q & 0x00ff00ffu) | 0x64006400u) - vec2<f16>(1152.0h);
}
var<workgroup> xs: array<vec4<u32>, 96>;
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
{ let task = load_task; w_row0 = (min(task * 1u + 0u, 95u)) * 12u;
s_row0 = (min(task * 1u + 0u, 95u)) * 3u;
b_row0 = (min(task * 1u + 0u, 95u)) * 3u; }
var t0_w0: vec4u; var t0_s0: vec2f;
var t1_w0: vec4u; var t1_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 11u);
t0_w0 = b3[w_row0 + c];
t0_s0 = vec2f(bitcast<f32>(extractBits(b4[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 11u);
t1_w0 = b3[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b4[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
load_turn += 1u;
 }
var bias0 = bitcast<f32>(extractBits(b6[((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) >> 1u], 16u * (((0u >> 1u) + ((min(task * 1u + 0u, 95u)) * 1u)) & 1u), 16u) << 16u);
var residual0_0 = b2[first_row * 96u + 0u + min(task * 1u + 0u, 95u)];
{
var a0_0 = vec4f();
var a0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((first_row) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((first_row) * 192u + (lid + 0u) * 8u) / 4u + 1u];
}
if (lid < 24u) {
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
if (i > 2u) { var c = min(load_turn * 32u + lane, 11u);
t0_w0 = b3[w_row0 + c];
t0_s0 = vec2f(bitcast<f32>(extractBits(b4[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
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
if (i > 2u) { var c = min(load_turn * 32u + lane, 11u);
t1_w0 = b3[w_row0 + c];
t1_s0 = vec2f(bitcast<f32>(extractBits(b4[((0u >> 1u) + (s_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (s_row0 + (c) / 4u)) & 1u), 16u) << 16u), bitcast<f32>(extractBits(b5[((0u >> 1u) + (b_row0 + (c) / 4u)) >> 1u], 16u * (((0u >> 1u) + (b_row0 + (c) / 4u)) & 1u), 16u) << 16u));
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
  if (n < 96u) {
    b1[(first_row + 0u) * 96u + 0u + n] = y0;
  }
}
}
}
