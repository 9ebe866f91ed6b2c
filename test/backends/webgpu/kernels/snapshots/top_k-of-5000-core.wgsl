// == top_k of 5000
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
fn workgroup_argmax(value: f32, index: u32, lid: u32) -> u32 {
  reduce_f32[lid] = value;
  reduce_u32[lid] = index;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      let a = reduce_f32[lid];
      let i = reduce_u32[lid];
      let b = reduce_f32[lid + half];
      let j = reduce_u32[lid + half];
      if (goes_before(b, j, a, i)) { reduce_f32[lid] = b; reduce_u32[lid] = j; }
     }
  }
  workgroupBarrier();
  let best = reduce_u32[0];
  workgroupBarrier();
  return best;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
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
    last = workgroup_argmax(best, at, lid);
    if (lid == 0u) { b1[group * params.k + r] = last; }
  }
}
