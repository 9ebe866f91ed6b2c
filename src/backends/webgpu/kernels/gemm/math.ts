import { range } from "../../wgsl/range.js"
import { PAD, PATCHES, type Tile } from "./tiles.js"

/** How results leave a kernel. */
export interface Epilogue {
  /** The output row of a tile's row, or NONE. */
  row(m: string): string
  /** Statements that store the sums (of each weight) at an output row and a weight's row `n`. */
  store(row: string, n: string, values: readonly string[]): string
}

/** The arithmetic of a tile between staging and storing, in f32 by threads or in f16 by subgroups. */
export interface TileMath {
  readonly declarations: string
  readonly builtins: string
  /** The tile's column of weight `which`'s row `local`. */
  column(which: string, local: string): string
  readonly start: string
  /** Puts the octet `o` of x, or of a weight, into the tile. */
  putX(row: string, k: string): string
  putW(column: string, k: string): string
  readonly multiply: string
  finish(epilogue: Epilogue): string
}

/** @param width weights that a tile interleaves: their columns end up side by side in one thread or matrix */
export function mathOf(tile: Tile, width: number): TileMath {
  return tile.matrix ? matrixMath(tile, tile.matrix, width) : floatMath(tile, width)
}

/**
 * Each thread has `rows` x `columns` sums, apart by the number of threads in that direction, so that neighbouring
 * threads read neighbouring rows of the tile. Tiles lie with K innermost, one vec4 of padding a row.
 */
function floatMath({ bm, bn, bk, rows, columns }: Tile, width: number): TileMath {
  const stride = bk / 4 + 1
  const [tall, wide] = [bm / rows, bn / columns]
  const perWeight = columns / width
  return {
    declarations: `const BK = ${bk}u;
alias Four = vec4<f32>;
var<workgroup> xs: array<vec4<f32>, ${bm * stride}>;
var<workgroup> ws: array<vec4<f32>, ${bn * stride}>;`,
    builtins: "",
    column: (which, local) => `${which} * ${bn / width}u + ${local}`,
    start: `let ty = lid / ${wide}u;
  let tx = lid % ${wide}u;
  ${range(rows)
    .map((i) => `var s${i} = vec4<f32>();`)
    .join(" ")}`,
    putX: (row, k) =>
      `xs[${row} * ${stride}u + (${k}) / 4u] = o.lo; xs[${row} * ${stride}u + (${k}) / 4u + 1u] = o.hi;`,
    putW: (c, k) => `ws[${c} * ${stride}u + (${k}) / 4u] = o.lo; ws[${c} * ${stride}u + (${k}) / 4u + 1u] = o.hi;`,
    multiply: `for (var k = 0u; k < ${bk / 4}u; k++) {
      ${range(rows)
        .map((i) => `let x_${i} = xs[(ty + ${i * tall}u) * ${stride}u + k];`)
        .join("\n      ")}
      ${range(columns)
        .map((j) => `let w_${j} = ws[(tx + ${j * wide}u) * ${stride}u + k];`)
        .join("\n      ")}
      ${range(rows)
        .map((i) => `s${i} += vec4<f32>(${range(columns).map((j) => `dot(x_${i}, w_${j})`)});`)
        .join("\n      ")}
    }`,
    finish: ({ row, store }) => `var sums = array<vec4<f32>, ${rows}>(${range(rows).map((i) => `s${i}`)});
  for (var i = 0u; i < ${rows}u; i++) {
    let row = ${row(`ty + i * ${tall}u`)};
    for (var j = 0u; j < ${perWeight}u; j++) {
      let n = n0 + tx + j * ${wide}u;
      if (row != 0xffffffffu && n < N) {
        ${store(
          "row",
          "n",
          range(width).map((which) => `sums[i][j + ${which * perWeight}u]`),
        )}
      }
    }
  }`,
  }
}

/**
 * Each subgroup has `rows` x `columns` matrices. Results pass through workgroup memory, one row of matrices at a time,
 * as only there their elements have known places.
 */
function matrixMath(
  { bm, bn, bk, threads, rows, columns }: Tile,
  { shape: { m }, subgroup }: NonNullable<Tile["matrix"]>,
  width: number,
): TileMath {
  const stride = bk + PAD
  const across = bn / (columns * m)
  const patch = columns * m
  const rounds = Math.ceil(threads / subgroup / PATCHES)
  // Weights alternate by pieces of a matrix's columns.
  const piece = m / width
  const put = (array: string, row: string, k: string) =>
    `let to = ${row} * ${stride}u + ${k}; ${range(8)
      .map((i) => `${array}[to + ${i}u] = o.${i < 4 ? "lo" : "hi"}.${"xyzw"[i % 4]};`)
      .join(" ")}`
  const left = `subgroup_matrix_left<f16, ${m}, ${m}>`
  const right = `subgroup_matrix_right<f16, ${m}, ${m}>`
  const result = `subgroup_matrix_result<f32, ${m}, ${m}>`
  return {
    declarations: `const BK = ${bk}u;
alias Four = vec4<f16>;
var<workgroup> xs: array<f16, ${bm * stride}>;
var<workgroup> ws: array<f16, ${bn * stride}>;
var<workgroup> patches: array<f32, ${PATCHES * m * patch}>;`,
    builtins: ", @builtin(subgroup_id) sg: u32, @builtin(subgroup_invocation_id) lane: u32",
    column: (which, local) => `${local} / ${piece}u * ${m}u + ${which} * ${piece}u + ${local} % ${piece}u`,
    start: `let top = sg / ${across}u * ${rows * m}u;
  let side = sg % ${across}u * ${patch}u;
  ${range(rows)
    .flatMap((i) => range(columns).map((j) => `var s${i}_${j}: ${result};`))
    .join(" ")}`,
    putX: (row, k) => put("xs", row, k),
    putW: (column, k) => put("ws", column, k),
    multiply: range(bk / m)
      .map(
        (k) => `{
      ${range(rows)
        .map(
          (i) =>
            `let x_${i} = subgroupMatrixLoad<${left}, row_major>(&xs, (top + ${i * m}u) * ${stride}u + ${k * m}u, ${stride}u);`,
        )
        .join("\n      ")}
      ${range(columns)
        .map(
          (j) =>
            `let w_${j} = subgroupMatrixLoad<${right}, col_major>(&ws, (side + ${j * m}u) * ${stride}u + ${k * m}u, ${stride}u);`,
        )
        .join("\n      ")}
      ${range(rows)
        .flatMap((i) =>
          range(columns).map((j) => `s${i}_${j} = subgroupMatrixMultiplyAccumulate(x_${i}, w_${j}, s${i}_${j});`),
        )
        .join("\n      ")}
    }`,
      )
      .join("\n    "),
    finish: ({ row, store }) =>
      range(rows)
        .flatMap((i) =>
          range(rounds).map((round) => ({ i, turn: rounds > 1 ? `sg / ${PATCHES}u == ${round}u` : "true" })),
        )
        .map(
          ({ i, turn }) => `workgroupBarrier();
  let corner = sg % ${PATCHES}u * ${m * patch}u;
  if (${turn}) {
    ${range(columns)
      .map((j) => `subgroupMatrixStore<row_major>(&patches, corner + ${j * m}u, s${i}_${j}, ${patch}u);`)
      .join("\n    ")}
  }
  workgroupBarrier();
  for (var at = lane; ${turn} && at < ${(m * patch) / width}u; at += ${subgroup}u) {
    let c = at % ${patch / width}u;
    let r = at / ${patch / width}u;
    let row = ${row(`top + ${i * m}u + r`)};
    let n = n0 + side / ${width}u + c;
    if (row != 0xffffffffu && n < N) {
      let first = corner + r * ${patch}u + c / ${piece}u * ${m}u + c % ${piece}u;
      ${store(
        "row",
        "n",
        range(width).map((which) => `patches[first + ${which * piece}u]`),
      )}
    }
  }`,
        )
        .map((text) => `{ ${text} }`)
        .join("\n  "),
  }
}
