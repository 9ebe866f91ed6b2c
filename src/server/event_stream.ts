/** A message of a server-sent event stream. */
export interface SseMessage {
  /** Left out where a protocol has data alone. */
  readonly event?: string
  /** One line: JSON, or a word. */
  readonly data: string
}

/** Milliseconds without a message after which proxies and clients are told that the stream lives. */
const KEEP_ALIVE = 10_000

/**
 * A response of server-sent events (HTML standard, "Server-sent events"). Messages are made when they are read: a slow reader holds up
 * whoever makes them, and one that leaves ends the iteration.
 *
 * @param keepAlive what tells that the stream lives; by default a comment
 */
export function sseResponse(messages: AsyncIterable<SseMessage>, keepAlive?: SseMessage): Response {
  const lines = ({ event, data }: SseMessage) => `${event ? `event: ${event}\n` : ""}data: ${data}\n\n`
  const alive = keepAlive ? lines(keepAlive) : ": keep-alive\n\n"
  return streamed(messages, lines, alive, "text/event-stream; charset=utf-8")
}

/** A response of JSON documents, one a line. */
export function ndjsonResponse(documents: AsyncIterable<unknown>): Response {
  return streamed(documents, (document) => `${JSON.stringify(document)}\n`, null, "application/x-ndjson")
}

function streamed<T>(
  items: AsyncIterable<T>,
  write: (item: T) => string,
  keepAlive: string | null,
  contentType: string,
): Response {
  const iterator = items[Symbol.asyncIterator]()
  const encoder = new TextEncoder()
  let next: Promise<IteratorResult<T>> | null = null
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        next ??= iterator.next()
        const item = await (keepAlive === null ? next : inTime(next, KEEP_ALIVE))
        if (item === LATE) {
          controller.enqueue(encoder.encode(keepAlive!))
          return
        }
        next = null
        if (item.done) controller.close()
        else controller.enqueue(encoder.encode(write(item.value)))
      },
      async cancel() {
        await iterator.return?.()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, {
    headers: { "content-type": contentType, "cache-control": "no-cache", "x-accel-buffering": "no" },
  })
}

const LATE = Symbol("late")

async function inTime<T>(promise: Promise<T>, milliseconds: number): Promise<T | typeof LATE> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
