// == take
struct Params {
  count: u32,
  words: u32,
  length: u32,
  rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read_write> b2: array<u32>;
fn unit(i: u32) -> u32 {
  let index = b1[i / params.length];
  return b0[(0u >> 2u) + (min(index, params.rows - 1u) * params.length + i % params.length)];
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.words) { return; }
  b2[i] = unit(i);
}
