// == argmax
struct Params {
  groups: u32,
  n: u32,
  shares: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
fn is_finite(bits: u32) -> bool { return (bits & 0x7fffffffu) < 0x7f800000u; }
fn ranked(bits: u32) -> f32 {
  let end = select(0x7f7fffffu, 0xff7fffffu, bits == 0xff800000u);
  return bitcast<f32>(select(end, bits, is_finite(bits)));
}
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
  let row = (group / params.shares) * params.n;
  let share = (params.n + params.shares - 1u) / params.shares;
  let begin = (group % params.shares) * share;
  let end = min(begin + share, params.n);
  var best = -3.4028234e38;
  var at = 0xffffffffu;
  for (var i = begin + lid; i < end; i += 256u) {
    let v = ranked(b0[row + i]);
    if (goes_before(v, i, best, at)) { best = v; at = i; }
  }
  let winner = workgroup_argmax(best, at, lid);
  if (lid == 0u) { b1[group] = winner; }
}

// == argmax of winners
struct Params {
  groups: u32,
  n: u32,
  shares: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<u32>;
fn is_finite(bits: u32) -> bool { return (bits & 0x7fffffffu) < 0x7f800000u; }
fn ranked(bits: u32) -> f32 {
  let end = select(0x7f7fffffu, 0xff7fffffu, bits == 0xff800000u);
  return bitcast<f32>(select(end, bits, is_finite(bits)));
}
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
  var best = -3.4028234e38;
  var at = 0xffffffffu;
  for (var s = lid; s < params.shares; s += 256u) {
    let i = b1[group * params.shares + s];
    if (i < params.n) { let v = ranked(b0[group * params.n + i]);
    if (goes_before(v, i, best, at)) { best = v; at = i; } }
  }
  let winner = workgroup_argmax(best, at, lid);
  if (lid == 0u) { b2[group] = select(4294967295u, winner, is_finite(b0[group * params.n + winner])); }
}
