import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest"
import { hasRedis, startRedis, withRedis } from "../../../test/server/batches/redis.js"
import { LocalQueue } from "./local_queue.js"
import { MOST_TRIES, type Task, type TaskQueue, type TaskWorker } from "./queue.js"
import { openShared } from "./shared.js"

const answer = (index: number): Task => ({ type: "answer", batch: "batch_a", index, from: 0, to: 1 })
const finish: Task = { type: "finish", batch: "batch_a" }

/** Notes what it is given; each task goes on until it is let go. */
class Gate implements TaskWorker {
  readonly begun: Task[] = []
  readonly aborted: Task[] = []
  private readonly open: (() => void)[] = []

  perform(task: Task, signal: AbortSignal): Promise<void> {
    this.begun.push(task)
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.aborted.push(task)
        reject(signal.reason)
      }
      signal.addEventListener("abort", abort)
      this.open.push(() => {
        signal.removeEventListener("abort", abort)
        resolve()
      })
    })
  }

  async giveUp(): Promise<void> {}

  letGo(): void {
    this.open.shift()!()
  }
}

const soon = <T>(check: () => T) => vi.waitFor(check, { timeout: 5000, interval: 5 })

function does(open: (concurrency: number) => Promise<TaskQueue>) {
  it("so many tasks at once, each once, the urgent ones first", async () => {
    const queue = await open(2)
    const gate = new Gate()
    await queue.add([answer(0), answer(1), answer(2), answer(1)])
    await queue.start(gate)
    await soon(() => expect(gate.begun).toEqual([answer(0), answer(1)]))
    await queue.add([answer(0), answer(3), finish])
    gate.letGo()
    await soon(() => expect(gate.begun).toEqual([answer(0), answer(1), finish]))
    gate.letGo()
    gate.letGo()
    await soon(() => expect(gate.begun).toEqual([answer(0), answer(1), finish, answer(2), answer(3)]))
    await queue.close()
    expect(gate.aborted).toEqual([answer(2), answer(3)])
  })

  it("again what is added after it was done", async () => {
    const queue = await open(1)
    const gate = new Gate()
    await queue.start(gate)
    for (const times of [1, 2]) {
      await soon(async () => {
        await queue.add([finish])
        expect(gate.begun).toHaveLength(times)
      })
      gate.letGo()
    }
    await queue.close()
  })
}

describe("a queue in this process does", () => {
  does(async (concurrency) => new LocalQueue(concurrency, () => {}))

  describe("when tasks fail", () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    })
    afterEach(() => {
      vi.useRealTimers()
    })

    async function passSeconds(count: number): Promise<void> {
      for (let second = 0; second < count; second++) await vi.advanceTimersByTimeAsync(1000)
    }

    it("them again, less and less often, and gives up", async () => {
      const errors: unknown[] = []
      const queue = new LocalQueue(1, (error) => errors.push(error))
      const worker = { perform: vi.fn(() => Promise.reject(new Error("no"))), giveUp: vi.fn(async () => {}) }
      await queue.start(worker)
      await queue.add([finish])
      await passSeconds(30)
      expect(worker.perform).toHaveBeenCalledTimes(MOST_TRIES)
      expect(worker.giveUp).toHaveBeenCalledExactlyOnceWith(finish, new Error("no"))
      expect(errors).toHaveLength(MOST_TRIES)
      await queue.add([answer(0)])
      await passSeconds(30)
      expect(worker.giveUp).toHaveBeenCalledWith(answer(0), new Error("no"))
    })
  })
})

describe.skipIf(!hasRedis)(withRedis("a queue in Redis"), () => {
  async function open(url: string, concurrency: number, lock = 1000) {
    const { store, queue } = await openShared(url, { concurrency, lock, retry_after: 50, onError: () => {} })
    const close = async () => {
      await queue.close()
      await store.close()
    }
    return { queue: { add: queue.add.bind(queue), start: queue.start.bind(queue), close } }
  }

  async function redis(): Promise<string> {
    const { url, stop } = await startRedis()
    onTestFinished(stop)
    return url
  }

  describe("does", () => does(async (concurrency) => (await open(await redis(), concurrency)).queue))

  it("hands over at once what a process that ends in order leaves", async () => {
    const url = await redis()
    const [{ queue: a }, { queue: b }] = await Promise.all([open(url, 1, 60_000), open(url, 1, 60_000)])
    const [gateA, gateB] = [new Gate(), new Gate()]
    await a.start(gateA)
    await a.add([answer(0)])
    await soon(() => expect(gateA.begun).toEqual([answer(0)]))
    await a.close()
    await b.start(gateB)
    await soon(() => expect(gateB.begun).toEqual([answer(0)]))
    gateB.letGo()
    await b.close()
  })

  it("gives up a task that fails again and again", async () => {
    const { queue } = await open(await redis(), 1)
    let tries = 0
    const gaveUp = new Promise<Task>((resolve) => {
      const perform = async () => {
        tries++
        throw new Error("no")
      }
      queue.start({ perform, giveUp: async (task) => resolve(task) })
    })
    await queue.add([answer(4)])
    expect(await gaveUp).toEqual(answer(4))
    expect(tries).toBe(MOST_TRIES)
    await queue.close()
  })

  it("tells where there is none", async () => {
    const options = { concurrency: 1, lock: 1000, retry_after: 50, onError: () => {} }
    await expect(openShared("redis://me:secret@127.0.0.1:1", options)).rejects.toThrow(
      /^queue redis:\/\/127\.0\.0\.1:1: no Redis or Valkey answers there \(.*ECONNREFUSED.*\)/,
    )
    await expect(openShared("http://localhost", options)).rejects.toThrow(/expected an address such as redis:/)
    await expect(openShared("localhost:6379", options)).rejects.toThrow(/expected an address such as redis:/)
  })
})
