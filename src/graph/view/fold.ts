/** Items in a row, or a unit of them that repeats. */
export interface Fold<T> {
  readonly times: number
  /** The first occurrence; what is said of it is true of each. */
  readonly items: readonly T[]
}

/**
 * Folds repetitions, such as the layers of a model: a unit is the shortest run of items, alike by their keys, whose
 * repetitions from here on reach furthest. Layers of alternating kinds therefore fold as pairs. Short repetitions, of fewer
 * than `least` items in all, stay as they are.
 */
export function fold<T>(items: readonly T[], keyOf: (item: T) => string, least = 4): Fold<T>[] {
  const keys = items.map(keyOf)
  const folds: Fold<T>[] = []
  let single: T[] = []
  const flush = () => {
    if (single.length > 0) folds.push({ times: 1, items: single })
    single = []
  }
  for (let at = 0; at < items.length; ) {
    const { length, times } = longestRepetition(keys, at)
    if (times > 1 && length * times >= least) {
      flush()
      folds.push({ times, items: items.slice(at, at + length) })
      at += length * times
    } else {
      single.push(items[at++])
    }
  }
  flush()
  return folds
}

/** The unit at `start` whose repetitions cover most, the shortest of equals. */
function longestRepetition(keys: readonly string[], start: number): { length: number; times: number } {
  let best = { length: 1, times: 1 }
  for (let length = 1; start + 2 * length <= keys.length; length++) {
    let end = start + length
    while (end < keys.length && keys[end] === keys[end - length]) end++
    const times = Math.floor((end - start) / length)
    if (times > 1 && times * length > best.times * best.length) best = { length, times }
  }
  return best
}
