// == top_k of 32
struct Params {
  groups: u32,
  n: u32,
  k: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
fn goes_before(a: f32, i: u32, b: f32, j: u32) -> bool { return a > b || (a == b && i < j); }
var<workgroup> reduce_f32: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let group = (wid.x + wid.y * nwg.x);
  if (group >= params.groups) { return; }
  let row = group * params.n;
  for (var n = lid; n < params.n; n += 64u) {
    let own = max(b0[row + n], -3.4028234e38);
    var place = 0u;
    for (var other = 0u; other < params.n; other++) { place += u32(goes_before(max(b0[row + other], -3.4028234e38), other, own, n)); }
    if (place < params.k) { b1[group * params.k + place] = n; }
  }
}
