/** What several iterations give, each with its number, in the order in which it comes. Whoever leaves early ends them all. */
export async function* sideBySide<T>(
  iterables: readonly AsyncIterable<T>[],
): AsyncGenerator<readonly [number, T], void> {
  const iterators = iterables.map((iterable) => iterable[Symbol.asyncIterator]())
  const next = async (i: number) => ({ i, item: await iterators[i].next() })
  const coming = new Map(iterators.map((_, i) => [i, next(i)]))
  try {
    while (coming.size > 0) {
      const { i, item } = await Promise.race(coming.values())
      if (item.done) {
        coming.delete(i)
        continue
      }
      // In the end of the row, so that one that is always ready does not keep the others waiting.
      coming.delete(i)
      coming.set(i, next(i))
      yield [i, item.value]
    }
  } finally {
    for (const promise of coming.values()) promise.catch(() => {})
    await Promise.allSettled(iterators.map((iterator) => iterator.return?.()))
  }
}
