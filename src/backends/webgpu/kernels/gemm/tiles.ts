import type { GpuFeatures, MatrixShape } from "../../features.js"

/** The part of a product that one workgroup computes: `bm` rows times `bn` columns, `bk` of K at a time. */
export interface Tile {
  readonly bm: number
  readonly bn: number
  readonly bk: number
  readonly threads: number
  /** Rows and columns of a thread (f32 arithmetic), or of a subgroup in matrices (f16). */
  readonly rows: number
  readonly columns: number
  readonly matrix: { readonly shape: MatrixShape; readonly subgroup: number } | null
  /** Steps whose operands are loaded at once, so that a kernel waits for memory less often. */
  readonly burst: number
}

/**
 * Tiles, and how many of their subgroups stand side by side. Few rows: all of them, to stream weights, and the more the
 * better where workgroup memory allows.
 */
const MATRIX_TILES = [
  { bm: 16, bn: 256, bk: 64, across: 16, subgroups: 16, burst: 2 },
  { bm: 16, bn: 128, bk: 64, across: 8, subgroups: 8, burst: 2 },
  { bm: 32, bn: 128, bk: 64, across: 8, subgroups: 8, burst: 1 },
  { bm: 64, bn: 128, bk: 32, across: 4, subgroups: 8, burst: 1 },
  { bm: 128, bn: 128, bk: 32, across: 4, subgroups: 8, burst: 1 },
] as const

/** Subgroups whose results pass through workgroup memory at once. */
export const PATCHES = 4

const FLOAT_TILES: readonly Tile[] = [
  { bm: 16, bn: 64, bk: 32, threads: 256, rows: 1, columns: 4, matrix: null, burst: 1 },
  { bm: 64, bn: 64, bk: 16, threads: 128, rows: 8, columns: 4, matrix: null, burst: 1 },
]

/** f16 elements after each row of a tile in workgroup memory, so that rows start in different banks. */
export const PAD = 8

/** The tiles that a device can run on subgroup matrices, by rising height. */
function matrixTiles({ subgroups, f16, matrix, maxWorkgroupStorage, maxInvocations }: GpuFeatures): Tile[] {
  if (!matrix || !f16 || !subgroups || subgroups.min !== subgroups.max) return []
  const { m, n, k } = matrix
  if (m !== n || m !== k || (m !== 8 && m !== 16)) return []
  return MATRIX_TILES.map(({ bm, bn, bk, across, subgroups: count, burst }) => ({
    bm,
    bn,
    bk,
    threads: count * subgroups.min,
    rows: bm / (count / across) / m,
    columns: bn / across / n,
    matrix: { shape: matrix, subgroup: subgroups.min },
    burst,
  })).filter((tile) => workgroupBytes(tile) <= maxWorkgroupStorage && tile.threads <= maxInvocations)
}

/** Workgroup memory that a matrix tile takes. */
function workgroupBytes({ bm, bn, bk, columns, matrix }: Tile): number {
  const patches = matrix ? PATCHES * matrix.shape.m * matrix.shape.n * columns * 4 : 0
  return (bm + bn) * (bk + PAD) * 2 + patches + 16
}

/**
 * The tiles fit for products of `rows` rows (per expert, on average), best first: the lowest that holds them, on
 * matrices where the device has them and `exact` float32 arithmetic is not asked for.
 */
export function tilesFor(features: GpuFeatures, rows: number, exact: boolean): Tile[] {
  const fitting = (tiles: readonly Tile[]) => tiles.find(({ bm }) => bm >= rows) ?? tiles[tiles.length - 1]
  const matrix = exact ? [] : matrixTiles(features)
  return [...(matrix.length ? [fitting(matrix)] : []), fitting(FLOAT_TILES)]
}

export function tileName({ bm, bn, bk, matrix }: Tile): string {
  return `${bm}x${bn}x${bk}${matrix ? " matrix" : ""}`
}
