// == top_k of 32
struct Params {
  groups: u32,
  n: u32,
  k: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
var<workgroup> reduce_f32: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let row = group * params.n;
  for (var i = lid; i < params.n; i += 64u) {
    let own = max(b0[row + i], -3.4028234e38);
    var rank = 0u;
    for (var j = 0u; j < params.n; j++) {
      let other = max(b0[row + j], -3.4028234e38);
      rank += u32(other > own || (other == own && j < i));
    }
    if (rank < params.k) { b1[group * params.k + rank] = i; }
  }
}
