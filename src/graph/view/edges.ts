import type { Fold } from "./fold.js"
import type { Launch } from "./launches.js"

/** A launch reads what another wrote. Launches are numbered as they are drawn: each unit once. */
export interface Edge {
  readonly from: number
  readonly to: number
  /** What a repetition reads of the one before. */
  readonly isBack: boolean
}

/** Who reads from whom in folded launches; of a unit's repetitions the last is read, and the first reads. */
export function edgesOf(folds: readonly Fold<Launch>[]): Edge[] {
  const drawn: number[] = [] // by number of the launch
  const edges: Edge[] = []
  let first = 0
  for (const { times, items } of folds) {
    const start = drawn.length
    for (let i = 0; i < times * items.length; i++) drawn.push(first + (i % items.length))
    items.forEach(({ reads }, i) => {
      const to = first + i
      for (const distance of reads) {
        edges.push({ from: drawn[start + i - distance], to, isBack: false })
        const inside = i - distance + items.length
        if (times > 1 && distance > i && inside >= 0) edges.push({ from: first + inside, to, isBack: true })
      }
    })
    first += items.length
  }
  return edges
}
