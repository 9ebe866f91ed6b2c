/** Milliseconds in which a request that cannot be answered is refused at the latest. */
const PATIENCE = 1000

/**
 * Begins an iteration and waits for its first item, though not for long: what is wrong with a request shows at once and becomes the
 * response's status, and a prompt that takes long to read leaves the stream open meanwhile.
 *
 * @param start is told by its signal when nobody reads any more, also while an item is made
 * @param request aborts when the client leaves
 * @throws what `start` threw before its first item
 */
export async function begun<T>(
  start: (signal: AbortSignal) => AsyncIterable<T>,
  request: AbortSignal,
  patience = PATIENCE,
): Promise<AsyncIterableIterator<T>> {
  const leaving = new AbortController()
  const iterator = start(leaving.signal)[Symbol.asyncIterator]()
  let first: Promise<IteratorResult<T>> | null = iterator.next()
  const leave = async (): Promise<IteratorResult<T>> => {
    // Node keeps what listens to the signal of a `Request`.
    request.removeEventListener("abort", abort)
    leaving.abort(request.reason)
    first = null
    return (await iterator.return?.()) ?? { done: true, value: undefined }
  }
  // Who has left asks for nothing more, and what waits at its last item would wait for ever.
  const abort = () => void leave().catch(() => {})
  if (request.aborted) abort()
  else request.addEventListener("abort", abort)
  try {
    await settled(first, patience)
  } catch (error) {
    request.removeEventListener("abort", abort)
    throw error
  }
  const rest: AsyncIterableIterator<T> = {
    [Symbol.asyncIterator]: () => rest,
    next: async () => {
      const next = first ?? iterator.next()
      first = null
      try {
        const item = await next
        if (item.done) request.removeEventListener("abort", abort)
        return item
      } catch (error) {
        request.removeEventListener("abort", abort)
        throw error
      }
    },
    return: leave,
  }
  return rest
}

/** @throws what the promise is rejected with, unless that takes longer than `milliseconds`: then it is for who awaits it */
async function settled(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  promise.catch(() => {})
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
