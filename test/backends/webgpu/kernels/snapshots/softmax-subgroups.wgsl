// == softmax
enable subgroups;
diagnostic(off, subgroup_uniformity);
struct Params {
  rows: u32,
  n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<f32>;
var<workgroup> reduce_f32: array<f32, 256>;
fn workgroup_max(value: f32, lid: u32, sg_size: u32, sg_lane: u32) -> f32 {
  let own = subgroupMax(value);
  if (sg_lane == 0u) { reduce_f32[lid / sg_size] = own; }
  workgroupBarrier();
  var a = reduce_f32[0];
  for (var s = 1u; s < (256u + sg_size - 1u) / sg_size; s++) { let b = reduce_f32[s]; a = max(a, b); }
  workgroupBarrier();
  return a;
}
fn workgroup_sum(value: f32, lid: u32, sg_size: u32, sg_lane: u32) -> f32 {
  let own = subgroupAdd(value);
  if (sg_lane == 0u) { reduce_f32[lid / sg_size] = own; }
  workgroupBarrier();
  var a = reduce_f32[0];
  for (var s = 1u; s < (256u + sg_size - 1u) / sg_size; s++) { let b = reduce_f32[s]; a = a + b; }
  workgroupBarrier();
  return a;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32) {
  let row = (wid.x + wid.y * nwg.x);
  if (row >= params.rows) { return; }
  let at = row * params.n;
  var own = -3.4028234e38;
  for (var i = lid; i < params.n; i += 256u) { own = max(own, b0[at + i]); }
  let largest = workgroup_max(own, lid, sg_size, sg_lane);
  var sum = 0.0;
  for (var i = lid; i < params.n; i += 256u) { sum += exp(max(max(b0[at + i], -3.4028234e38) - largest, -200.0)); }
  let total = workgroup_sum(sum, lid, sg_size, sg_lane);
  for (var i = lid; i < params.n; i += 256u) { b1[at + i] = exp(max(max(b0[at + i], -3.4028234e38) - largest, -200.0)) / total; }
}
