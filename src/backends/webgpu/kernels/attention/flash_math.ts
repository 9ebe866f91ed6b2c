import type { GpuFeatures } from "../../features.js"
import { type FlashMath, heldBytes } from "./flash_tile.js"
import type { Attention } from "./problem.js"

/** Queries and keys of a tile, best first. */
const TILES = [
  [64, 32],
  [32, 32],
  [32, 16],
  [16, 16],
] as const

/**
 * Float32, in tiles of 4 queries by some keys, then by some elements of the sums, per thread. Values take the keys' place.
 * Null where heads are no multiple of 4, or too wide for the workgroup's memory.
 */
export function flashMath(
  { maxWorkgroupStorage, maxInvocations }: GpuFeatures,
  { headDim: D }: Attention,
): FlashMath | null {
  if (D % 4 !== 0) return null
  const stride = D / 4 + 1
  const tileOf = (R: number, C: number) => ({ queries: R, keys: C, threads: 4 * R })
  const bytesOf = (R: number, C: number) => (R + C) * stride * 16 + R * (C + 4) * 4 + heldBytes(tileOf(R, C))
  const found = TILES.find(([R, C]) => bytesOf(R, C) <= maxWorkgroupStorage && 4 * R <= maxInvocations)
  if (!found) return null
  const [R, C] = found
  const width = C + 4
  const across = C / 16
  const columns = Math.ceil(D / 64)
  const each = (n: number, write: (i: number) => string) => Array.from({ length: n }, (_, i) => write(i)).join("\n")
  const inside = (i: number, text: string) =>
    16 * (i + 1) <= D / 4 ? text : `if (tc + ${16 * i}u < ${D / 4}u) { ${text} }`
  const array = { query: "qs", key: "kvs", value: "kvs" }
  return {
    tile: tileOf(R, C),
    enable: [],
    builtins: "",
    declarations: `
var<workgroup> qs: array<vec4f, ${R * stride}>;
var<workgroup> kvs: array<vec4f, ${C * stride}>;
var<workgroup> ss: array<vec4f, ${(R * width) / 4}>;`,
    start: `let tr = lid / 16u * 4u;
  let tc = lid % 16u;
  ${each(4, (i) => each(columns, (j) => `var o${i}_${j} = vec4f(0.0);`))}`,
    put: (what, half, unit, r, d) => {
      const to = `${array[what]}[${r} * ${stride}u + ${d} / 4u`
      const halves = (a: string, b: string) => `vec4f(unpack2x16float(${unit}.${a}), unpack2x16float(${unit}.${b}))`
      if (!half) return `${to}] = ${unit};`
      return D % 8 === 0
        ? `${to}] = ${halves("x", "y")}; ${to} + 1u] = ${halves("z", "w")};`
        : `${to}] = ${halves("x", "y")};`
    },
    together: false,
    scores: `{
      ${each(4, (i) => each(across, (j) => `var s${i}_${j} = 0.0;`))}
      for (var d = 0u; d < ${D / 4}u; d++) {
        ${each(across, (j) => `let k${j} = kvs[(tc + ${16 * j}u) * ${stride}u + d];`)}
        ${each(
          4,
          (i) => `let q${i} = qs[(tr + ${i}u) * ${stride}u + d];
        ${each(across, (j) => `s${i}_${j} += dot(q${i}, k${j});`)}`,
        )}
      }
      ${each(4, (i) =>
        each(across, (j) => `ss[((tr + ${i}u) * ${width}u + tc + ${16 * j}u) >> 2u][tc & 3u] = s${i}_${j};`),
      )}
    }`,
    score: (r, c) => `ss[(${r} * ${width}u + ${c}) >> 2u][(${c}) & 3u]`,
    weight: (r, c, value) => `ss[(${r} * ${width}u + ${c}) >> 2u][(${c}) & 3u] = ${value};`,
    accumulate: `${each(4, (i) => `{ let f = factors[tr + ${i}u]; ${each(columns, (j) => `o${i}_${j} *= f;`)} }`)}
      for (var c = 0u; c < ${C / 4}u; c++) {
        ${each(4, (i) => `let p${i} = ss[(tr + ${i}u) * ${width / 4}u + c];`)}
        ${each(columns, (j) =>
          inside(
            j,
            each(
              4,
              (e) => `{ let value = kvs[(4u * c + ${e}u) * ${stride}u + tc + ${16 * j}u];
        ${each(4, (i) => `o${i}_${j} += p${i}[${e}] * value;`)} }`,
            ),
          ),
        )}
      }`,
    finish: (store) =>
      each(columns, (j) =>
        inside(
          j,
          each(
            4,
            (i) => `{ let f = factors[tr + ${i}u]; let r = tr + ${i}u; let d = 4u * (tc + ${16 * j}u);
  ${each(4, (e) => store("r", `d + ${e}u`, `o${i}_${j}[${e}] * f`))} }`,
          ),
        ),
      ),
  }
}
