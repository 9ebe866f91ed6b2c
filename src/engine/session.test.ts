import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MarkovRunner } from "../../test/engine/fake_runner.js"
import { generated } from "../../test/engine/scheduling.js"
import { Generation } from "./generation.js"
import type { SequenceRequest } from "./sequence.js"
import { Session } from "./session.js"

const open = (runner = new MarkovRunner()) => new Session(runner, runner.max_context)
const ask = (session: Session, prompt: number[], options = {}) =>
  generated(session, prompt, { temperature: 0, max_tokens: 3, ...options })

/** Listens to its requests' signals, as a scheduler does. */
class ListeningRunner extends MarkovRunner {
  static told = 0

  override submit(request: SequenceRequest) {
    request.signal?.addEventListener("abort", () => ListeningRunner.told++)
    return super.submit(request)
  }
}

/** An answer whose first token was read. */
async function begun(session: Session, options = {}) {
  const answer = new Generation(session, [1], new Set(), { temperature: 0, max_tokens: 40, ...options })[
    Symbol.asyncIterator
  ]()
  await answer.next()
  return answer
}

async function readOn(answer: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of answer);
}

describe("requests of a session", () => {
  it("run side by side, and each gets what it would get alone", async () => {
    const prompt = fc.array(fc.nat({ max: 31 }), { minLength: 1, maxLength: 9 })
    await fc.assert(
      fc.asyncProperty(fc.array(prompt, { minLength: 2, maxLength: 6 }), async (prompts) => {
        const session = open()
        const together = await Promise.all(prompts.map((prompt) => ask(session, prompt)))
        for (const [i, prompt] of prompts.entries()) expect(together[i]).toEqual(await ask(open(), prompt))
      }),
      { numRuns: 20 },
    )
  })

  it("may be many without a warning, and all end with it", async () => {
    const warnings: unknown[] = []
    const warned = (warning: unknown) => warnings.push(warning)
    process.on("warning", warned)
    const session = open(new ListeningRunner())
    const answers = await Promise.all(Array.from({ length: 40 }, () => begun(session)))
    // Warnings come a turn later.
    await new Promise((resolve) => setImmediate(resolve))
    process.off("warning", warned)
    expect(warnings).toEqual([])
    session.close()
    for (const answer of answers) await expect(readOn(answer)).rejects.toThrow("this session is closed")
    expect(ListeningRunner.told).toBe(40)
  })

  it("do not wait for one that nobody reads", async () => {
    const session = open()
    const unread = await begun(session)
    expect((await ask(session, [2])).tokens).toHaveLength(3)
    await unread.return()
  })

  it("fail alone", async () => {
    const session = open()
    const [failed, other] = [ask(session, [99]), ask(session, [3])]
    await expect(failed).rejects.toThrow("prompt.0")
    expect((await other).tokens).toHaveLength(3)
  })

  it("are aborted alone, with the reason that their own signal gives", async () => {
    const session = open()
    const stop = new AbortController()
    const aborted = ask(session, [1], { signal: stop.signal, max_tokens: 40 })
    const other = ask(session, [2])
    const reason = new Error("changed my mind")
    stop.abort(reason)
    await expect(aborted).rejects.toBe(reason)
    expect((await other).tokens).toHaveLength(3)
    await expect(ask(session, [1], { signal: stop.signal })).rejects.toBe(reason)
  })

  it("fill the context of the session, not the model's", async () => {
    const short = new Session(new MarkovRunner(), 6)
    expect((await ask(short, [1, 2], { max_tokens: 40 })).tokens).toHaveLength(4)
    await expect(ask(short, [1, 2, 3, 4, 5, 6])).rejects.toThrow("the context holds 6")
  })
})

describe("closing a session", () => {
  it("ends its requests, read or not and with signals of their own or not, and no other's", async () => {
    const runner = new MarkovRunner()
    const [closed, other] = [open(runner), open(runner)]
    const signals = [undefined, new AbortController().signal]
    const answers = await Promise.all(signals.map((signal) => begun(closed, { signal })))
    const others = ask(other, [2])
    closed.close()
    for (const answer of answers) await expect(readOn(answer)).rejects.toThrow("model.createSession()")
    await expect(ask(closed, [3])).rejects.toThrow("closed")
    expect((await others).tokens).toHaveLength(3)
    closed.close()
  })
})
