import { BullQueue, type BullOptions } from "./bull_queue.js"
import { RedisStore } from "./redis_store.js"

/**
 * Files, batches and tasks in a Redis or Valkey that several processes know.
 *
 * @param url `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS
 * @throws an Error where none answers there
 */
export async function openShared(url: string, options: BullOptions): Promise<{ store: RedisStore; queue: BullQueue }> {
  const place = placeOf(url)
  const [{ Redis }, bull] = await Promise.all([import("ioredis"), import("bullmq")])
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 3 })
  let last: Error | undefined
  redis.on("error", (error: Error) => {
    last = error
  })
  try {
    await redis.connect()
    await redis.ping()
  } catch (error) {
    redis.disconnect()
    const why = (last ?? (error as Error)).message
    throw new Error(`queue ${place}: no Redis or Valkey answers there (${why}): start one, or leave the setting out`)
  }
  redis.on("error", options.onError)
  // BullMQ waits for as long as it takes.
  const connection = redis.duplicate({ lazyConnect: false, maxRetriesPerRequest: null })
  connection.on("error", options.onError)
  return { store: new RedisStore(redis), queue: new BullQueue(bull, connection, options) }
}

/** An address without its password. @throws an Error where it is none */
function placeOf(url: string): string {
  const { protocol, host } = URL.canParse(url) ? new URL(url) : { protocol: "", host: "" }
  if (!/^rediss?:$/.test(protocol) || host === "") {
    throw new Error("queue: expected an address such as redis://localhost:6379")
  }
  return `${protocol}//${host}`
}
