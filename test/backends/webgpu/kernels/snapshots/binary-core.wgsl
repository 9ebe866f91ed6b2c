// == binary multiply
struct Params {
  n: u32,
  dim0: u32,
  stride0_0: u32,
  stride1_0: u32,
  dim1: u32,
  stride0_1: u32,
  stride1_1: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  var rest = i;
  var ia = 0u;
  var ib = 0u;
  ia += (rest % params.dim1) * params.stride0_1;
  ib += (rest % params.dim1) * params.stride1_1;
  rest /= params.dim1;
  ia += (rest) * params.stride0_0;
  ib += (rest) * params.stride1_0;
  let a = b0[ia];
  let b = b1[ib];
  b2[i] = a * b;
}
