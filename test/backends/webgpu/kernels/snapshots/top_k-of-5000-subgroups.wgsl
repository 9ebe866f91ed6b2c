// == top_k of 5000
enable subgroups;
diagnostic(off, subgroup_uniformity);
struct Params {
  groups: u32,
  n: u32,
  k: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
fn goes_before(a: f32, i: u32, b: f32, j: u32) -> bool { return a > b || (a == b && i < j); }
var<workgroup> reduce_f32: array<f32, 256>;
var<workgroup> reduce_u32: array<u32, 256>;
fn workgroup_argmax(value: f32, index: u32, lid: u32, sg_size: u32, sg_lane: u32) -> u32 {
  let best = subgroupMax(value);
  let at = subgroupMin(select(0xffffffffu, index, value == best));
  if (sg_lane == 0u) { reduce_f32[lid / sg_size] = best; reduce_u32[lid / sg_size] = at; }
  workgroupBarrier();
  var a = reduce_f32[0];
  var i = reduce_u32[0];
  for (var s = 1u; s < (256u + sg_size - 1u) / sg_size; s++) {
    let b = reduce_f32[s];
    let j = reduce_u32[s];
    if (goes_before(b, j, a, i)) { a = b; i = j; }
  }
  workgroupBarrier();
  return i;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let row = group * params.n;
  var last = 0xffffffffu;
  for (var r = 0u; r < params.k; r++) {
    var best = -3.4028234e38;
    var at = 0xffffffffu;
    var bound = 0.0;
    if (r > 0u) { bound = max(b0[row + last], -3.4028234e38); }
    for (var i = lid; i < params.n; i += 256u) {
      let own = max(b0[row + i], -3.4028234e38);
      let is_left = r == 0u || goes_before(bound, last, own, i);
      if (is_left && goes_before(own, i, best, at)) { best = own; at = i; }
    }
    last = workgroup_argmax(best, at, lid, sg_size, sg_lane);
    if (lid == 0u) { b1[group * params.k + r] = last; }
  }
}
