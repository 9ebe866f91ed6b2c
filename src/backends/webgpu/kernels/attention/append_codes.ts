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

/** Puts heads of rows into quantized caches: turned by their positions where asked, rotated, encoded. */
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
    ...Object.fromEntries(
      parts.map(({ to }, i) => [
        `part${i}`,
        to.dtype === "uint32" ? writes(to, "u32") : cacheLayout(to, D).view(to, true),
      ]),
    ),
  }
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, part) => sum + part.heads, 0))
  return dispatch({
    label: `rotate and append int${codes.bits}`,
    views,
    params: { rope_scale: { f32: rotate?.scale ?? 1 } },
    workgroups: ofRows(x, (rows) => [rows, Math.ceil(heads / VECTORS), 1]),
    code: (v) => {
      const element = (isTurned: boolean) => (isTurned ? "rotated(base, i % D)" : v.x.at("base + i % D"))
      const load = ({ isTurned }: Part, i: number) => /* wgsl */ `
      if (head >= ${starts[i]}u && head < ${starts[i] + parts[i].heads}u) { vectors[i] = ${element(isTurned)}; }`
      const words = (D * codes.bits) / 32
      const storeCodes = (i: number) => /* wgsl */ `
  for (var i = lid; i < ${VECTORS * words}u; i += ${SIZE}u) {
    let head = head0 + i / ${words}u;
    if (head >= ${starts[i]}u && head < ${starts[i] + parts[i].heads}u) {
      let at = (slot * ${parts[i].heads}u + head - ${starts[i]}u) * ${words}u + i % ${words}u;
      ${v[`part${i}`].at("at")} = ${packedCodes(codes, "vectors", `i * ${32 / codes.bits}u`)};
    }
  }`
      const storeFloats = (i: number) => {
        const { unit, pack } = cacheLayout(parts[i].to, D)
        return /* wgsl */ `
  for (var i = lid; i < ${(VECTORS * D) / unit}u; i += ${SIZE}u) {
    let head = head0 + i / ${D / unit}u;
    if (head >= ${starts[i]}u && head < ${starts[i] + parts[i].heads}u) {
      let at = (row * ${parts[i].heads}u + head - ${starts[i]}u) * ${D / unit}u + i % ${D / unit}u;
      ${v[`part${i}`].at("at")} = ${pack((e) => `vectors[i * ${unit}u + ${e}u]`)};
    }
  }`
      }
      const each = (isCodes: boolean, write: (i: number) => string) =>
        parts.map(({ to }, i) => ((to.dtype === "uint32") === isCodes ? write(i) : "")).join("\n")
      return /* wgsl */ `
const D = ${D}u;
var<workgroup> vectors: array<f32, ${VECTORS * D}>;
${rotate ? rotatedHeads(v.x, D) : ""}
${scaleFunctions(codes)}
${encoder(codes, "vectors", VECTORS, D)}
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
  ${each(false, storeFloats)}
  workgroupBarrier();
  ${encode("vectors", VECTORS, D, SIZE)}
  ${each(true, storeCodes)}
}`
    },
  })
}

/** Rotates vectors `[L, heads, headDim]` back, in place. */
export function rotateBack(y: Operand): Dispatch {
  const [, heads, D] = y.shape
  return dispatch({
    label: "attention rotated back",
    views: { y: writes(y, "f32") },
    workgroups: ofRows(y, (rows) => [rows, Math.ceil(heads / VECTORS), 1]),
    code: (v) => /* wgsl */ `
var<workgroup> vectors: array<f32, ${VECTORS * D}>;
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
  let first = (wid.x * ${heads}u + wid.y * ${VECTORS}u) * ${D}u;
  let count = min(${VECTORS}u, ${heads}u - wid.y * ${VECTORS}u) * ${D}u;
  for (var i = lid; i < ${VECTORS * D}u; i += ${SIZE}u) { vectors[i] = select(0.0, ${v.y.at("first + min(i, count - 1u)")}, i < count); }
  ${hadamard("vectors", VECTORS, D, SIZE)}
  for (var i = lid; i < count; i += ${SIZE}u) { ${v.y.at("first + i")} = vectors[i]; }
}`,
  })
}
