import { sizeOf } from "../tensor/shape.js"
import { BackendError, type HostArray } from "./backend.js"
import type { Instruction, Operand, Program } from "./program.js"

/** A step input that picks rows: where its ids lie in the input, and what they must stay below. */
export interface IdLimit {
  readonly input: string
  readonly what: string
  readonly first: number
  readonly count: number
  readonly limit: number
}

/** The operand with an instruction's ids, what they are, and how many there are to pick from. */
function idsOf({ op, inputs }: Instruction): [ids: Operand, what: string, limit: number] | null {
  switch (op.kind) {
    case "embedding":
      return [inputs[0], "token id", inputs[1].shape[0]]
    case "gather_matmul":
    case "gather_swiglu":
    case "gather_matmul_sum":
      return [inputs[1], "expert", inputs[2].shape[0]]
    case "norm_gather_swiglu":
      return [inputs[2], "expert", inputs[3].shape[0]]
    case "take_along_axis":
      return [inputs[1], "take_along_axis: index", inputs[0].shape[inputs[0].shape.length - 1]]
    default:
      return null
  }
}

/** For backends whose kernels cannot refuse: the ids that a program takes straight from step inputs. */
export function idLimits({ buffers, instructions }: Program): IdLimit[] {
  return instructions.flatMap((instruction) => {
    const found = idsOf(instruction)
    if (!found) return []
    const [{ buffer, offset, shape }, what, limit] = found
    const source = buffers[buffer]
    return source.kind === "input" ? [{ input: source.name, what, first: offset / 4, count: sizeOf(shape), limit }] : []
  })
}

/** @throws BackendError naming an id that is too large */
export function checkIds(limits: readonly IdLimit[], inputs: Readonly<Record<string, HostArray>>): void {
  for (const { input, what, first, count, limit } of limits) {
    const wrong = inputs[input]?.subarray(first, first + count).find((id) => id >= limit)
    if (wrong !== undefined) throw new BackendError(`${what} ${wrong} is outside 0 to ${limit - 1}`)
  }
}
