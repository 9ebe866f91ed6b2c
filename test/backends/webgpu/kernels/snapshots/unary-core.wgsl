// == unary log
struct Params {
  n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
fn subnormal(b: u32) -> bool { return (b & 0x7f800000u) == 0u; }
fn raised(b: u32) -> f32 {
  if (subnormal(b)) { return f32(b & 0x7fffffu) * 0x1p-125f; }
  return bitcast<f32>(b);
}
fn log_near_1(v: f32) -> f32 {
  let d = v - 1.0;
  if (abs(d) >= 0.25) { return log(v); }
  let s = d / (2.0 + d);
  let t = s * s;
  return 2.0 * s * (1.0 + t * (1.0 / 3.0 + t * (0.2 + t * (1.0 / 7.0 + t / 9.0))));
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lid;
  if (i >= params.n) { return; }
  let b = b0[i];
  let v = bitcast<f32>(b);
  b1[i] = bitcast<u32>(log_near_1(raised(b)) - select(0.0, 16.635532, subnormal(b)));
}
