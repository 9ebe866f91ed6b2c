import { itemSize } from "../tensor/dtype.js"
import { sizeOf } from "../tensor/shape.js"
import type { Storage } from "../tensor/storage.js"
import type { Backend } from "./backend.js"
import { type KernelKind, operandRoles } from "./ops.js"
import type { Instruction, Operand, Program } from "./program.js"

/** What running a program once takes, whatever runs it. */
export interface Work {
  /** Bytes that its instructions read and write. */
  readonly bytes: number
  /** Floating-point operations of products and attention. */
  readonly flops: number
}

/** Decides where a program runs, when its caller does not. */
export interface Placement {
  choose(program: Program): Backend
}

export interface AutoDeviceOptions {
  /** Where tiny work runs: the CPU. */
  readonly small: Backend
  /** Where large work runs, and what is on it already: the GPU. */
  readonly large: Backend
}

/**
 * A dispatch and a readback take about 0.1 ms on a GPU, in which a CPU streams about 1 MB. All costs below are in bytes
 * that a CPU streams in the same time.
 */
export const ROUND_TRIP = 1 << 20

/** A CPU computes about so many operations in the time it streams a byte. */
const FLOPS_PER_BYTE = 8

/** How many times faster the large device works. A GPU's memory is that much faster, at least. */
const LARGE_SPEED = 8

/**
 * Runs each program where it is done sooner: its work at each device's speed, a round trip on the large one, and the copy
 * of the arrays that are not there yet. So tiny work goes to the small device, unless what it reads is on the large
 * one; and copies are never repeated, as arrays stay where they were copied to.
 */
export function autoDevice({ small, large }: AutoDeviceOptions): Placement {
  return {
    choose(program) {
      const work = costOf(workOf(program))
      const fetched = missing(program, small)
      // Bytes that are on the large device alone come back by a round trip of their own.
      const onSmall = work + bytesOf(fetched) + (fetched.some((storage) => storage.replicaIn(large)) ? ROUND_TRIP : 0)
      const onLarge = work / LARGE_SPEED + bytesOf(missing(program, large)) + ROUND_TRIP
      return onSmall <= onLarge ? small : large
    },
  }
}

/** What work costs on a CPU, in bytes that it streams in the same time. */
export function costOf({ bytes, flops }: Work): number {
  return bytes + flops / FLOPS_PER_BYTE
}

/** An estimate from shapes alone: of experts and embeddings it counts the chosen rows, of caches every row. */
export function workOf({ instructions }: Pick<Program, "instructions">): Work {
  let [bytes, flops] = [0, 0]
  for (const instruction of instructions) {
    bytes += bytesTouched(instruction)
    flops += flopsOf(instruction)
  }
  return { bytes, flops }
}

function bytesTouched(instruction: Instruction): number {
  const { op, inputs, output } = instruction
  // Updates write what they are given, not the whole state.
  const updates = op.kind === "kv_append" || op.kind === "assign"
  const read = inputs.map((input, i) => (updates && i === 0 ? 0 : byteLength(input) * shareRead(instruction, i)))
  return read.reduce((sum, bytes) => sum + bytes, byteLength(updates ? inputs[1] : output))
}

/** Which operand names the rows or experts of a weight that are read. */
const IDS: Readonly<Partial<Record<KernelKind, number>>> = {
  embedding: 0,
  gather_matmul: 1,
  gather_matmul_sum: 1,
  gather_swiglu: 1,
  norm_gather_swiglu: 2,
}

/** The share of a weight that is read: what the ids name, each once. */
function shareRead({ op, inputs }: Instruction, i: number): number {
  const ids = IDS[op.kind]
  if (ids === undefined || operandRoles(op, inputs.length)[i] === "value") return 1
  return Math.min(1, sizeOf(inputs[ids].shape) / inputs[i].shape[0])
}

function flopsOf({ op, inputs, output }: Instruction): number {
  const [x] = inputs
  const K = x.shape[x.shape.length - 1]
  switch (op.kind) {
    case "matmul":
    case "norm_matmul":
    case "gather_matmul":
      return 2 * K * sizeOf(output.shape)
    case "gather_swiglu":
    case "norm_gather_swiglu":
      return 4 * K * sizeOf(output.shape)
    case "gather_matmul_sum":
      return 2 * K * x.shape[1] * sizeOf(output.shape)
    case "route":
      return 2 * sizeOf(x.shape) * inputs[2].shape[0]
    case "attention":
    case "rope_attention": {
      // Keys and values, an operation each for the dot product and the sum: of every slot, or of the window.
      const keys = inputs[op.kind === "attention" ? 1 : 3]
      const slots = keys.shape[keys.shape.length - 3]
      return 4 * sizeOf(output.shape) * Math.min(slots, op.window ?? slots)
    }
    default:
      return 0
  }
}

/** The storages that must be copied before the program can run on `backend`. */
function missing({ buffers }: Program, backend: Backend): Storage[] {
  return buffers.flatMap((buffer) => {
    if (buffer.kind !== "storage" || buffer.storage.isZero || buffer.storage.replicaIn(backend)) return []
    return [buffer.storage]
  })
}

function byteLength({ shape, dtype }: Operand): number {
  return sizeOf(shape) * itemSize(dtype)
}

function bytesOf(storages: readonly Storage[]): number {
  return storages.reduce((sum, storage) => sum + storage.byteLength, 0)
}
