/**
 * The text of a kernel of the matrix tier for devices that have neither f16 nor subgroup matrices: halves are packed in
 * pairs, a subgroup is 32 consecutive threads, a matrix is where it lies in workgroup memory. What is left of the kernel
 * is its indexing, which is what tests want to see.
 *
 * @param m rows, and columns, of a matrix
 */
export function emulated(code: string, m: number): string {
  if (code.includes("enable chromium")) return withoutMatrices(code, m)
  return code.includes("array<f16>") ? withPackedResults(code) : code
}

function withoutMatrices(code: string, m: number): string {
  const perLane = (m * m) / 32
  const [, stride] = /&[xw]s, .*, (\d+)u\)/.exec(code)!
  const helpers = /* wgsl */ `
var<private> lane_: u32;
fn x_at(i: u32) -> f32 { return unpack2x16float(xs[i / 2u])[i % 2u]; }
fn w_at(i: u32) -> f32 { return unpack2x16float(ws[i / 2u])[i % 2u]; }
fn multiply(left: u32, right: u32, sums: array<f32, ${perLane}>) -> array<f32, ${perLane}> {
  var out = sums;
  for (var t = 0u; t < ${perLane}u; t++) {
    let e = lane_ + 32u * t;
    for (var k = 0u; k < ${m}u; k++) {
      out[t] += x_at(left + e / ${m}u * ${stride}u + k) * w_at(right + e % ${m}u * ${stride}u + k);
    }
  }
  return out;
}
fn put_matrix(at: u32, sums: array<f32, ${perLane}>, row: u32) {
  for (var t = 0u; t < ${perLane}u; t++) {
    let e = lane_ + 32u * t;
    patches[at + e / ${m}u * row + e % ${m}u] = sums[t];
  }
}
@compute`
  return code
    .replace(/enable .*;/g, "")
    .replace(
      /, @builtin\(subgroup_id\).*lane: u32,?\s*\) \{/,
      ") { let sg = lid / 32u; let lane = lid % 32u; lane_ = lane;",
    )
    .replace(/subgroupMatrixLoad<[^(]*>\(&[xw]s, (.*), \d+u\);/g, "$1;")
    .replace(/subgroup_matrix_result<f32, \d+, \d+>/g, `array<f32, ${perLane}>`)
    .replaceAll("subgroupMatrixMultiplyAccumulate", "multiply")
    .replaceAll("subgroupMatrixStore<row_major>(&patches, ", "put_matrix(")
    .replace(
      /var<workgroup> ([xw]s): array<f16, (\d+)>/g,
      (_, name, n) => `var<workgroup> ${name}: array<u32, ${n / 2}>`,
    )
    .replace(
      /([xw]s)\[to \+ (\d)u\] = (o\.\w+\.\w); [xw]s\[to \+ \du\] = (o\.\w+\.\w);/g,
      (_, array, i, a, b) => `${array}[to / 2u + ${i / 2}u] = pack2x16float(vec2<f32>(${a}, ${b}));`,
    )
    .replaceAll("bitcast<vec2<f16>>(", "unpack2x16float(")
    .replace(/bitcast<vec4<f16>>\(r\.q\.(\w)(\w)\)/g, "vec4<f32>(unpack2x16float(r.q.$1), unpack2x16float(r.q.$2))")
    .replace(/vec([24])<f16>/g, "vec$1<f32>")
    .replaceAll("f16(", "f32(")
    .replace("@compute", helpers)
}

/** The norm's rows of f16, written a word at a time. */
function withPackedResults(code: string): string {
  return code
    .replace(/enable .*;/g, "")
    .replace("array<f16>", "array<u32>")
    .replace(
      /for \(var i = lid; i < (\d+)u; i \+= 256u\) \{\s*(b\d+)\[start \+ i\] = f16(.*);\s*\}/,
      (_, K, out, value) => `for (var j = lid; j < ${K / 2}u; j += 256u) {
    var pair: vec2<f32>;
    for (var half = 0u; half < 2u; half++) { let i = 2u * j + half; pair[half] = ${value}; }
    ${out}[start / 2u + j] = pack2x16float(pair);
  }`,
    )
}
