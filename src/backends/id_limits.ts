import { picksOf } from "../ir/describe.js"
import type { Program } from "../ir/program.js"
import { sizeOf } from "../tensor/shape.js"
import { BackendError, type HostArray } from "./backend.js"

/** A step input that picks rows: where its ids lie in the input, and what they must stay below. */
export interface IdLimit {
  readonly input: string
  readonly what: string
  readonly first: number
  readonly count: number
  readonly limit: number
}

/** For backends whose kernels cannot refuse: the ids that a program takes straight from step inputs. */
export function idLimits({ buffers, instructions }: Program): IdLimit[] {
  return instructions.flatMap((instruction) => {
    const picks = picksOf(instruction)
    if (!picks) return []
    const { ids, what, limit } = picks
    const source = buffers[ids.buffer]
    if (source.kind !== "input") return []
    return [{ input: source.name, what, first: ids.offset / 4, count: sizeOf(ids.shape), limit }]
  })
}

/** @throws BackendError naming an id that is too large */
export function checkIds(limits: readonly IdLimit[], inputs: Readonly<Record<string, HostArray>>): void {
  for (const { input, what, first, count, limit } of limits) {
    const wrong = inputs[input]?.subarray(first, first + count).find((id) => id >= limit)
    if (wrong !== undefined) throw new BackendError(`${what} ${wrong} is outside 0 to ${limit - 1}`)
  }
}
