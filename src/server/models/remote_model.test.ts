import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { portPair } from "../../../test/server/port_pair.js"
import { type ErrorKind, RequestError } from "../request_error.js"
import type { ServedModel, ServedModelInfo, TurnEvent } from "../served_model.js"
import { hostModel, type LoadHooks, type LoadHosted } from "./model_host.js"
import { loadRemote, type RemoteModel } from "./remote_model.js"
import { type FromModel, type LoadRequest, type ToModel, WINDOW } from "./wire.js"

const info: ServedModelInfo = {
  name: "fake",
  model_type: "gpt_oss",
  backend: "reference",
  weight_bytes: 1,
  layers: 1,
  vocab_size: 10,
  max_context: 100,
  chats: true,
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

/** What the fake model does with one conversation, and what has happened. */
interface Script {
  readonly count: number
  /** Turns of the event loop before some of the events. */
  readonly pauses: readonly number[]
  readonly outcome: "done" | "hang" | Error
  made: number
  state: "new" | "running" | "over"
}

/** A model whose conversations are numbers of scripts. */
class FakeModel implements ServedModel {
  readonly info = info

  constructor(private readonly scripts: readonly Script[]) {}

  async *chat(messages: Parameters<ServedModel["chat"]>[0], { signal }: Parameters<ServedModel["chat"]>[1]) {
    const script = this.scripts[Number(messages[0].content)]
    script.state = "running"
    try {
      for (let i = 0; i < script.count; i++) {
        await turns(script.pauses[i % (script.pauses.length || 1)] ?? 0)
        script.made++
        yield { type: "content", text: String(i) } satisfies TurnEvent
      }
      if (script.outcome === "hang") {
        await new Promise((_, reject) => signal!.addEventListener("abort", () => reject(new Error("aborted"))))
      } else if (script.outcome !== "done") throw script.outcome
    } finally {
      script.state = "over"
    }
  }

  async *generate() {}

  async render(): Promise<number[]> {
    throw new RequestError("context_length", "too long", { tokens: { wanted: 9, most: 5 }, param: "messages" })
  }

  async tokenize(text: string, special = false): Promise<number[]> {
    return [text.length, Number(special)]
  }

  async detokenize(ids: readonly number[]): Promise<string> {
    return ids.join()
  }

  async load() {
    return { running: 0, waiting: 0, pages: 1, free_pages: 1, asked_tokens: 0, hit_tokens: 0, rss: 7 }
  }
}

const request: LoadRequest = { path: "x", name: "fake", options: {} }

const hooks: LoadHooks = { onProgress: () => {}, onWarning: () => {} }

interface Served {
  readonly remote: RemoteModel
  readonly hasClosed: () => boolean
  cut(reason: string): void
}

async function serve(model: ServedModel): Promise<Served> {
  const { left, right, cut } = portPair<ToModel, FromModel>()
  let isClosed = false
  const close = async () => {
    isClosed = true
  }
  hostModel(
    right,
    async () => ({ model, bytes: 5, close }),
    () => cut("exit code 0"),
  )
  const remote = await loadRemote(left, request, hooks)
  return { remote, cut, hasClosed: () => isClosed }
}

const KINDS: ErrorKind[] = ["invalid_request", "context_length", "overloaded", "unavailable", "timeout", "internal"]

const failures = fc
  .record({
    kind: fc.constantFrom(...KINDS),
    message: fc.string(),
    param: fc.option(fc.string(), { nil: undefined }),
    code: fc.option(fc.string(), { nil: undefined }),
    retry_after: fc.option(fc.nat(), { nil: undefined }),
    tokens: fc.option(fc.record({ wanted: fc.nat(), most: fc.nat() }), { nil: undefined }),
  })
  .map(({ kind, message, ...details }) => new RequestError(kind, message, details))

/** How a conversation goes, and how its reader is. */
const calls = fc.record({
  count: fc.integer({ min: 0, max: 4 * WINDOW }),
  pauses: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 7 }),
  outcome: fc.oneof(fc.constant("done" as const), fc.constant("hang" as const), failures),
  /** Turns of the event loop that the reader takes over some of the events. */
  slowness: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 5 }),
  /** After so many events. */
  stop: fc.option(fc.record({ after: fc.nat(4 * WINDOW), how: fc.constantFrom("leave", "abort", "abort later") })),
})

const enough = new RequestError("timeout", "enough")

interface Reading {
  readonly texts: string[]
  error: unknown
  isCancelled: boolean
  isOver: boolean
  mostUnread: number
}

type Wish = typeof calls extends fc.Arbitrary<infer T> ? T : never

async function read(
  remote: ServedModel,
  i: number,
  script: Script,
  { outcome, slowness, stop }: Wish,
): Promise<Reading> {
  const reading: Reading = { texts: [], error: null, isCancelled: false, isOver: false, mostUnread: 0 }
  const abort = new AbortController()
  const cancel = () => {
    if (reading.isOver) return
    reading.isCancelled = true
    abort.abort(enough)
  }
  // A conversation that hangs is aborted from outside: its reader has nothing to decide by.
  const how = outcome === "hang" ? "abort later" : stop?.how
  const after = stop?.after ?? 300
  if (how === "abort later") void turns(after).then(cancel)
  try {
    for await (const event of remote.chat([{ role: "user", content: String(i) }], { signal: abort.signal })) {
      expect(reading.isCancelled).toBe(false)
      reading.texts.push((event as { text: string }).text)
      await turns(slowness[reading.texts.length % (slowness.length || 1)] ?? 0)
      reading.mostUnread = Math.max(reading.mostUnread, script.made - reading.texts.length)
      if (reading.texts.length <= after) continue
      if (how === "abort") cancel()
      if (how === "leave") reading.isCancelled = true
      if (how === "leave") break
    }
  } catch (error) {
    reading.error = error
  }
  reading.isOver = true
  return reading
}

describe("a model behind a port", () => {
  it("tells everything in order, nothing after a cancel, and is never far ahead of its readers", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(calls, { minLength: 1, maxLength: 6 }), async (wishes) => {
        const scripts = wishes.map((wish): Script => ({ ...wish, made: 0, state: "new" }))
        const { remote } = await serve(new FakeModel(scripts))
        const readings = await Promise.all(wishes.map((wish, i) => read(remote, i, scripts[i], wish)))
        await turns(5)
        for (const [i, { texts, error, isCancelled, mostUnread }] of readings.entries()) {
          const { count, outcome } = wishes[i]
          expect(texts).toEqual(Array.from({ length: isCancelled ? texts.length : count }, (_, n) => String(n)))
          expect(mostUnread).toBeLessThanOrEqual(WINDOW)
          expect(scripts[i].state).not.toBe("running")
          // All may have arrived before a cancel.
          const isWhole = texts.length === count
          const allowed = isCancelled
            ? [null, enough, ...(isWhole ? [outcome] : [])]
            : [outcome === "done" ? null : outcome]
          expect(allowed).toContainEqual(error)
        }
      }),
      { numRuns: 60 },
    )
  })

  it("sends what comes together as one message", async () => {
    const scripts = ["", ""].map((): Script => ({ count: 40, pauses: [], outcome: "done", made: 0, state: "new" }))
    const { left, right } = portPair<ToModel, FromModel>()
    const { send } = right
    let messages = 0
    right.send = (message) => {
      if (message.type === "answers") messages++
      send(message)
    }
    hostModel(
      right,
      async () => ({ model: new FakeModel(scripts), bytes: 5, close: async () => {} }),
      () => {},
    )
    const remote = await loadRemote(left, request, hooks)
    const both = ["0", "1"].map((content) => drain(remote.chat([{ role: "user", content }], {})))
    expect((await Promise.all(both)).map(({ length }) => length)).toEqual([40, 40])
    expect(messages).toBe(1)
  })

  it("says when it loads and when it cannot", async () => {
    const { left, right } = portPair<ToModel, FromModel>()
    const said: unknown[] = []
    const load: LoadHosted = async (request, { onProgress, onWarning }) => {
      onProgress(1, 2)
      onWarning(`${request.name} from ${request.path}`)
      throw new RequestError("unavailable", "too large", { code: "memory_limit" })
    }
    hostModel(right, load, () => said.push("over"))
    const telling: LoadHooks = {
      onProgress: (...bytes: number[]) => said.push(bytes),
      onWarning: (text: string) => said.push(text),
    }
    const loading = loadRemote(left, request, telling)
    await expect(loading).rejects.toMatchObject({ kind: "unavailable", code: "memory_limit", message: "too large" })
    expect(said).toEqual(["over", [1, 2], "fake from x"])
  })

  it("has its other methods", async () => {
    const { remote } = await serve(new FakeModel([]))
    expect(remote.info).toEqual(info)
    expect(remote.bytes).toBe(5)
    expect(await remote.tokenize("four")).toEqual([4, 0])
    expect(await remote.tokenize("four", true)).toEqual([4, 1])
    expect(await remote.detokenize([1, 2])).toBe("1,2")
    expect((await remote.load()).rss).toBe(7)
    const tooLong = { kind: "context_length", tokens: { wanted: 9, most: 5 }, param: "messages" }
    await expect(remote.render([], {})).rejects.toMatchObject(tooLong)
  })

  it("hands on what log and client should know of a fault", async () => {
    const fault = new TypeError("x is undefined")
    const { remote } = await serve(new FakeModel([{ count: 1, pauses: [], outcome: fault, made: 0, state: "new" }]))
    const error = await drain(remote.chat([{ role: "user", content: "0" }], {})).catch((error: unknown) => error)
    expect(error).toMatchObject({ kind: "internal", cause: expect.stringContaining("x is undefined") })
    expect((error as Error).message).not.toContain("undefined")
  })

  it("refuses what is nested too deeply to be read at the other side, and what cannot be sent", async () => {
    const { remote } = await serve(new FakeModel([]))
    let deep: unknown = 1
    for (let i = 0; i < 10_000; i++) deep = i % 2 ? [deep] : { deep }
    const nested = remote.chat([], { tools: [{ name: "f", parameters: deep }] } as never)
    await expect(drain(nested)).rejects.toMatchObject({ kind: "invalid_request" })
    await expect(drain(remote.chat([], { seed: () => 1 } as never))).rejects.toMatchObject({ kind: "internal" })
    expect(await remote.detokenize([3])).toBe("3")
  })

  it("fails what is under way and what comes later, once the other side is gone", async () => {
    const hanging = { count: 3, pauses: [], outcome: "hang", made: 0, state: "new" } as const
    const { remote, cut } = await serve(new FakeModel([{ ...hanging }, { ...hanging }]))
    const both = ["0", "1"].map((content) => drain(remote.chat([{ role: "user", content }], {})))
    await turns(5)
    cut("signal SIGKILL")
    const gone = { kind: "unavailable", message: expect.stringContaining("signal SIGKILL"), retry_after: 1 }
    for (const one of both) await expect(one).rejects.toMatchObject(gone)
    await expect(remote.tokenize("x")).rejects.toMatchObject(gone)
    remote.close()
  })

  it("ends what is under way when it is closed", async () => {
    const script: Script = { count: 3, pauses: [], outcome: "hang", made: 0, state: "new" }
    const { remote, hasClosed } = await serve(new FakeModel([script]))
    const one = drain(remote.chat([{ role: "user", content: "0" }], {}))
    await turns(5)
    remote.close()
    await expect(one).rejects.toMatchObject({ kind: "unavailable" })
    await expect(remote.load()).rejects.toMatchObject({ kind: "unavailable" })
    await turns(3)
    expect(hasClosed()).toBe(true)
  })
})

async function drain<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
