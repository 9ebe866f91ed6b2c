// == experts gate+up mxfp4 f16 96x192, norm
enable f16;
enable subgroups;
diagnostic(off, subgroup_uniformity);
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
var<workgroup> xs: array<vec4<u32>, 160>;
var<workgroup> squares: array<f32, 22>;
@compute @workgroup_size(704)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
var task = (wid.x * 22u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32; var w_row1: u32; var s_row1: u32; var b_row1: u32;
{ let task = load_task; w_row0 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
s_row0 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
b_row0 = 0u;
w_row1 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
s_row1 = (min(task, 191u) % 96u) * 6u + (b1[wid.y * 2u + min(task, 191u) / 96u]) * 576u;
b_row1 = 0u; }
var t0_w0: vec4u; var t0_s0: u32; var t0_w1: vec4u; var t0_s1: u32;
var t1_w0: vec4u; var t1_s0: u32; var t1_w1: vec4u; var t1_s1: u32;
{ var c = min(load_turn * 32u + lane, 5u);
t0_w0 = b2[w_row0 + c];
t0_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t0_w1 = b5[w_row1 + c];
t0_s1 = extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
t1_w0 = b2[w_row0 + c];
t1_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t1_w1 = b5[w_row1 + c];
t1_s1 = extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
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
workgroupBarrier();
var square0 = select(0.0, squares[0u + min(lane, 21u)], lane < 22u);
square0 += subgroupShuffleXor(square0, 1u);
square0 += subgroupShuffleXor(square0, 2u);
square0 += subgroupShuffleXor(square0, 4u);
square0 += subgroupShuffleXor(square0, 8u);
square0 += subgroupShuffleXor(square0, 16u);
let inverse0 = inverseSqrt(square0 / 192.0 + 0.00001f);
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
t0_w0 = b2[w_row0 + c];
t0_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t0_w1 = b5[w_row1 + c];
t0_s1 = extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
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
t1_w0 = b2[w_row0 + c];
t1_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
t1_w1 = b5[w_row1 + c];
t1_s1 = extractBits(b6[(0u + (s_row1 + c)) >> 2u], 8u * ((0u + (s_row1 + c)) & 3u), 8u);
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
  b8[wid.y * 192u + task] = glu(gate, up);
}
}

// == experts down mxfp4 f16 192x96, sum, residual
enable f16;
enable subgroups;
diagnostic(off, subgroup_uniformity);
@group(0) @binding(1) var<storage, read_write> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read> b4: array<u32>;
@group(0) @binding(6) var<storage, read> b5: array<f32>;
@group(0) @binding(7) var<storage, read> b6: array<f32>;
@group(0) @binding(8) var<storage, read_write> b7: array<f32>;
fn pair_sum(pair: vec2<f16>, exponent: u32) -> f32 {
  return (f32(pair.x) + f32(pair.y)) * bitcast<f32>((clamp(exponent, 126u, 380u) - 126u) << 23u);
}
var<workgroup> xs: array<vec4<u32>, 160>;
@compute @workgroup_size(704)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
  let own = min(lane, 1u);
  let expert0 = b1[wid.y * 2u + 0u]; let expert1 = b1[wid.y * 2u + 1u];
var task = (wid.x * 22u + group) * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32;
var t0_w0: vec4u; var t0_s0: u32;
var t1_w0: vec4u; var t1_s0: u32;
{ var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t0_w0 = b2[w_row0 + c];
t0_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
load_turn += 1u;
 }
{ var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t1_w0 = b2[w_row0 + c];
t1_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
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
workgroupBarrier();
var acc0_0 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u;) {
{
  let w0 = t0_w0; let s0 = t0_s0;
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
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t0_w0 = b2[w_row0 + c];
t0_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
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
}
if (i > 2u) { var c = min(load_turn * 32u + lane, 5u);
let part = c / 3u; c -= part * 3u; { let task = load_task; w_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
s_row0 = (min(task, 191u)) * 3u + (select(expert0, expert1, part == 1u)) * 576u;
b_row0 = 0u; }
t1_w0 = b2[w_row0 + c];
t1_s0 = extractBits(b3[(0u + (s_row0 + c)) >> 2u], 8u * ((0u + (s_row0 + c)) & 3u), 8u);
load_turn += 1u;
 }
i -= 1u;
turn += 1u;
}
acc0_0 += bias;
acc0_0 += subgroupShuffleXor(acc0_0, 1u);
acc0_0 += subgroupShuffleXor(acc0_0, 2u);
acc0_0 += subgroupShuffleXor(acc0_0, 4u);
acc0_0 += subgroupShuffleXor(acc0_0, 8u);
acc0_0 += subgroupShuffleXor(acc0_0, 16u);
if (lane == 0u && task < 192u) {
  b7[wid.y * 192u + task] = residual + acc0_0;
}
}
