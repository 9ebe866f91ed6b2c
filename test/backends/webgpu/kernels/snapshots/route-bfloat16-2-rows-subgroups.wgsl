// == route bfloat16 8x192, norm, top 2
enable subgroups;
diagnostic(off, subgroup_uniformity);
@group(0) @binding(1) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b1: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> b2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> b3: array<u32>;
@group(0) @binding(5) var<storage, read_write> b4: array<u32>;
@group(0) @binding(6) var<storage, read_write> b5: array<f32>;
fn goes_before(a: f32, i: u32, b: f32, j: u32) -> bool { return a > b || (a == b && i < j); }
var<workgroup> ids: array<u32, 2>;
var<workgroup> chosen: array<f32, 2>;
var<workgroup> xs: array<vec4<f32>, 96>;
var<workgroup> logits: array<f32, 8>;
var<workgroup> squares: array<f32, 8>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % 32u;
  let group = lid / 32u;
  {
var task = group * 1u;
var load_task = task;
var load_turn = 0u;
var w_row0: u32; var s_row0: u32; var b_row0: u32;
{ let task = load_task; w_row0 = (min(task, 7u)) * 24u;
s_row0 = 0u;
b_row0 = 0u; }
var t0_w0: vec4u; var t0_s0: vec2f;
{ var c = min(load_turn * 32u + lane, 23u);
t0_w0 = b2[w_row0 + c];
t0_s0 = vec2f();
load_turn += 1u;
 }
var bias = bitcast<f32>(extractBits(b3[((0u >> 1u) + (min(task, 7u) * 1u)) >> 1u], 16u * (((0u >> 1u) + (min(task, 7u) * 1u)) & 1u), 16u) << 16u);
{
var a0_0 = vec4f();
var a0_1 = vec4f();
var g0_0 = vec4f();
var g0_1 = vec4f();
if (lid < 24u) {
a0_0 = b0[((wid.x) * 192u + (lid + 0u) * 8u) / 4u + 0u];
a0_1 = b0[((wid.x) * 192u + (lid + 0u) * 8u) / 4u + 1u];
{ let w = b1[(lid + 0u)]; g0_0 = bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); g0_1 = bitcast<vec4f>(vec4u(w.z << 16u, w.z & 0xffff0000u, w.w << 16u, w.w & 0xffff0000u)); }
}
var square = dot(a0_0, a0_0) + dot(a0_1, a0_1);
square += subgroupShuffleXor(square, 1u);
square += subgroupShuffleXor(square, 2u);
square += subgroupShuffleXor(square, 4u);
square += subgroupShuffleXor(square, 8u);
square += subgroupShuffleXor(square, 16u);
if (lane == 0u) { squares[0u * 8u + group] = square; }
if (lid < 24u) {
let v0 = a0_0 * g0_0;
let v1 = a0_1 * g0_1;
let base = 0u * 96u;
xs[base + (((lid + 0u)) / 1u) * 3u + (((lid + 0u)) % 1u) * 2u + 0u] = v0;
xs[base + (((lid + 0u)) / 1u) * 3u + (((lid + 0u)) % 1u) * 2u + 1u] = v1;
}
}
workgroupBarrier();
var square0 = select(0.0, squares[0u + min(lane, 7u)], lane < 8u);
square0 += subgroupShuffleXor(square0, 1u);
square0 += subgroupShuffleXor(square0, 2u);
square0 += subgroupShuffleXor(square0, 4u);
square0 += subgroupShuffleXor(square0, 8u);
square0 += subgroupShuffleXor(square0, 16u);
let inverse0 = inverseSqrt(square0 / 192.0 + 0.00001f);
var acc0_0 = 0.0;
var turn = 0u;
for (var i = (1u + wid.z) * 1u; i > 0u; i--) {
  let w0 = t0_w0; let s0 = t0_s0;
  if (i > 1u) { var c = min(load_turn * 32u + lane, 23u);
t0_w0 = b2[w_row0 + c];
t0_s0 = vec2f();
load_turn += 1u;
 }
  let x0_0 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 0u];
let x0_1 = xs[(0u) * 96u + (turn * 32u + lane) * 3u + 1u];
  {
let q0 = bitcast<vec4f>(vec4u(w0.x << 16u, w0.x & 0xffff0000u, w0.y << 16u, w0.y & 0xffff0000u));
let q1 = bitcast<vec4f>(vec4u(w0.z << 16u, w0.z & 0xffff0000u, w0.w << 16u, w0.w & 0xffff0000u));
acc0_0 += dot(q0, x0_0) + dot(q1, x0_1);
}
  turn += 1u;
}
acc0_0 += subgroupShuffleXor(acc0_0, 1u);
acc0_0 += subgroupShuffleXor(acc0_0, 2u);
acc0_0 += subgroupShuffleXor(acc0_0, 4u);
acc0_0 += subgroupShuffleXor(acc0_0, 8u);
acc0_0 += subgroupShuffleXor(acc0_0, 16u);
if (lane == 0u && task < 8u) {
  logits[task] = acc0_0 * inverse0 + bias;
}}
  workgroupBarrier();
  for (var n = lid; n < 8u; n += 256u) {
    let own = logits[n];
    var place = 0u;
    for (var other = 0u; other < 8u; other++) { place += u32(goes_before(logits[other], other, own, n)); }
    if (place < 2u) { ids[place] = n; chosen[place] = own; }
  }
  workgroupBarrier();
  if (lid < 2u) {
    var sum = 0.0;
    for (var i = 0u; i < 2u; i++) { sum += exp(chosen[i] - chosen[0]); }
    b4[wid.x * 2u + lid] = ids[lid];
    b5[wid.x * 2u + lid] = exp(chosen[lid] - chosen[0]) / sum;
  }
}
