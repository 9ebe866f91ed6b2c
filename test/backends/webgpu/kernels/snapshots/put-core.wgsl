// == put
struct Params {
  n: u32,
  length: u32,
  rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> b1: array<u32>;
@group(0) @binding(3) var<storage, read> b2: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  let index = b2[i / params.length];
  if (index >= params.rows) { return; }
  let to = index * params.length + i % params.length;
  let unit = extractBits(b1[((0u >> 1u) + (i)) >> 1u], 16u * (((0u >> 1u) + (i)) & 1u), 16u);
  let shift = 16u * (to % 2u);
  atomicAnd(&b0[to / 2u], ~(65535u << shift));
  atomicOr(&b0[to / 2u], unit << shift);
}

// == copy float16 to float16
struct Params {
  n: u32,
  elements: u32,
  dim0: u32,
  stride0_0: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b0: array<u32>;
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
  let rest = min(params.elements - i * 2u, 2u);
  var packed = 0u;
  for (var j = 0u; j < rest; j++) {
    let value = convert(extractBits(b0[((0u >> 1u) + (element(i * 2u + j))) >> 1u], 16u * (((0u >> 1u) + (element(i * 2u + j))) & 1u), 16u));
    packed |= (value & 65535u) << (j * 16u);
  }
  // Of a last word that is not full, what follows the result stays.
  if (rest < 2u) { packed |= b1[i] & (0xffffffffu << (rest * 16u)); }
  b1[i] = packed;
}
