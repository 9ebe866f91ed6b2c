import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import OpenAI, { toFile } from "openai"
import { afterAll, describe, expect, it } from "vitest"
import type { ProcessSettings } from "../../../test/server/batches/process.js"
import { hasRedis, startRedis, withRedis } from "../../../test/server/batches/redis.js"
import { inputOf } from "../../../test/server/batches/serving.js"

const program = fileURLToPath(new URL("../../../test/server/batches/process.js", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "minerva-batches-"))
const stops: (() => void)[] = []

afterAll(() => {
  for (const stop of stops) stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Starts a server of its own process. */
async function start(settings: ProcessSettings) {
  const child = spawn(process.execPath, [program, JSON.stringify(settings)], { stdio: ["ignore", "pipe", "pipe"] })
  stops.push(() => child.kill("SIGKILL"))
  let errors = ""
  child.stderr.on("data", (data) => {
    errors += data
  })
  const ended = once(child, "exit")
  const [url] = await Promise.race([once(child.stdout, "data"), ended.then(() => [null])])
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await ended
  }
  const client = new OpenAI({ apiKey: "none", baseURL: String(url).trim(), maxRetries: 0 })
  return { client, end, started: url !== null, errors: () => errors }
}

async function submit(client: OpenAI, lines: number): Promise<string> {
  const file = await client.files.create({
    file: await toFile(Buffer.from(inputOf(lines)), "in.jsonl"),
    purpose: "batch",
  })
  const window = "24h"
  const batch = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: window } as const
  return (await client.batches.create(batch)).id
}

async function until(client: OpenAI, id: string, isSo: (batch: OpenAI.Batch) => boolean): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id)
    if (isSo(batch)) return batch
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const completed = ({ request_counts }: OpenAI.Batch) => request_counts!.completed

async function expectEachLineOnce(client: OpenAI, batch: OpenAI.Batch, lines: number) {
  expect(batch.status).toBe("completed")
  expect(batch.request_counts).toEqual({ total: lines, completed: lines, failed: 0 })
  const output = (await (await client.files.content(batch.output_file_id!)).text()).trimEnd().split("\n")
  const said = output.map((line) => {
    const { custom_id, response } = JSON.parse(line)
    return `${custom_id}: ${response.body.choices[0].message.content}`
  })
  expect(said).toEqual(Array.from({ length: lines }, (_, n) => `request-${n}: You said line ${n}`))
}

describe("a server with a data folder", () => {
  const settings = { data_dir: join(folder, "data"), queue: null, log: join(folder, "one.log") }

  it("has every line of a batch once after it was killed again and again in the middle", async () => {
    let server = await start(settings)
    const id = await submit(server.client, 200)
    for (const reached of [30, 80, 130]) {
      const { status } = await until(server.client, id, (batch) => completed(batch) >= reached)
      expect(status).toBe("in_progress")
      await server.end("SIGKILL")
      server = await start(settings)
    }
    const batch = await until(server.client, id, ({ status }) => status === "completed")
    await expectEachLineOnce(server.client, batch, 200)
    // What was recorded is not computed again: at most what each killed process had under way.
    const computed = readFileSync(settings.log, "utf8").trimEnd().split("\n")
    expect(computed.length).toBeGreaterThanOrEqual(200)
    expect(computed.length).toBeLessThanOrEqual(200 + 3 * 8)
    await server.end("SIGTERM")
  })

  it("refuses a second process, and is there for the next one", async () => {
    const first = await start(settings)
    const second = await start(settings)
    expect(second.started).toBe(false)
    expect(second.errors()).toMatch(/in use by process \d+ on .*: end that one/)
    await first.end("SIGTERM")
    const third = await start(settings)
    expect(third.started).toBe(true)
    expect((await third.client.batches.list()).data).toHaveLength(1)
    await third.end("SIGTERM")
  })
})

describe.skipIf(!hasRedis)(withRedis("two servers on a queue"), () => {
  it("have every line once, though one is killed in the middle", async () => {
    const redis = await startRedis()
    stops.push(redis.stop)
    const settings = { data_dir: null, queue: redis.url, log: join(folder, "two.log") }
    const [a, b] = await Promise.all([start(settings), start(settings)])
    const id = await submit(a.client, 200)
    await until(b.client, id, (batch) => completed(batch) >= 60)
    await a.end("SIGKILL")
    const batch = await until(b.client, id, ({ status }) => status === "completed")
    await expectEachLineOnce(b.client, batch, 200)
    const pids = readFileSync(settings.log, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[0])
    expect(new Set(pids).size).toBe(2)
    await b.end("SIGTERM")
    expect(b.errors()).toBe("")
  })
})
