import type { GpuFeatures } from "../../features.js"
import { type FlashMath, heldBytes } from "./flash_tile.js"
import type { Attention } from "./problem.js"

/** Queries and keys of a tile, best first. */
const TILES = [
  [64, 64],
  [64, 32],
  [32, 64],
  [32, 32],
] as const

const SUBGROUPS = 4

/** Elements after each row, so that rows start in different banks. */
const PAD = 8

/**
 * Float16 with float32 sums, on subgroup matrices: each of 4 subgroups has a quarter of the queries. Weights take the
 * keys' place, and a tile's products pass through the scores' place to the threads that keep the sums, since the rows of
 * a subgroup matrix cannot be scaled. Null where the device has no such matrices, or caches are float32.
 */
export function matrixMath(
  { matrix, f16, subgroups, maxWorkgroupStorage, maxInvocations }: GpuFeatures,
  { headDim: D, keys }: Attention,
): FlashMath | null {
  if (!matrix || !f16 || !subgroups || subgroups.min !== subgroups.max) return null
  const { m, n, k } = matrix
  const threads = SUBGROUPS * subgroups.min
  if (m !== n || m !== k || (m !== 8 && m !== 16) || threads > maxInvocations) return null
  if (keys.dtype === "float32" || D % m !== 0) return null
  const stride = D + PAD
  const keyPlace = (R: number, C: number) => Math.max(C * stride, R * (C + PAD))
  const scorePlace = (R: number, C: number) => R * (Math.max(C, D) + 4)
  const tileOf = (R: number, C: number) => ({ queries: R, keys: C, threads })
  const bytesOf = (R: number, C: number) =>
    2 * (R * stride + keyPlace(R, C) + C * stride) + 4 * scorePlace(R, C) + heldBytes(tileOf(R, C))
  const found = TILES.find(
    ([R, C]) => bytesOf(R, C) <= maxWorkgroupStorage && (R / SUBGROUPS) % m === 0 && threads % R === 0,
  )
  if (!found) return null
  const [R, C] = found
  const width = Math.max(C, D) + 4
  const kept = (R * D) / threads
  const blocks = R / SUBGROUPS / m
  const left = `subgroup_matrix_left<f16, ${m}, ${m}>`
  const right = `subgroup_matrix_right<f16, ${m}, ${m}>`
  const result = `subgroup_matrix_result<f32, ${m}, ${m}>`
  const each = (n: number, write: (i: number) => string) => Array.from({ length: n }, (_, i) => write(i)).join("\n")
  const array = { query: "qs", key: "ks", value: "vs" }
  /** `[queries, depth] x [depth, columns]` into the scores' place. */
  const product = (
    depth: number,
    columns: number,
    leftOf: (i: number, k: number) => string,
    rightOf: (j: number, k: number) => string,
  ) => `{
      ${each(blocks, (i) => each(columns / m, (j) => `var s${i}_${j} = ${result}();`))}
      ${each(
        depth / m,
        (k) => `{
        ${each(blocks, (i) => `let left${i} = subgroupMatrixLoad<${left}, row_major>(${leftOf(i, k)});`)}
        ${each(
          columns / m,
          (j) => `let right${j} = subgroupMatrixLoad<${right}, ${rightOf(j, k)});
        ${each(blocks, (i) => `s${i}_${j} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, s${i}_${j});`)}`,
        )}
      }`,
      )}
      ${each(blocks, (i) =>
        each(
          columns / m,
          (j) =>
            `subgroupMatrixStore<row_major>(&ss, (rows0 + ${i * m}u) * ${width}u + ${j * m}u, s${i}_${j}, ${width}u);`,
        ),
      )}
    }`
  return {
    tile: tileOf(R, C),
    enable: ["f16", "subgroups", "chromium_experimental_subgroup_matrix"],
    builtins: ", @builtin(subgroup_id) sg: u32",
    declarations: `
var<workgroup> qs: array<f16, ${R * stride}>;
var<workgroup> ks: array<f16, ${keyPlace(R, C)}>;
var<workgroup> vs: array<f16, ${C * stride}>;
var<workgroup> ss: array<f32, ${scorePlace(R, C)}>;`,
    start: `let rows0 = sg * ${R / SUBGROUPS}u;
  ${each(kept, (i) => `var o${i} = 0.0;`)}`,
    put: (what, half, unit, r, d) => {
      const to = (i: number) => `${array[what]}[${r} * ${stride}u + ${d} + ${i}u]`
      return half
        ? each(
            4,
            (i) =>
              `{ let pair = bitcast<vec2<f16>>(${unit}.${"xyzw"[i]}); ${to(2 * i)} = pair.x; ${to(2 * i + 1)} = pair.y; }`,
          )
        : each(4, (i) => `${to(i)} = f16(${unit}.${"xyzw"[i]});`)
    },
    together: true,
    scores: product(
      D,
      C,
      (i, k) => `&qs, (rows0 + ${i * m}u) * ${stride}u + ${k * m}u, ${stride}u`,
      (j, k) => `col_major>(&ks, ${j * m * stride + k * m}u, ${stride}u`,
    ),
    score: (r, c) => `ss[${r} * ${width}u + ${c}]`,
    weight: (r, c, value) => `ks[${r} * ${C + PAD}u + ${c}] = f16(${value});`,
    accumulate: `${product(
      C,
      D,
      (i, k) => `&ks, (rows0 + ${i * m}u) * ${C + PAD}u + ${k * m}u, ${C + PAD}u`,
      (j, k) => `row_major>(&vs, ${k * m * stride + j * m}u, ${stride}u`,
    )}
      workgroupBarrier();
      ${each(kept, (i) => `{ let e = lid + ${i * threads}u; o${i} = o${i} * factors[e / ${D}u] + ss[e / ${D}u * ${width}u + e % ${D}u]; }`)}`,
    finish: (store) =>
      each(
        kept,
        (i) => `{ let e = lid + ${i * threads}u; let r = e / ${D}u; ${store("r", `e % ${D}u`, `o${i} * factors[r]`)} }`,
      ),
  }
}
