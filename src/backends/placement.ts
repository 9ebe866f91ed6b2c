import { workOf as operationWork, type Work } from "../ir/describe.js"
import { isKernel, type Node, type Roots, topologicalOrder } from "../ir/value.js"
import type { Storage } from "../tensor/storage.js"
import type { Backend } from "./backend.js"

/** Decides where a graph runs, when its caller does not. */
export interface Placement {
  choose(traced: Roots): Backend
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
 * Runs each graph where it is done sooner: its work at each device's speed, a round trip on the large one, and the copy
 * of the arrays that are not there yet. So tiny work goes to the small device, unless what it reads is on the large
 * one; and copies are never repeated, as arrays stay where they were copied to.
 */
export function autoDevice({ small, large }: AutoDeviceOptions): Placement {
  return {
    choose(traced) {
      const work = costOf(workOf(traced))
      const fetched = missing(traced, small)
      // Bytes that are on the large device alone come back by a round trip of their own.
      const onSmall = work + bytesOf(fetched) + (fetched.some((storage) => storage.replicaIn(large)) ? ROUND_TRIP : 0)
      const onLarge = work / LARGE_SPEED + bytesOf(missing(traced, large)) + ROUND_TRIP
      return onSmall <= onLarge ? small : large
    },
  }
}

/** What work costs on a CPU, in bytes that it streams in the same time. */
export function costOf({ bytes, flops }: Work): number {
  return bytes + flops / FLOPS_PER_BYTE
}

/** What computing a graph once takes: the sum over its operations. */
export function workOf(graph: Roots): Work {
  let [bytes, written, flops] = [0, 0, 0]
  for (const node of nodesOf(graph)) {
    const { op, operands, results } = node
    if (!isKernel(op)) continue
    const work = operationWork({ op, operands, results })
    bytes += work.bytes
    written += work.written
    flops += work.flops
  }
  return { bytes, written, flops }
}

/** The storages that must be copied before the graph can run on `backend`. */
function missing(graph: Roots, backend: Backend): Storage[] {
  return nodesOf(graph).flatMap(({ op }) => {
    if (op.kind !== "constant" && op.kind !== "state") return []
    return op.storage.isZero || op.storage.replicaIn(backend) ? [] : [op.storage]
  })
}

function nodesOf({ outputs, effects = [] }: Roots): Node[] {
  return topologicalOrder([...outputs, ...effects])
}

function bytesOf(storages: readonly Storage[]): number {
  return storages.reduce((sum, storage) => sum + storage.byteLength, 0)
}
