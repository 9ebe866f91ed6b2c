import type { OpKind } from "../ir/value.js"
import type { Optimised } from "./optimise.js"

/** Operations that a pass looked at and left as they were, all for the same reason. */
export interface Miss {
  readonly kind: OpKind
  readonly reason: string
  readonly count: number
}

/** What a pass did in one run of the optimiser. */
export interface Explanation {
  readonly pass: string
  /** How often it matched. */
  readonly matched: number
  /** Where it might have matched and did not, with the first reason why; the most frequent first. */
  readonly missed: readonly Miss[]
}

/** The notes of an optimised graph, folded: for each pass that ran, in the order they ran, how often it matched and why not elsewhere. */
export function explain({ passes, notes }: Pick<Optimised, "passes" | "notes">): Explanation[] {
  return passes.map((pass) => {
    const own = notes.filter((note) => note.pass === pass)
    const missed = new Map<string, Miss>()
    for (const { node, reason } of own) {
      if (reason === null) continue
      const { kind } = node.op
      const key = `${kind}: ${reason}`
      missed.set(key, { kind, reason, count: (missed.get(key)?.count ?? 0) + 1 })
    }
    return {
      pass,
      matched: own.filter(({ reason }) => reason === null).length,
      missed: [...missed.values()].sort((a, b) => b.count - a.count),
    }
  })
}
