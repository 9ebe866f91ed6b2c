/**
 * The text of attention on subgroup matrices for devices that have neither those nor f16: halves are float32 rounded to
 * them, a subgroup is 32 consecutive threads, a factor is where it lies in workgroup memory. What is left of the kernel
 * is its indexing, which is what tests want to see.
 *
 * @param m rows, and columns, of a matrix
 */
export function emulated(code: string, m: number): string {
  if (!code.includes("enable chromium")) return code
  const perLane = (m * m) / 32
  const helpers = /* wgsl */ `
var<private> lane_: u32;
fn half(x: f32) -> f32 { return unpack2x16float(pack2x16float(vec2f(x, 0.0))).x; }
fn matrix_at(at: vec4u, i: u32, j: u32) -> f32 {
  let e = at.y + select(i * at.z + j, j * at.z + i, at.w == 1u);
  if (at.x == 0u) { return qs[e]; }
  if (at.x == 1u) { return ks[e]; }
  return vs[e];
}
fn multiply(left: vec4u, right: vec4u, sums: array<f32, ${perLane}>) -> array<f32, ${perLane}> {
  var out = sums;
  for (var t = 0u; t < ${perLane}u; t++) {
    let e = lane_ + 32u * t;
    for (var k = 0u; k < ${m}u; k++) { out[t] += matrix_at(left, e / ${m}u, k) * matrix_at(right, k, e % ${m}u); }
  }
  return out;
}
fn put_matrix(at: u32, sums: array<f32, ${perLane}>, row: u32) {
  for (var t = 0u; t < ${perLane}u; t++) {
    let e = lane_ + 32u * t;
    ss[at + e / ${m}u * row + e % ${m}u] = sums[t];
  }
}
@compute`
  return code
    .replace(/enable .*;/g, "")
    .replace(/, @builtin\(subgroup_id\) sg: u32\) \{/, ") { let sg = lid / 32u; lane_ = lid % 32u;")
    .replace(/subgroupMatrixLoad<.*, (row|col)_major>\(&([qkv])s, (.*)\);/g, (_, order, array, rest) => {
      return `vec4u(${"qkv".indexOf(array)}u, ${rest}, ${order === "col" ? 1 : 0}u);`
    })
    .replace(/subgroup_matrix_result<f32, \d+, \d+>/g, `array<f32, ${perLane}>`)
    .replaceAll("subgroupMatrixMultiplyAccumulate", "multiply")
    .replaceAll("subgroupMatrixStore<row_major>(&ss, ", "put_matrix(")
    .replaceAll("array<f16,", "array<f32,")
    .replaceAll("bitcast<vec2<f16>>(", "unpack2x16float(")
    .replaceAll(" f16(", " half(")
    .replace("@compute", helpers)
}
