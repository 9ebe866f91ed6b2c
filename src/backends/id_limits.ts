import { picksOf } from "../ir/describe.js"
import type { Sym } from "../ir/dim.js"
import type { Operand, Program } from "../ir/program.js"
import { NO_INDEX } from "../ir/specs/rows.js"
import { sizeOf } from "../tensor/shape.js"
import { BackendError, type HostArray } from "./backend.js"
import type { Rows } from "./step_inputs.js"

/** A step input that picks rows: where its ids lie in the input, and what they must stay below. */
export interface IdLimit {
  readonly input: string
  readonly what: string
  readonly first: number
  readonly count: number
  readonly limit: number
  /** Whether NO_INDEX may stand among them. */
  readonly skips: boolean
  /** What tells the limit at each replay, where they pick from the rows of a step. */
  readonly rows?: Sym
}

/** For backends whose kernels cannot refuse: the ids that a program takes straight from step inputs. */
export function idLimits({ buffers, instructions }: Program): IdLimit[] {
  return instructions.flatMap((instruction) =>
    picksOf(instruction).flatMap(({ ids, what, limit, of, ofRows, skips }) => {
      const source = buffers[ids.buffer]
      if (source.kind !== "input") return []
      const { rows } = ofRows ? (instruction.operands[of[0]] as Partial<Operand>) : {}
      return [{ input: source.name, what, first: ids.offset / 4, count: sizeOf(ids.shape), limit, skips, rows }]
    }),
  )
}

/** @throws BackendError naming an id that is too large */
export function checkIds(limits: readonly IdLimit[], inputs: Readonly<Record<string, HostArray>>, told: Rows): void {
  for (const { input, what, first, count, limit: most, skips, rows } of limits) {
    const limit = rows ? told.get(rows)! : most
    const isWrong = (id: number) => id >= limit && !(skips && id === NO_INDEX)
    const wrong = inputs[input]?.subarray(first, first + count).find(isWrong)
    if (wrong !== undefined) throw new BackendError(`${what} ${wrong} is outside 0 to ${limit - 1}`)
  }
}
