/** Work under way. Wrapped, so that awaiting its submission does not await its result. */
export interface Submitted<T> {
  readonly result: Promise<T>
}

/**
 * Submits work `count` times and yields the results in order, with up to `depth` submissions under way, so that a device
 * has the next one when it ends the last. After a submission that fails nothing more is submitted. However it ends, nothing
 * is under way afterwards.
 *
 * @param submit called one at a time, with 0, 1, 2, ...
 */
export async function* runAhead<T>(
  depth: number,
  count: number,
  submit: (i: number) => Promise<Submitted<T>>,
): AsyncGenerator<T, void> {
  const pending: Promise<T>[] = []
  let submitted = 0
  try {
    for (let yielded = 0; yielded < count; yielded++) {
      while (pending.length < depth && submitted < count) {
        let result: Promise<T>
        try {
          result = (await submit(submitted++)).result
        } catch (error) {
          result = Promise.reject(error)
          submitted = count
        }
        // A failure is told when its turn comes, as one before it may be why; until then the consumer may be busy, and it
        // must not count as unhandled.
        result.catch(() => {})
        pending.push(result)
      }
      const result = await pending[0]
      pending.shift()
      yield result
    }
  } finally {
    await Promise.allSettled(pending)
  }
}
