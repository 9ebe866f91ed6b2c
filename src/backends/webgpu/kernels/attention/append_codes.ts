import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Dispatch, dispatch, reads, type View, writes } from "../../dispatch.js"
import { cacheLayout } from "./cache_layout.js"
import { type Codes, scaleFunctions } from "./codes.js"
import { encode, encoder, packedCodes } from "./encode.js"
import { hadamard } from "./hadamard.js"
import { fillTurns, type Rotate, rotatedHeads } from "./rotated.js"

const SIZE = 64

/** Vectors of a workgroup, a thread for each column of each. */
const VECTORS = SIZE / 8

/** What becomes of consecutive heads of a row. */
export interface Part {
  readonly heads: number
  readonly isTurned: boolean
  /** A cache, to write into the row's slot; or floats `[L, heads, D]`, which are queries. */
  readonly to: Operand
}

interface Rows {
  /** float32 `[L, ...]`: heads of `headDim`, those of a part after those of the one before, from `first` on. */
  readonly x: Operand
  readonly first: number
  readonly headDim: number
  readonly slots: Operand
  readonly positions: Operand | null
  readonly rotate: Rotate | null
}

/**
 * Puts heads of rows into quantized caches: turned by their positions where asked, rotated, encoded. A workgroup per row
 * and 8 heads.
 *
 * @param parts what is not encoded in front
 */
export function appendCodes(codes: Codes, of: Rows, parts: readonly Part[]): Dispatch {
  const { x, first, headDim: D, slots, positions, rotate } = of
  const heads = parts.reduce((sum, part) => sum + part.heads, 0)
  const rowWidth = x.shape.slice(1).reduce((a, b) => a * b, 1)
  const views: Record<string, View> = {
    x: reads(x, "f32"),
    slots: reads(slots, "u32"),
    ...(rotate && positions
      ? { frequencies: reads(rotate.frequencies, "f32"), positions: reads(positions, "u32") }
      : {}),
    ...Object.fromEntries(parts.map(({ to }, i) => [`part${i}`, cacheLayout(to, D).view(to, true)])),
  }
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, part) => sum + part.heads, 0))
  const vectors = { array: "vectors", first: 0, count: VECTORS, headDim: D }
  /** Heads before these stay floats. */
  const coded = starts[parts.findIndex(({ to }) => cacheLayout(to, D).codes !== null)]
  return dispatch({
    label: `rotate and append int${codes.bits}`,
    views,
    params: { head_dim: D, rope_scale: { f32: rotate?.scale ?? 1 } },
    workgroups: ofRows(x, (rows) => [rows, Math.ceil(heads / VECTORS), 1]),
    code: (v) => {
      const element = (isTurned: boolean) => (isTurned ? "rotated(base, i % D)" : v.x.at("base + i % D"))
      const load = ({ isTurned }: Part, i: number) => /* wgsl */ `
      if (head >= ${starts[i]}u && head < ${starts[i] + parts[i].heads}u) { vectors[i] = ${element(isTurned)}; }`
      const store = (isCodes: boolean) =>
        parts
          .map(({ heads, to }, i) => {
            const layout = cacheLayout(to, D)
            if ((layout.codes !== null) !== isCodes) return ""
            const { unit } = layout
            const packed = isCodes
              ? packedCodes(codes, "vectors", `i * ${unit}u`)
              : layout.pack((e) => `vectors[i * ${unit}u + ${e}u]`)
            return /* wgsl */ `
  for (var i = lid; i < ${(VECTORS * D) / unit}u; i += ${SIZE}u) {
    let head = head0 + i / ${D / unit}u;
    if (head >= ${starts[i]}u && head < ${starts[i] + heads}u) {
      let at = (${isCodes ? "slot" : "row"} * ${heads}u + head - ${starts[i]}u) * ${D / unit}u + i % ${D / unit}u;
      ${v[`part${i}`].at("at")} = ${packed};
    }
  }`
          })
          .join("\n")
      return /* wgsl */ `
const D = ${D}u;
var<workgroup> vectors: array<f32, ${VECTORS * D}>;
${rotate ? rotatedHeads(v.x, D) : ""}
${scaleFunctions(codes)}
${encoder(codes, vectors)}
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let row = wid.x;
  let head0 = wid.y * ${VECTORS}u;
  let slot = ${v.slots.at("row")};
  ${rotate ? `let position = ${v.positions.at("row")};\n${fillTurns(v.frequencies, D, SIZE)}` : ""}
  workgroupBarrier();
  for (var i = lid; i < ${VECTORS}u * D; i += ${SIZE}u) {
    let head = head0 + i / D;
    let base = row * ${rowWidth}u + (${first}u + min(head, ${heads - 1}u)) * D;
    vectors[i] = 0.0;
    ${parts.map(load).join("")}
  }
  ${hadamard("vectors", VECTORS, D, SIZE)}
  ${store(false)}
  workgroupBarrier();
  if (head0 + ${VECTORS}u > ${coded}u) {
  ${encode(vectors, SIZE)}
  ${store(true)}
  }
}`
    },
  })
}

/** Rotates vectors `[L, heads, headDim]` of float32, and back: to `y`, of float32 or float16, or in place. */
export function rotateVectors(x: Operand, y: Operand): Dispatch {
  const [, heads, D] = x.shape
  const { unit, pack, view } = cacheLayout(y, D)
  return dispatch({
    label: "rotate vectors",
    views: { x: reads(x, "f32"), y: x === y ? writes(y, "f32") : view(y, true) },
    workgroups: ofRows(x, (rows) => [rows, Math.ceil(heads / VECTORS), 1]),
    code: (v) => /* wgsl */ `
var<workgroup> vectors: array<f32, ${VECTORS * D}>;
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let first = (wid.x * ${heads}u + wid.y * ${VECTORS}u) * ${D}u;
  let count = min(${VECTORS}u, ${heads}u - wid.y * ${VECTORS}u) * ${D}u;
  for (var i = lid; i < ${VECTORS * D}u; i += ${SIZE}u) { vectors[i] = ${v.x.at("first + min(i, count - 1u)")}; }
  ${hadamard("vectors", VECTORS, D, SIZE)}
  ${
    x === y
      ? `for (var i = lid; i < count; i += ${SIZE}u) { ${v.y.at("first + i")} = vectors[i]; }`
      : `for (var i = lid; i < count / ${unit}u; i += ${SIZE}u) {
    ${v.y.at(`first / ${unit}u + i`)} = ${pack((e) => `vectors[i * ${unit}u + ${e}u]`)};
  }`
  }
}`,
  })
}
