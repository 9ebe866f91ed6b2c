// == reduce mean
struct Params {
  rows: u32,
  n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
var<workgroup> reduce_f32: array<f32, 256>;
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
  var own = 0.0;
  for (var i = lid; i < params.n; i += 256u) { own += b0[at + i]; }
  let all = workgroup_sum(own, lid) / f32(params.n);
  if (lid == 0u) { b1[row] = all; }
}
