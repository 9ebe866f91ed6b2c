import { specOf } from "../../ir/describe.js"
import { type AnyOperands, listOperands, type Roles } from "../../ir/operands.js"
import type { Operand, Program } from "../../ir/program.js"
import type { WeightOf } from "../../ir/type.js"
import { itemSize } from "../../tensor/dtype.js"
import type { Storage } from "../../tensor/storage.js"
import type { KernelJob } from "./jobs.js"
import type { CpuBlock } from "./memory.js"

/** TOGETHER in wasm/interleaved.ts. */
const TOGETHER = 4

/**
 * How a matrix lies in memory whose rows are interleaved: `[rows / 4, rowBytes / unit, 4, unit]` for `[rows, rowBytes]`. Where the rows
 * of two weights take turns, a row is one of each.
 */
export interface Interleaving {
  readonly rows: number
  readonly rowBytes: number
  /** Bytes that stay together. */
  readonly unit: 1 | 4
}

/**
 * The storages of a program that may be interleaved, and how: MXFP4 weights and their scales that it uses as weights only, whole
 * rows of them, four at a time. Both or neither.
 *
 * @param isOrdered whether a storage is in memory already, its rows in order
 */
export function interleavings(program: Program, isOrdered: (storage: Storage) => boolean): Map<Storage, Interleaving> {
  const found = new Map<Storage, Interleaving>()
  const pairs: (readonly [Storage, Storage])[] = []
  const refused = new Set<Storage>()
  const storageOf = ({ buffer }: Operand) => {
    const described = program.buffers[buffer]
    return described.kind === "storage" && described.access === "read" ? described.storage : null
  }
  for (const { op, operands } of program.instructions) {
    const { operands: roles } = specOf(op)
    const pieces = new Set<Operand>()
    for (const { weight, scales } of mxfp4Weights(roles, operands)) {
      const [words, factors] = [storageOf(weight), storageOf(scales)]
      if (!words || !factors) continue
      const [how, howScales] = [interleavingOf(weight, words, 4), interleavingOf(scales, factors, 1)]
      if (!how || !howScales) continue
      // Rows of one storage can lie in one way only.
      const isSame = [found.get(words), found.get(factors)].every(
        (known, i) => !known || known.rowBytes === [how, howScales][i].rowBytes,
      )
      if (!isSame) continue
      found.set(words, how).set(factors, howScales)
      pairs.push([words, factors])
      pieces.add(weight).add(scales)
    }
    for (const { operand } of listOperands(roles, operands)) {
      const storage = storageOf(operand)
      if (storage && (!pieces.has(operand) || isOrdered(storage))) refused.add(storage)
    }
  }
  // A storage that is refused takes the other of its pair with it, which may be in another pair.
  for (let before = -1; before < refused.size; ) {
    before = refused.size
    for (const pair of pairs)
      if (pair.some((storage) => refused.has(storage))) for (const each of pair) refused.add(each)
  }
  for (const storage of refused) found.delete(storage)
  return found
}

type Mxfp4Weight = WeightOf<Operand> & { readonly scales: Operand }

function mxfp4Weights(roles: Roles, operands: AnyOperands<Operand>): Mxfp4Weight[] {
  return Object.entries(roles).flatMap(([name, role]) => {
    const given = operands[name]
    if (given === undefined || (role !== "weight" && role !== "weights")) return []
    const weights = role === "weights" ? (given as readonly WeightOf<Operand>[]) : [given as WeightOf<Operand>]
    return weights.filter(({ quantization }) => quantization?.mode === "mxfp4") as Mxfp4Weight[]
  })
}

/** How the storage of an operand may be interleaved: see {@link Interleaving}. */
function interleavingOf(
  { shape, strides, dtype, offset }: Operand,
  { byteLength }: Storage,
  unit: 1 | 4,
): Interleaving | null {
  const size = itemSize(dtype)
  const lead = shape.length - 2
  const rowBytes = strides[lead] * size
  const rows = shape.slice(0, -1).reduce((product, dim) => product * dim, 1)
  // Whole rows, each in its place, or the same part of each: gate and up may take turns.
  const isEven = shape.slice(0, lead).every((dim, axis) => {
    const below = shape.slice(axis + 1, -1).reduce((product, dim) => product * dim, 1)
    return dim === 1 || strides[axis] * size === below * rowBytes
  })
  const isInside = strides[lead + 1] === 1 && offset + shape[lead + 1] * size <= rowBytes
  if (!isEven || !isInside || rows * rowBytes !== byteLength || shape[lead] % TOGETHER !== 0) return null
  return (offset % 16) + (rowBytes % 16) === 0 || unit === 1 ? { rows, rowBytes, unit } : null
}

/** Where an operand begins in a storage that is interleaved. */
export function interleavedOffset({ offset }: Operand): number {
  return offset * TOGETHER
}

/** The job that interleaves a matrix that lies at `block`; `scratch`: memory for {@link scratchBytes} of each thread. */
export function interleaveJob(
  { rows, rowBytes, unit }: Interleaving,
  { segment, offset }: CpuBlock,
  scratch: CpuBlock,
): KernelJob {
  const args = [offset, rows, rowBytes, unit]
  const own = { offset: scratch.offset, stride: scratchBytes({ rows, rowBytes, unit }) }
  return { kernel: "interleave", segment, args, scratch: own, work: rows * rowBytes }
}

/** What a thread that interleaves needs to itself. */
export function scratchBytes({ rowBytes }: Interleaving): number {
  return Math.ceil((TOGETHER * rowBytes) / 64) * 64
}

/** Where a byte of the matrix lies once it is interleaved. */
export function placeOf(at: number, { rowBytes, unit }: Interleaving): number {
  const [row, column] = [Math.floor(at / rowBytes), at % rowBytes]
  const block = row - (row % TOGETHER)
  const piece = Math.floor(column / unit)
  return block * rowBytes + piece * TOGETHER * unit + (row % TOGETHER) * unit + (column % unit)
}
