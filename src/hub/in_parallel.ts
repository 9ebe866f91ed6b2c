/**
 * Runs over the items, a few at once. When one fails the others are aborted, and have ended when this throws.
 *
 * @throws what the first throws; the signal's reason
 */
export async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  signal: AbortSignal,
  run: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const queue = [...items]
  const work = async () => {
    for (let item = queue.shift(); item !== undefined && !either.aborted; item = queue.shift()) {
      await run(item, either).catch((error) => failed.abort(error))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  either.throwIfAborted()
}
