import type { GatedActivation } from "../../../../ir/activation.js"
import { componentsOf } from "../../../../ir/operands.js"
import type { Operand } from "../../../../ir/program.js"
import { type Bindable, derive, most } from "../../bindable.js"
import {
  type Accessor,
  type Dispatch,
  dispatch,
  type ElementType,
  operandBytes,
  reads,
  type View,
  writes,
} from "../../dispatch.js"
import { areAlike } from "../../wgsl/formats/formats.js"
import { glu } from "../../wgsl/glu.js"
import { range } from "../../wgsl/range.js"
import { type Codec, codec, elementsPerLoad, type Weight } from "./codec.js"
import { mathOf } from "./math.js"
import { guarded, loads, stagings, xLoader } from "./staging.js"
import { type Tile, tileName } from "./tiles.js"

/** Rows sorted by expert in tiles, as `groupRows` makes them. */
export interface Groups {
  /** uint32: the expert of each tile, then the slots (token * k + choice) in each tile's rows; NONE where there is none. */
  readonly operand: Operand
  readonly tiles: Bindable<number>
  readonly experts: number
  /** Slots that share a row of x: k, or 1 where each has its own. */
  readonly slotsPerRow: number
}

export const NONE = "0xffffffffu"

/**
 * `out[row, column + n] = x[row] . w[n] + bias[n] (+ residual[row, column + n])` for all n of a weight, by tiles; with two
 * weights `glu(x . gate + bias, x . up + bias)`. With groups, rows are slots, each multiplied by its expert's weight.
 */
export interface TiledProduct {
  /** [rows, K], f32, or f16 for matrix tiles. */
  readonly x: Operand
  readonly weights: readonly [Weight] | readonly [Weight, Weight]
  readonly activation?: GatedActivation
  readonly groups?: Groups
  /** First of the experts that the weights hold. */
  readonly firstExpert?: number
  readonly residual?: Operand
  /** f32, rows of `columns`. With more than one slice [slices, rows, columns]: partial sums. */
  readonly out: Operand
  readonly columns: number
  readonly column: number
  /** Rows of the product: of x, or slots. */
  readonly rows: Bindable<number>
  /** Parts that K is cut into, so that products of few tiles still fill the device. */
  readonly slices: number
}

/** Columns of weights that a tile covers. */
export function columnsPerTile(tile: Tile, weights: number): number {
  return tile.bn / weights
}

/** The codec for a product's weights on a tile, or null when the tile cannot take them. */
export function codecFor(tile: Tile, weights: readonly Weight[], x: Operand, K: number): Codec | null {
  const { threads, bn, bk, matrix } = tile
  const element = matrix ? "f16" : "f32"
  const unit = matrix ? Math.min(elementsPerLoad(weights[0]), (bn * bk) / threads) : 8
  const codecs = weights.map((weight) => codec(weight, K, unit, element))
  const [first] = codecs
  if (!first || !areAlike(weights) || codecs.some((other) => other?.bounded !== first.bounded)) return null
  const vectors = K % 8 === 0 && x.offset % 16 === 0
  if (matrix && (weights[0].weight.dtype === "float32" || unit < 8 || K % 32 !== 0 || !vectors)) return null
  return first
}

/** The dispatch of a product on a tile with the codec of its weights. */
export function tiledProduct(of: TiledProduct, tile: Tile, code: Codec): Dispatch {
  const { x, weights, groups, residual, out, rows } = of
  const K = x.shape[x.shape.length - 1]
  const N = shapeN(weights[0])
  const steps = Math.ceil(K / tile.bk)
  const stepsPerSlice = Math.ceil(steps / of.slices)
  const names = weights.length === 2 ? ["gate", "up"] : ["w"]
  const vectors = K % 8 === 0 && x.offset % 16 === 0
  const xType: ElementType = x.dtype === "float16" ? "vec4<u32>" : vectors ? "vec4<f32>" : "f32"
  const views: Record<string, View> = { x: reads(x, xType), out: writes(out, "f32") }
  for (const [i, weight] of weights.entries()) {
    Object.assign(views, code.views(names[i], weight))
    if (weight.bias) views[`${names[i]}_bias`] = reads(weight.bias, "u32")
  }
  if (groups) views.groups = reads(groups.operand, "u32")
  if (residual) views.residual = reads(residual, "f32")
  const what = [groups && "grouped", weights.length === 2 && "glu"].filter(Boolean).map((word) => ` ${word}`)
  const experts = groups ? Math.min(weights[0].weight.shape[0], most(rows)) / weights[0].weight.shape[0] : 1
  const bytes = [...weights].flatMap(componentsOf).reduce((sum, operand) => sum + operandBytes(operand), 0)
  return dispatch({
    label: `gemm ${code.name}${what.join("")} ${tileName(tile)}`,
    views,
    params: {
      rows,
      column: of.column,
      steps: stepsPerSlice,
      ...(groups && { tiles: groups.tiles, first_expert: of.firstExpert ?? 0 }),
    },
    uses: [...code.uses, ...(of.activation ? [glu(of.activation)] : [])],
    enable: tile.matrix ? ["f16", "subgroups", "chromium_experimental_subgroup_matrix"] : [],
    workgroups: derive(groups ? groups.tiles : derive(rows, (rows) => Math.ceil(rows / tile.bm)), (tiles) => [
      tiles,
      Math.ceil(N / columnsPerTile(tile, weights.length)),
      of.slices,
    ]),
    bytes: Math.floor(bytes * experts),
    code: (accessors) => text(of, tile, code, { K, N, steps, names, vectors }, accessors),
  })
}

export function shapeN({ weight }: Weight): number {
  return weight.shape[weight.shape.length - 2]
}

interface Dims {
  readonly K: number
  readonly N: number
  readonly steps: number
  readonly names: readonly string[]
  readonly vectors: boolean
}

function text(
  of: TiledProduct,
  tile: Tile,
  code: Codec,
  dims: Dims,
  accessors: Readonly<Record<string, Accessor>>,
): string {
  const { bm, bn, bk, threads } = tile
  const { K, steps } = dims
  const width = dims.names.length
  const math = mathOf(tile, width)
  const ragged = K % bk !== 0
  // Thread by thread, the octets of x and the units of weights that it stages in each step.
  const xs = stagings(bm * (bk / 8), threads)
  const ws = stagings(bn * (bk / code.unit), threads)
  const perRow = bk / code.unit
  const half = bn / width
  const { groups } = of
  const load = loads(xs, ws, dims.names, code, half, ragged)
  const bursts = range(tile.burst)
  const registers = [...xs.map(({ u }) => `x${u}`), ...ws.map(({ u }) => `w${u}`)]
  return /* wgsl */ `
const K = ${K}u;
const N = ${dims.N}u;
${code.declarations}
${dims.names.map((name, i) => code.loader(name, of.weights[i], accessors)).join("\n")}
${xLoader(of.x, code, dims.vectors, ragged, accessors.x)}
${math.declarations}
${groups ? "// Four words: a single one would misalign the arrays beside it, which matrices are loaded from.\nvar<workgroup> chosen: vec4u;" : ""}

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32${math.builtins}) {
  ${
    groups
      ? `if (lid == 0u) { chosen.x = ${accessors.groups.at("wid.x")}; }
  let expert = workgroupUniformLoad(&chosen).x - params.first_expert;
  if (expert >= ${of.weights[0].weight.shape[0]}u) { return; }`
      : "let expert = 0u;"
  }
  let n0 = wid.y * ${half}u;
  var step = wid.z * params.steps;
  let last = min(step + params.steps, ${steps}u);
  ${xs
    .map(
      ({ u, job }) => `let x${u}_row = (${job}) / ${bk / 8}u;
  let x${u}_k = (${job}) % ${bk / 8}u * 8u;
  let x${u}_start = ${xRow(of, accessors, `x${u}_row`, bm)} * K;
  ${bursts.map((i) => `var x${u}_${i}: XRaw;`).join(" ")}`,
    )
    .join("\n  ")}
  ${ws
    .map(
      ({ u, job }) => `let w${u}_column = (${job}) / ${perRow}u;
  let w${u}_k = (${job}) % ${perRow}u * ${code.unit}u;
  let w${u}_n = min(n0 + w${u}_column % ${half}u, N - 1u);
  let w${u}_at = ${math.column(`(w${u}_column / ${half}u)`, `(w${u}_column % ${half}u)`)};
  ${bursts.map((i) => `var w${u}_${i}: Raw;`).join(" ")}`,
    )
    .join("\n  ")}
  let first = step;
  ${bursts.map((i) => load(i, `min(step + ${i}u, last - 1u)`)).join("\n  ")}
  ${math.start}
  for (; step < last; step++) {
    workgroupBarrier();
    ${xs
      .map(({ u, guard }) => guarded(guard, `let o = x_octet(x${u}_0); ${math.putX(`x${u}_row`, `x${u}_k`)}`))
      .join("\n    ")}
    ${ws
      .map(({ u, guard }) =>
        guarded(
          guard,
          range(code.unit / 8)
            .map((i) => `{ let o = w_octet${i}(w${u}_0); ${math.putW(`w${u}_at`, `w${u}_k + ${8 * i}u`)} }`)
            .join(" "),
        ),
      )
      .join("\n    ")}
    ${bursts
      .slice(1)
      .flatMap((i) => registers.map((name) => `${name}_${i - 1} = ${name}_${i};`))
      .join(" ")}
    workgroupBarrier();
    if (step + 1u < last && (step + 1u - first) % ${tile.burst}u == 0u) {
      ${bursts.map((i) => load(i, `min(step + ${i + 1}u, last - 1u)`)).join("\n      ")}
    }
    ${math.multiply}
  }
  ${math.finish({
    row: (m) =>
      groups
        ? `${accessors.groups.at(`params.tiles + wid.x * ${bm}u + ${m}`)}`
        : `select(${NONE}, wid.x * ${bm}u + ${m}, wid.x * ${bm}u + ${m} < params.rows)`,
    store: (row, n, values) => store(of, dims, accessors, row, n, values),
  })}
}`
}

/** The row of x that a row of the tile reads. Rows that are not there read one that is. */
function xRow({ groups }: TiledProduct, accessors: Readonly<Record<string, Accessor>>, m: string, bm: number): string {
  if (!groups) return `min(wid.x * ${bm}u + ${m}, params.rows - 1u)`
  const slot = accessors.groups.at(`params.tiles + wid.x * ${bm}u + ${m}`)
  return `min(${slot}, params.rows - 1u) / ${groups.slotsPerRow}u`
}

/** Writes one result: its sums with bias, residual and activation. Only the first slice adds what is not a product. */
function store(
  of: TiledProduct,
  { names }: Dims,
  accessors: Readonly<Record<string, Accessor>>,
  row: string,
  n: string,
  values: readonly string[],
): string {
  const biased = of.weights.map(({ bias }, i) => {
    if (!bias) return values[i]
    const [perN, perExpert = 0] = [...bias.strides].reverse()
    const value = accessors[`${names[i]}_bias`].load(`expert * ${perExpert}u + ${n} * ${perN}u`)
    return `${values[i]} + select(0.0, ${value}, wid.z == 0u)`
  })
  const to = (r: string) => accessors.out.at(`${r} * ${of.columns}u + params.column + ${n}`)
  if (of.activation) return `${to(row)} = glu(${biased.join(", ")});`
  const residual = of.residual
    ? ` + select(0.0, ${accessors.residual.at(`${row} * ${of.columns}u + params.column + ${n}`)}, wid.z == 0u)`
    : ""
  return `${to(`(wid.z * params.rows + ${row})`)} = ${biased[0]}${residual};`
}
