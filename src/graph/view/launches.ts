import { specOf, type Work, workOf, writesOf } from "../../ir/describe.js"
import { listOperands } from "../../ir/operands.js"
import type { Instruction, Operand, Program } from "../../ir/program.js"
import type { KernelKind } from "../../ir/operations.js"
import { itemSize } from "../../tensor/dtype.js"
import { sizeOf } from "../../tensor/shape.js"

/** An instruction as plain data, to be looked at. */
export interface Launch extends Work {
  readonly kind: KernelKind
  /** Attributes that are set, such as `fn add` and `window 128`. */
  readonly attributes: readonly string[]
  /** The stored arrays that it reads, by the last part of their names. */
  readonly weights: readonly string[]
  /** Its results, or the states that it updates if those are all: dtype and shape, a symbol's rows by its name. */
  readonly results: readonly string[]
  /** The launches whose results it reads, by how many launches before it they stand. */
  readonly reads: readonly number[]
}

/** What a program launches, in order. Bytes and operations are estimates from shapes: see `workOf`. */
export function launchesOf({ buffers, instructions }: Program): Launch[] {
  const writers = new Map<number, Writer[]>() // by buffer, the latest first
  return instructions.map((instruction, index) => {
    const { op, operands, results } = instruction
    const read = listOperands(specOf(op).operands, operands)
    const producers = new Set(read.flatMap(({ operand }) => lastWriter(writers, operand) ?? []))
    for (const result of Object.values(results)) {
      writers.set(result.buffer, [{ span: spanOf(result), index }, ...(writers.get(result.buffer) ?? [])])
    }
    return {
      kind: op.kind,
      attributes: attributesOf(instruction),
      weights: weightsOf(instruction, buffers),
      results: resultsOf(instruction).map(formatWindow),
      reads: [...producers].map((producer) => index - producer).sort((a, b) => a - b),
      ...workOf(instruction),
    }
  })
}

/** The bytes that a launch wrote. */
interface Writer {
  readonly span: readonly [number, number]
  readonly index: number
}

/** Which launch wrote what a window shows; the arena is used again and again, so the latest. */
function lastWriter(writers: ReadonlyMap<number, readonly Writer[]>, read: Operand): number | undefined {
  const [start, end] = spanOf(read)
  return writers.get(read.buffer)?.find(({ span: [first, last] }) => first < end && start < last)?.index
}

/** The bytes of its buffer between which a window lies. */
function spanOf({ offset, shape, strides, dtype }: Operand): [number, number] {
  const furthest = shape.reduce((sum, dim, axis) => sum + (dim - 1) * strides[axis], 0)
  return [offset, offset + (sizeOf(shape) === 0 ? 0 : (furthest + 1) * itemSize(dtype))]
}

function attributesOf({ op }: Instruction): string[] {
  const { kind: _, ...attributes } = op
  return Object.entries(attributes).flatMap(([name, value]) => {
    if (value === null || value === undefined) return []
    if (typeof value === "object") return [`${name} ${Object.values(value).map(short).join(" ")}`]
    return [`${name} ${short(value)}`]
  })
}

/** Numbers to four digits. */
function short(value: unknown): string {
  return String(typeof value === "number" ? Number(value.toPrecision(4)) : value)
}

/** One name for a weight of several components: the last part of the name that it has in its file. */
function weightsOf({ op, operands }: Instruction, buffers: Program["buffers"]): string[] {
  const names = listOperands(specOf(op).operands, operands).flatMap(({ operand, component }) => {
    const buffer = buffers[operand.buffer]
    if (buffer.kind !== "storage" || buffer.access === "write" || (component !== "value" && component !== "weight"))
      return []
    const parts = buffer.storage.name.replace(/[._](weight|blocks)$/, "").split(".")
    return [parts[parts.length - 1]]
  })
  return [...new Set(names)]
}

function resultsOf({ op, results }: Instruction): Operand[] {
  const writes = writesOf(op)
  const fresh = Object.keys(results).filter((name) => !(name in writes))
  return fresh.length > 0 ? fresh.map((name) => results[name]) : Object.values(results)
}

function formatWindow({ shape, dtype, rows }: Operand): string {
  return `${dtype} [${shape.map((dim, axis) => (axis === 0 && rows ? rows.name : dim)).join(", ")}]`
}
