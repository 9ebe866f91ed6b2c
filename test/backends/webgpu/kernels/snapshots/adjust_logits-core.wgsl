// == copy float32 to float32
struct Params {
  n: u32,
  elements: u32,
  dim0: u32,
  stride0_0: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
fn convert(b: u32) -> u32 { return b; }
fn element(i: u32) -> u32 {
  var rest = i;
  var at = 0u;
  at += (rest) * params.stride0_0;
  return at;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  b1[i] = convert(b0[(0u >> 2u) + (element(i))]);
}

// == adjust_logits
struct Params {
  n: u32,
  rows: u32,
  tokens: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> b3: array<f32>;
@group(0) @binding(5) var<storage, read> b4: array<f32>;
@group(0) @binding(6) var<storage, read_write> b5: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  let row = b0[i];
  let id = b1[i];
  if (row >= params.rows || id >= params.tokens) { return; }
  let at = row * params.tokens + id;
  let biased = b5[at] + b2[i];
  let factor = b3[i];
  b5[at] = select(biased * factor, biased / factor, biased > 0.0) + b4[i];
}
