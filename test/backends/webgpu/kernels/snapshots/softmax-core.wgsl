// == softmax
struct Params {
  rows: u32,
  n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
var<workgroup> reduce_f32: array<f32, 256>;
fn workgroup_max(value: f32, lid: u32) -> f32 {
  reduce_f32[lid] = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      let a = reduce_f32[lid];
      let b = reduce_f32[lid + half];
      reduce_f32[lid] = max(a, b);
     }
  }
  workgroupBarrier();
  let all = reduce_f32[0];
  workgroupBarrier();
  return all;
}
fn workgroup_sum(value: f32, lid: u32) -> f32 {
  reduce_f32[lid] = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      let a = reduce_f32[lid];
      let b = reduce_f32[lid + half];
      reduce_f32[lid] = a + b;
     }
  }
  workgroupBarrier();
  let all = reduce_f32[0];
  workgroupBarrier();
  return all;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = (wid.x + wid.y * nwg.x);
  if (row >= params.rows) { return; }
  let at = row * params.n;
  var own = -3.4028234e38;
  for (var i = lid; i < params.n; i += 256u) { own = max(own, b0[at + i]); }
  let largest = workgroup_max(own, lid);
  var sum = 0.0;
  for (var i = lid; i < params.n; i += 256u) { sum += exp(max(max(b0[at + i], -3.4028234e38) - largest, -200.0)); }
  let total = workgroup_sum(sum, lid);
  for (var i = lid; i < params.n; i += 256u) { b1[at + i] = exp(max(max(b0[at + i], -3.4028234e38) - largest, -200.0)) / total; }
}
