import { describe, expect, it, vi } from "vitest"
import { inputOf } from "../../../test/server/batches/serving.js"
import { DataFolder } from "../node_data_folder.js"
import { Batches } from "./batches.js"
import { FILE_LIMITS } from "./files.js"
import type { Task, TaskQueue, TaskWorker } from "./queue.js"
import { SqliteStore } from "./sqlite_store.js"

/** A queue whose tasks are done when the test says so. */
class Steps implements TaskQueue {
  tasks: Task[] = []
  worker!: TaskWorker

  async add(tasks: readonly Task[]): Promise<void> {
    this.tasks.push(...tasks)
  }

  async start(worker: TaskWorker): Promise<void> {
    this.worker = worker
  }

  async close(): Promise<void> {}

  /** Does what waits, and what that brings. */
  async run(): Promise<void> {
    for (;;) {
      const task = this.tasks.shift()
      if (!task) return
      await this.worker.perform(task, new AbortController().signal)
    }
  }
}

async function opened() {
  const folder = await DataFolder.open(null)
  const store = new SqliteStore(folder.database, () => folder.close())
  const queue = new Steps()
  const dispatch = vi.fn(async (_: Request) => Response.json({}))
  const options = { ...FILE_LIMITS, max_body: 1 << 16, onError: () => {} }
  const batches = await Batches.start(store, queue, dispatch, options)
  const { id: input_file_id } = await batches.files.create("a", "batch", Buffer.from(inputOf(3)))
  const endpoint = "/v1/chat/completions"
  const asked = { input_file_id, endpoint, completion_window: "24h", window: 86_400, metadata: null }
  const { id } = await batches.create(asked)
  const status = async () => (await batches.get(id)).status
  return { store, queue, dispatch, batches, id, status }
}

const never = new AbortController().signal

describe("what is to be done for a batch", () => {
  it("does no harm when it is done twice, at any time", async () => {
    const { store, queue, dispatch, batches, id } = await opened()
    const done: Task[] = []
    for (;;) {
      const task = queue.tasks.shift()
      if (!task) break
      done.push(task)
      for (const earlier of done) await queue.worker.perform(earlier, never)
      // Doing them adds what follows, again and again.
      queue.tasks = queue.tasks.filter((task) => !done.some((one) => JSON.stringify(one) === JSON.stringify(task)))
    }
    expect((await batches.get(id)).request_counts).toEqual({ total: 3, completed: 3, failed: 0 })
    expect(dispatch).toHaveBeenCalledTimes(3)
    expect((await store.files()).filter(({ purpose }) => purpose === "batch_output")).toHaveLength(1)
    expect(await store.answered(id)).toEqual(new Set())
  })

  it("goes on after a process that left something undone, wherever it was", async () => {
    for (let steps = 0; steps <= 5; steps++) {
      const { store, queue, dispatch, batches, id, status } = await opened()
      for (let step = 0; step < steps; step++) {
        const task = queue.tasks.shift()
        if (task) await queue.worker.perform(task, never)
      }
      const again = new Steps()
      const next = await Batches.start(store, again, dispatch, { ...FILE_LIMITS, max_body: 1 << 16, onError: () => {} })
      await again.run()
      expect(await status()).toBe("completed")
      expect((await next.get(id)).request_counts.completed).toBe(3)
      expect(dispatch).toHaveBeenCalledTimes(3)
      await batches.close()
    }
  })

  it("is finished with the same files by whoever takes over in the middle of it", async () => {
    const { store, queue, id, status } = await opened()
    for (let n = 0; n < 4; n++) await queue.worker.perform(queue.tasks.shift()!, never)
    const finish = queue.tasks.shift()!
    const changing = vi.spyOn(store, "changeBatch").mockRejectedValueOnce(new Error("killed"))
    await expect(queue.worker.perform(finish, never)).rejects.toThrow("killed")
    changing.mockRestore()
    expect(await status()).toBe("finalizing")
    await queue.worker.perform(finish, never)
    expect(await status()).toBe("completed")
    const written = (await store.files()).filter(({ purpose }) => purpose === "batch_output")
    expect(written.map((file) => file.id)).toEqual([(await store.batch(id))!.output_file_id])
  })

  it("is an answer too where it fails, and nothing is lost where finishing does", async () => {
    const { queue, batches, id, status } = await opened()
    await queue.worker.perform(queue.tasks.shift()!, never)
    const [first] = queue.tasks.splice(0, 1)
    await queue.worker.giveUp(first, new Error("no memory"))
    for (let n = 0; n < 2; n++) await queue.worker.perform(queue.tasks.shift()!, never)
    const finish = queue.tasks.shift()!
    expect(finish.type).toBe("finish")
    await queue.worker.giveUp(finish, new Error("no room"))
    expect(await status()).toBe("finalizing")
    await queue.worker.perform(finish, never)
    const { error_file_id, request_counts } = await batches.get(id)
    expect(request_counts).toEqual({ total: 3, completed: 2, failed: 1 })
    let errors = ""
    for await (const part of batches.files.content(error_file_id!)) errors += Buffer.from(part)
    expect(JSON.parse(errors)).toMatchObject({
      custom_id: "request-0",
      response: null,
      error: { code: "server_error", message: "the server failed: no memory" },
    })
  })

  it("fails the batch where its input cannot be read", async () => {
    const { queue, batches, id } = await opened()
    await queue.worker.giveUp(queue.tasks[0], new Error("no disk"))
    expect(await batches.get(id)).toMatchObject({ status: "failed", errors: { data: [{ code: "server_error" }] } })
    await queue.run()
    expect((await batches.get(id)).status).toBe("failed")
  })
})
