// == glu
struct Params {
  n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<f32>;
@group(0) @binding(2) var<storage, read> b1: array<f32>;
@group(0) @binding(3) var<storage, read_write> b2: array<f32>;
fn glu(gate: f32, up: f32) -> f32 {
  let g = min(gate, 7.0f);
  let u = clamp(up, -7.0f, 7.0f);
  let t = clamp(g, -1e12, 1e12);
  let z = clamp(1.702f * clamp(g, -1e30, 1e30) + 0.0f * t * t * t, -88.0, 88.0);
  return select(g / (1.0 + exp(-z)), 0.0, z == -88.0) * (u + 1.0f);
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  b2[i] = glu(b0[i], b1[i]);
}
