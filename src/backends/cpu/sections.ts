import type { Step } from "./steps.js"

/** Steps that one thread does in a row, or a step of which several threads do a part each. */
export interface Section {
  readonly parts: number
  readonly steps: readonly Step[]
}

/** The most threads that find something to do at the same time. */
export function widest(sections: readonly Section[]): number {
  return sections.reduce((most, { parts }) => Math.max(most, parts), 1)
}

/**
 * Divides steps into as many parts as are worth it, up to `threads`: `part_bytes` of work each at least. Those of one part
 * are done in a row by whoever comes first, for in small models threads that take turns are slower than one alone.
 */
export function sectionsOf(steps: readonly Step[], threads: number, part_bytes: number): Section[] {
  const sections: { parts: number; steps: Step[] }[] = []
  for (const step of steps) {
    const parts = Math.max(1, Math.min(threads, Math.floor(step.work / part_bytes)))
    const last = sections[sections.length - 1]
    if (parts === 1 && last?.parts === 1) last.steps.push(step)
    else sections.push({ parts, steps: [step] })
  }
  return sections.length > 0 ? sections : [{ parts: 1, steps: [] }]
}
