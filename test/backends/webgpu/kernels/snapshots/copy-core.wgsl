// == copy float32 to float16
struct Params {
  n: u32,
  elements: u32,
  dim0: u32,
  stride0_0: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b0: array<u32>;
@group(0) @binding(2) var<storage, read_write> b1: array<u32>;
fn to_float32(b: u32) -> u32 { return b; }
fn from_float32(b: u32) -> u32 {
  let sign = (b >> 31u) << 15u;
  let m = b & 0x7fffffffu;
  if (m > 0x7f800000u) { return sign | 32256u; }
  if (m == 0x7f800000u) { return sign | 31744u; }
  if (m >= 113u << 23u) {
    let rounded = (m + 4095u + ((m >> 13u) & 1u)) >> 13u;
    return sign | min(rounded - 114688u, 31744u);
  }
  let s = 126u - (m >> 23u);
  if (s > 25u) { return sign; }
  let units = (m & 0x7fffffu) | 0x800000u;
  return sign | ((units + (1u << (s - 1u)) - 1u + ((units >> s) & 1u)) >> s); }
fn convert(b: u32) -> u32 { return from_float32(to_float32(b)); }
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
    let value = convert(b0[(0u >> 2u) + (element(i * 2u + j))]);
    packed |= (value & 65535u) << (j * 16u);
  }
  // Of a last word that is not full, what follows the result stays.
  if (rest < 2u) { packed |= b1[i] & (0xffffffffu << (rest * 16u)); }
  b1[i] = packed;
}
