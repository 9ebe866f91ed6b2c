import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { RequestError } from "../request_error.js"
import type { CompletionEvent, ServedModel } from "../served_model.js"
import type { LoadHooks } from "./model_host.js"
import { ModelPool } from "./model_pool.js"
import { offerModel } from "./node_model_offer.js"
import { type ModelProcess, startModelProcess } from "./node_start_process.js"
import type { LoadRequest } from "./wire.js"

const path = fileURLToPath(new URL("../../../../models/minerva-tiny", import.meta.url))
const hooks: LoadHooks = { onProgress: () => {}, onWarning: () => {} }
const request = (options: LoadRequest["options"] = {}): LoadRequest => ({
  path,
  name: "tiny",
  options: { device: "cpu", max_context: 2048, ...options },
})
const question = [{ role: "user" as const, content: "What is 17 + 25?" }]

/** Without what differs from run to run. */
async function answered(model: ServedModel, content: string): Promise<unknown[]> {
  const events: unknown[] = []
  const stream = model.chat([{ role: "user", content }], { temperature: 0, max_tokens: 100, logprobs: true })
  for await (const event of stream) {
    const {
      id: _id,
      prompt_tps: _prompt,
      generation_tps: _generation,
      seed: _seed,
      ...rest
    } = event as Record<string, unknown>
    events.push(rest)
  }
  return events
}

/** Until nothing runs any more. */
async function idle(model: ServedModel): Promise<void> {
  while ((await model.load()).running > 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe("a model in a process of its own", () => {
  let started: ModelProcess
  let model: ServedModel
  const warnings: string[] = []
  const progress: number[] = []

  beforeAll(async () => {
    started = await startModelProcess(request(), {
      onProgress: (done, total) => progress.push(done / total),
      onWarning: (text) => warnings.push(text),
    })
    model = started.model
  })

  afterAll(() => started.close(10_000))

  it("loads, and says how far it is and what it takes", () => {
    expect(progress.at(-1)).toBe(1)
    expect(model.info).toMatchObject({ name: "tiny", backend: "cpu", max_context: 2048, chats: true })
    expect(started.bytes).toBeGreaterThan(model.info.weight_bytes)
    expect(warnings).toEqual([])
  })

  it("answers as a model in this process does, several conversations at once", async () => {
    const own = await loadModel(path, { device: "cpu", max_context: 2048 })
    const local = new LocalModel(own, "tiny")
    const questions = ["What is 17 + 25?", "Hello", "What is 2 + 2?"]
    const expected = await Promise.all(questions.map((text) => answered(local, text)))
    expect(await Promise.all(questions.map((text) => answered(model, text)))).toEqual(expected)
    expect(JSON.stringify(expected[0])).toContain("42")
    const [rendered, ids] = await Promise.all([local.render(question, {}), local.tokenize("<|start|>a", true)])
    expect(await model.render(question, {})).toEqual(rendered)
    expect(await model.tokenize("<|start|>a", true)).toEqual(ids)
    expect(await model.detokenize(ids)).toBe("<|start|>a")
    await own.close()
  })

  /** Longer than what is under way to a reader, whatever it says: it cannot end itself. */
  const long = { temperature: 1, seed: 1, max_tokens: 200, logit_bias: { 3064: -100, 3065: -100 } }

  it.each(["leaves", "aborts"])("frees the sequence of who %s", async (how) => {
    const abort = new AbortController()
    let count = 0
    const turn = async () => {
      for await (const _ of model.generate("Once", { ...long, signal: abort.signal })) {
        count++
        // The sequence waits for its reader, who is here.
        expect((await model.load()).running).toBe(1)
        if (how === "leaves") break
        abort.abort(new RequestError("timeout", "enough"))
      }
    }
    if (how === "leaves") await turn()
    else await expect(turn()).rejects.toThrow("enough")
    await idle(model)
    expect(count).toBe(1)
  })

  it("has the sequence of a slow reader wait", async () => {
    const events: CompletionEvent[] = []
    for await (const event of model.generate("Once", long)) {
      if (events.length === 0) {
        // Others are answered meanwhile, and it still runs: it was not computed to its end for nobody.
        for (let i = 0; i < 4; i++) await answered(model, "What is 17 + 25?")
        expect((await model.load()).running).toBe(1)
      }
      events.push(event)
    }
    expect(events.at(-1)).toMatchObject({ type: "summary", completion_tokens: 200, finish_reason: "length" })
    await idle(model)
  })

  it("tells errors as what they are, and goes on", async () => {
    const wrong = model.chat(question, { temperature: -3 })[Symbol.asyncIterator]().next()
    await expect(wrong).rejects.toMatchObject({ kind: "invalid_request", param: "temperature" })
    const tooLong = model
      .chat([{ role: "user", content: "word ".repeat(5000) }], {})
      [Symbol.asyncIterator]()
      .next()
    const tokens = { wanted: expect.any(Number), most: 2048 }
    await expect(tooLong).rejects.toMatchObject({ kind: "context_length", code: "context_length_exceeded", tokens })
    let deep: unknown = 1
    for (let i = 0; i < 3000; i++) deep = { deep }
    const nested = model
      .chat(question, { tools: [{ name: "f", parameters: deep }] } as never)
      [Symbol.asyncIterator]()
      .next()
    await expect(nested).rejects.toMatchObject({ kind: "invalid_request" })
    expect(await model.tokenize("a")).toHaveLength(1)
  })

  it("leaves signals of its group to its parent", async () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.kill(started.pid, signal)
    expect(JSON.stringify(await answered(model, "What is 17 + 25?"))).toContain("42")
  })
})

describe("a process", () => {
  it("leaves this one's event loop free, whatever the model does", async () => {
    // The slowest backend computes in its process's only thread.
    const { model, close } = await startModelProcess(request({ device: "reference" }), hooks)
    let turns = 0
    let isRead = false
    const reading = (async () => {
      for await (const _ of model.generate("Once upon a time there was", { max_tokens: 1 })) isRead = true
    })()
    while (!isRead) {
      turns++
      await new Promise((resolve) => setImmediate(resolve))
    }
    await reading
    expect(turns).toBeGreaterThan(1000)
    await close(10_000)
  })

  it("writes down what it keeps when it is closed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "minerva-kept-"))
    const { model, close, ended } = await startModelProcess(request({ kv_cache_dir: folder }), hooks)
    for await (const _ of model.generate("word ".repeat(300), { max_tokens: 1 }));
    await close(30_000)
    expect(await ended).toBe("exit code 0")
    expect(readdirSync(folder, { recursive: true }).length).toBeGreaterThan(0)
    rmSync(folder, { recursive: true })
  })

  it("is not there for a model that cannot be loaded", async () => {
    await expect(startModelProcess({ ...request(), path: "/no/such/model" }, hooks)).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("no such folder"),
    })
    await expect(startModelProcess(request({ memory_limit: 1e6 }), hooks)).rejects.toMatchObject({
      kind: "unavailable",
      code: "memory_limit",
    })
    const abort = new AbortController()
    const loading = startModelProcess(request(), hooks, abort.signal)
    setTimeout(() => abort.abort(), 50)
    await expect(loading).rejects.toMatchObject({ kind: "unavailable" })
  })

  it("ends when its parent is gone", async () => {
    const module = new URL("./node_start_process.js", import.meta.url).href
    const script = `
      import { startModelProcess } from ${JSON.stringify(module)}
      await startModelProcess(${JSON.stringify(request())}, { onProgress: () => {}, onWarning: () => {} })
      console.log("loaded")
      setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "pipe"] })
    await once(parent.stdout, "data")
    parent.stderr.resume()
    parent.kill("SIGKILL")
    // The model's process has this pipe too: it closes when both are over.
    await once(parent.stderr, "close")
  })
})

describe("a pool of processes", () => {
  it("loads a model anew whose process was killed in the middle of an answer", async () => {
    const said: string[] = []
    const tell = (_fields: object, message: string) => said.push(message)
    const log = { info: tell, warn: tell, error: tell }
    const pool = new ModelPool([await offerModel(path, { options: request().options, log })], { log })
    const [card] = await pool.list()
    expect(card).toMatchObject({ name: "minerva-tiny", quantization: "mxfp4", max_context: 2048, loaded: false })
    expect(card.bytes).toBeGreaterThan(1e6)
    const held = await pool.hold(undefined)
    const [{ pid }] = pool.loaded as ModelProcess[]
    const turn = async (text: string) => {
      for await (const event of held.model.chat([{ role: "user", content: text }], { temperature: 0 })) {
        if (event.type === "start") process.kill(pid, "SIGKILL")
      }
    }
    const turns = await Promise.allSettled([turn("What is 17 + 25?"), turn("Hello")])
    held.release()
    for (const { reason } of turns as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ kind: "unavailable", retry_after: 1, message: expect.stringContaining("SIGKILL") })
    }
    const again = await pool.hold("minerva-tiny:latest")
    expect(JSON.stringify(await answered(again.model, "What is 17 + 25?"))).toContain("42")
    again.release()
    await pool.close(1000)
    expect(pool.loaded).toEqual([])
    expect(said).toEqual([
      "loading the model",
      "the model is loaded",
      "the model's process ended; the next request loads it anew",
      "loading the model",
      "the model is loaded",
      "the model is unloaded",
    ])
  })
})
