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

/** How a storage lies in memory: null with its rows in order, undefined if it is not there. */
export type LiesAs = (storage: Storage) => Interleaving | null | undefined

/**
 * The storages of a program that may be interleaved, and how: MXFP4 weights and their scales that it uses as weights only, whole
 * rows of them, four at a time. Both or neither, and none that lies otherwise already.
 */
export function interleavings(program: Program, liesAs: LiesAs): Map<Storage, Interleaving> {
  const found = new Map<Storage, Interleaving>()
  const pairs: (readonly Storage[])[] = []
  const refused = new Set<Storage>()
  const storageOf = ({ buffer }: Operand) => {
    const described = program.buffers[buffer]
    return described.kind === "storage" && described.access === "read" ? described.storage : null
  }
  /** Whether an operand's storage can lie so that this operand has its rows interleaved. */
  const admit = (operand: Operand, unit: 1 | 4): boolean => {
    const storage = storageOf(operand)
    const how = storage && interleavingOf(operand, storage, unit)
    if (!how) return false
    const others = [found.get(storage), liesAs(storage)].filter((other) => other !== undefined)
    if (others.some((other) => other?.rowBytes !== how.rowBytes)) return false
    found.set(storage, how)
    return true
  }
  for (const { op, operands } of program.instructions) {
    const { operands: roles } = specOf(op)
    const admitted = new Set<Operand>()
    for (const { weight, scales } of mxfp4Weights(roles, operands)) {
      pairs.push([weight, scales].flatMap((operand) => storageOf(operand) ?? []))
      if (admit(weight, 4)) admitted.add(weight)
      if (admit(scales, 1)) admitted.add(scales)
    }
    for (const { operand } of listOperands(roles, operands)) {
      const storage = storageOf(operand)
      if (storage && !admitted.has(operand)) refused.add(storage)
    }
  }
  for (const storage of withPartners(refused, pairs)) found.delete(storage)
  return found
}

/** Who is refused takes the other of its pair along, which may be in another pair. */
function withPartners(refused: ReadonlySet<Storage>, pairs: readonly (readonly Storage[])[]): ReadonlySet<Storage> {
  const taken = pairs.filter((pair) => pair.some((storage) => refused.has(storage))).flat()
  const all = new Set([...refused, ...taken])
  return all.size === refused.size ? all : withPartners(all, pairs)
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
