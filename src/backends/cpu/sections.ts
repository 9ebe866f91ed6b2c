import type { Job } from "./jobs.js"

/** Jobs that one thread does in a row, or a job of which several threads do a part each. */
export interface Section {
  readonly parts: number
  readonly jobs: readonly Job[]
}

/** The most threads that find something to do at the same time. */
export function widest(sections: readonly Section[]): number {
  return sections.reduce((most, { parts }) => Math.max(most, parts), 1)
}

/**
 * Divides jobs into as many parts as are worth it, up to `threads`: `part_bytes` of work each at least. Those of one part
 * are done in a row by whoever comes first, for in small models threads that take turns are slower than one alone.
 */
export function sectionsOf(jobs: readonly Job[], threads: number, part_bytes: number): Section[] {
  const sections: { parts: number; jobs: Job[] }[] = []
  for (const job of jobs) {
    const parts = Math.max(1, Math.min(threads, Math.floor(job.work / part_bytes)))
    const last = sections[sections.length - 1]
    if (parts === 1 && last?.parts === 1) last.jobs.push(job)
    else sections.push({ parts, jobs: [job] })
  }
  return sections.length > 0 ? sections : [{ parts: 1, jobs: [] }]
}
