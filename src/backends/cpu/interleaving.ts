import { specOf } from "../../ir/describe.js"
import { type AnyOperands, listOperands } from "../../ir/operands.js"
import type { Operand, Program } from "../../ir/program.js"
import type { WeightOf } from "../../ir/type.js"
import { itemSize } from "../../tensor/dtype.js"
import type { Storage } from "../../tensor/storage.js"
import type { KernelJob } from "./jobs.js"
import type { CpuBlock } from "./memory.js"

/** TOGETHER in wasm/interleaved.ts. */
const TOGETHER = 4

/** How a matrix lies in memory whose rows are interleaved: `[rows / 4, rowBytes / unit, 4, unit]` for `[rows, rowBytes]`. */
export interface Interleaving {
  readonly rows: number
  readonly rowBytes: number
  /** Bytes that stay together. */
  readonly unit: 1 | 4
}

/**
 * The storages of a program that may be interleaved, and how: MXFP4 weights and their scales that it uses as weights only, whole
 * rows of them, four at a time.
 */
export function interleavings(program: Program): Map<Storage, Interleaving> {
  const found = new Map<Storage, Interleaving>()
  const refused = new Set<Storage>()
  for (const { op, operands } of program.instructions) {
    const { operands: roles } = specOf(op)
    for (const { name, component, operand } of listOperands(roles, operands)) {
      const described = program.buffers[operand.buffer]
      if (described.kind !== "storage") continue
      const unit = unitOf(operands, name, operand, component)
      const how = unit && described.access === "read" ? interleavingOf(operand, unit) : null
      if (how) found.set(described.storage, how)
      else refused.add(described.storage)
    }
  }
  for (const storage of refused) found.delete(storage)
  return found
}

/** What stays together of a component of an MXFP4 weight; null for other operands. */
function unitOf(operands: AnyOperands<Operand>, name: string, operand: Operand, component: string): 1 | 4 | null {
  const given = operands[name]
  const weights = (Array.isArray(given) ? given : [given]) as readonly WeightOf<Operand>[]
  if (component !== "weight" && component !== "scales") return null
  const weight = weights.find((each) => each[component] === operand)
  if (weight?.quantization?.mode !== "mxfp4") return null
  return component === "weight" ? 4 : 1
}

function interleavingOf({ shape, strides, dtype, offset }: Operand, unit: 1 | 4): Interleaving | null {
  const size = itemSize(dtype)
  const columns = shape[shape.length - 1]
  const rowsOfOne = shape[shape.length - 2]
  const rows = shape.slice(0, -1).reduce((product, dim) => product * dim, 1)
  const contiguous = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dim) => product * dim, 1))
  const isWhole = contiguous.every((stride, axis) => shape[axis] === 1 || stride === strides[axis])
  if (!isWhole || offset !== 0 || rowsOfOne % TOGETHER !== 0) return null
  return { rows, rowBytes: columns * size, unit }
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
